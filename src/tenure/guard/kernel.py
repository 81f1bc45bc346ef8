"""What the guard asks of the kernel that Python has no call for: by ctypes, each with what it is for."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import time

NS_PER_S = 1_000_000_000

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 0x80000
_TIMER_ABSTIME = 1
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "ppc64le": 120}

# PyDLL keeps the interpreter's lock during a call, so that `clone` returns into an interpreter that has it, twice.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.timer_settime.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
_libc.syscall.restype = ctypes.c_long

Moment = tuple[int, int]
"""An instant of this host's two time lines, in ns: CLOCK_BOOTTIME, and CLOCK_MONOTONIC_RAW plus what the host has slept."""


def now() -> Moment:
    """This moment; a delay between the readings looks like time passed."""
    mono = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot, time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) + boot - mono


def left_ns(until: Moment, at: Moment) -> int:
    """How much surely is left until a deadline, by whichever line says less; 0 or less: it has come."""
    return min(until[0] - at[0], until[1] - at[1])


def before(moment: Moment, span_ns: int) -> Moment:
    """The moment `span_ns` earlier on both lines."""
    return moment[0] - span_ns, moment[1] - span_ns


def earlier(one: Moment, other: Moment) -> Moment:
    """A deadline that comes no later than either."""
    return min(one[0], other[0]), min(one[1], other[1])


def die_with_parent() -> None:
    """Be killed when the parent dies. A parent that is dead already isn't noticed: ask whether it is, afterwards."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def be_a_subreaper() -> None:
    """Orphans below become children: none left to wait for then means that none is left at all."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def go_first() -> None:
    """Be scheduled before every ordinary process, where one may: a workload that starves the host is to be ended in time.

    What is forked is an ordinary process again.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        pass


class WakeTimer:
    """A file that can be read once CLOCK_BOOTTIME has come to an instant, also when the host has slept meanwhile."""

    def __init__(self) -> None:
        self.file: int = _checked(_libc.timerfd_create(time.CLOCK_BOOTTIME, os.O_NONBLOCK | os.O_CLOEXEC), "timerfd")

    def set(self, boot_ns: int) -> None:
        """Replace the instant; it may be past. 0: never."""
        _checked(_libc.timerfd_settime(self.file, _TIMER_ABSTIME, _timer_value(boot_ns), None), "timerfd_settime")

    def fileno(self) -> int:
        """For poll."""
        return self.file

    def drain(self) -> None:
        """Forget that it has fired."""
        try:
            os.read(self.file, 8)
        except BlockingIOError:
            pass


class DeathTimer:
    """The kernel kills this process, stopped or not, once CLOCK_BOOTTIME has come to an instant."""

    def __init__(self) -> None:
        event = struct.pack("@Pii48x", 0, signal.SIGKILL, 0)
        self._timer = ctypes.c_void_p()
        _checked(_libc.timer_create(time.CLOCK_BOOTTIME, event, ctypes.byref(self._timer)), "timer_create")

    def set(self, boot_ns: int) -> None:
        """Replace the instant. 0: never."""
        _checked(_libc.timer_settime(self._timer, _TIMER_ABSTIME, _timer_value(boot_ns), None), "timer_settime")


def clone(*, user: bool) -> int:
    """Fork a child that is the first process of a PID namespace and has mounts of its own; 0 in the child.

    `user`: in a user namespace too, which an ordinary user needs for that. Raises OSError where it can't be had.
    """
    number = _SYS_CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(f"no way is known to make a PID namespace on {os.uname().machine}")
    flags = _CLONE_NEWPID | _CLONE_NEWNS | (_CLONE_NEWUSER if user else 0) | signal.SIGCHLD
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _libc.syscall(ctypes.c_long(number), ctypes.c_long(flags), *[ctypes.c_long(0)] * 4)
    number = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, os.strerror(number))
    return pid


def map_own_ids(uid: int, gid: int) -> None:
    """In a new user namespace: be who one was. No other user exists there, so no program gains rights by its owner."""
    for name, text in (("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1"), ("uid_map", f"{uid} {uid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def mount_own_proc() -> bool:
    """Have a /proc that shows the new PID namespace. False where the host doesn't allow it (a container with a masked one)."""
    if _libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None):
        return False
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    return bool(_libc.mount(b"proc", b"/proc", b"proc", flags, None) == 0)


def _timer_value(boot_ns: int) -> bytes:
    return struct.pack("@qqqq", 0, 0, *divmod(boot_ns, NS_PER_S))


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
