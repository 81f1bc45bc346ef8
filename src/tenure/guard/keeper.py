"""The keeper: the guard's child, and the workload's parent. Its death is the workload's.

It is the first process of the workload's PID namespace, so that the kernel itself ends all of it with the keeper, and
the keeper with the guard. Where no namespace can be had it is a subreaper, and the guard looks for what is left.
"""

from __future__ import annotations

import os
import select
import signal
import socket

from tenure.guard import kernel, tree
from tenure.guard.cgroup import Cgroup
from tenure.guard.spec import Spec

# What a shell's job control and Python itself have set is not the workload's.
RESET = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD),
)


def start(spec: Spec, group: Cgroup | None, inherited: set[int], shut: list[int]) -> tuple[int, socket.socket, str]:
    """Fork the keeper. Returns its pid, the socket to it, and in words what encloses the workload.

    `inherited`: the signals that were ignored when the guard was started. `shut`: the guard's files, which the keeper
    must not hold open. A namespace that can't be had is done without.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    uid, gid = os.geteuid(), os.getegid()
    inside = ""
    pid = -1
    if spec.namespace:
        try:
            pid = kernel.clone(user=uid != 0)
            inside = "a PID namespace"
        except OSError:
            pass
    if pid < 0:
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for file in (*shut, ours.fileno()):
                os.close(file)
            code = _Keeper(spec, theirs, bool(inside), inherited).run(uid, gid, group)
        finally:
            os._exit(code)
    theirs.close()
    said = ours.recv(4096).decode()
    if not said and inside:
        # The namespace was made, and can't be used.
        os.waitpid(pid, 0)
        ours.close()
        spec.namespace = False
        return start(spec, group, inherited, shut)
    return pid, ours, " and ".join(filter(None, [inside or "its process tree", *said.split(",")[1:]]))


class _Keeper:
    def __init__(self, spec: Spec, link: socket.socket, namespace: bool, inherited: set[int]) -> None:
        self.spec, self.link, self.namespace, self.inherited = spec, link, namespace, inherited
        self.started: dict[int, str] = {}
        """What each child of ours is there for: first, command, stopper or check."""
        self.ended = -1
        """The command's wait status, kept back until its stopper has ended, too."""

    def run(self, uid: int, gid: int, group: Cgroup | None) -> int:
        kernel.die_with_parent()
        if self.namespace:
            if uid:
                kernel.map_own_ids(uid, gid)
        else:
            kernel.be_a_subreaper()
        said = ["ready"]
        if group is not None:
            try:
                group.join()
                said.append("a cgroup")
            except OSError:
                pass
        if self.namespace and not kernel.mount_own_proc():
            said.append("the host's /proc")
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(reader, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A guard that had died before die_with_parent is noticed here, or by the end of the socket below.
        self.link.send(",".join(said).encode())
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        poll.register(reader, select.POLLIN)
        while True:
            for file, _ in poll.poll():
                if file == reader:
                    os.read(reader, 4096)
                    if self._reap():
                        return 0
                else:
                    message = self.link.recv(64)
                    if not message:
                        return 0
                    self._hear(message)

    def _hear(self, message: bytes) -> None:
        roles = self.started.values()
        if message == b"run":
            self._start("first" if self.spec.first else "command")
        elif message == b"term":
            if self.spec.stopper and "command" in roles:
                self._start("stopper")
            else:
                self._signal_all()
        elif message == b"check" and "command" in roles and "check" not in roles:
            self._start("check")
        elif message == b"uncheck":
            for pid in [pid for pid, role in self.started.items() if role == "check"]:
                for process in (*tree.below(pid), pid):
                    tree.send(process, signal.SIGKILL)

    def _signal_all(self) -> None:
        """SIGTERM to everything; what is stopped goes on, to hear it."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            if self.namespace:
                tree.send(-1, number)
            else:
                for pid in tree.below(os.getpid()):
                    tree.send(pid, number)

    def _reap(self) -> bool:
        """Wait for whoever has ended; True when the command has."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if pid == 0:
                return False
            if os.WIFSTOPPED(status):
                if os.WSTOPSIG(status) == signal.SIGTSTP and self.started.get(pid) in ("first", "command"):
                    # Ctrl-Z: the shell does not see the command, so nobody could let it go on.
                    os.killpg(os.getpgid(pid), signal.SIGCONT)
                continue
            role = self.started.pop(pid, "")
            if role == "first" and status == 0:
                self._start("command")
            elif role == "check":
                self.link.send(b"checked %d" % status)
            elif role == "stopper" and self.ended < 0:
                self._signal_all()
            elif role in ("first", "command"):
                self.ended = status
            if self.ended >= 0 and "stopper" not in self.started.values():
                self.link.send(b"ended %d" % self.ended)
                return True

    def _start(self, role: str) -> None:
        spec = self.spec
        commands = {"first": ["/bin/sh", "-c", spec.first], "stopper": spec.stopper, "check": spec.check}
        command = commands.get(role, spec.command)
        keeper = os.getpid()
        pid = os.fork()
        if pid:
            self.started[pid] = role
            return
        code, what = 126, command[0]
        try:
            if spec.terminal >= 0:
                os.setpgid(0, 0)
                if role in ("first", "command"):
                    # SIGTTOU is ignored yet, so that a background process may do this.
                    os.tcsetpgrp(spec.terminal, os.getpgrp())
            elif not _has_terminal():
                # The kernel shares the processors between sessions: one that floods the host leaves the guard its share.
                os.setsid()
            for number in RESET:
                if number not in self.inherited:
                    signal.signal(number, signal.SIG_DFL)
            if spec.folder:
                what = spec.folder
                os.chdir(spec.folder)
            if spec.user:
                what = f"the user {spec.user}"
                _become(spec.user)
            if not self.namespace:
                # Of all below the keeper this is the one that the kernel can be told to end with it. Only now: to
                # become another user is to be let off.
                kernel.die_with_parent()
                if os.getppid() != keeper:
                    os._exit(code)
            what = command[0]
            os.execvp(command[0], command)
        except (OSError, LookupError) as error:
            code = 127 if what == command[0] and not _is_there(command[0]) else 126
            why = error.strerror if isinstance(error, OSError) else "there is none on this host"
            os.write(2, os.fsencode(f"tenure: {what}: {why}\n"))
        finally:
            os._exit(code)


def _become(name: str) -> None:
    """Be that user, groups and all. Raises LookupError where there is none, OSError where this one may not."""
    import pwd

    user = pwd.getpwnam(name)
    if user.pw_uid != os.geteuid():
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    for variable, value in (("HOME", user.pw_dir), ("USER", name), ("LOGNAME", name), ("SHELL", user.pw_shell)):
        os.environ.setdefault(variable, value)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _is_there(command: str) -> bool:
    """Whether a command that can't be executed exists; a folder of the PATH that may not be looked into says nothing."""
    if "/" in command:
        return os.path.lexists(command)
    return any(os.path.lexists(os.path.join(folder, command)) for folder in os.get_exec_path())
