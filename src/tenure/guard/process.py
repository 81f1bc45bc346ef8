"""The guard's own process: it ends a term's work in time, whatever becomes of who has started it.

    ARMED --run--> RUNNING --end, or little time left, or the command has ended--> ENDING --none left--> GONE
    in ENDING: stop command, SIGTERM and leader-deposed first; SIGKILL after the stop time-out, at the command's end or at the deadline

Deadlines are instants, and a delay in one step moves none of the others. Once it has begun to end the term it extends
nothing any more. "None left" is asked of the kernel: the guard is a subreaper, and has no child.

What it hears, a message a packet:             what it says:
  extend BOOT:RAW    the term is sure until       armed BOOT:RAW HOW   once; HOW encloses the work. Before it, to a successor
                                                                       of who has started it: running, ending WHY
  run                begin the work               held BOOT:RAW        until then all will be gone
  check, uncheck     run the check; kill it       checked STATUS       it has ended, with this wait status
  end                the term ends                ending WHY           it has begun to end; said to every extension, too
  kill               there is no time left        ended STATUS         the command has, with this wait status
                                                  deposed STATUS       leader-deposed has
                                                  stuck PID,…          killed, and still there
                                                  gone                 nothing is left
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct

from tenure.guard import cgroup, keeper, kernel, tree
from tenure.guard.kernel import NS_PER_S, Moment
from tenure.guard.spec import Spec, moment, parse

LATE_HOOK_NS = 10 * NS_PER_S
"""How long a leader-deposed may take whose deadline is past when it starts."""

_SLEWING = 10
"""The kernel slews a clock by a tenth at the most, so a timer is set for nine tenths of the time that is left."""

_AGAIN_NS = 20_000_000
"""How long after a kill it is looked again what is left, where the kernel does not kill all at once."""

_STUCK_NS = NS_PER_S
"""How long after the kill what is left is reported."""

_YIELD_NS = 50_000_000
"""How much later than the holder the guard finds that its time has come: a holder that lives is to say so itself."""

_SHORT_NS = 5_000_000
"""So little time is waited for in one step: slewing makes less of it than a timer is late."""

_IGNORED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


class Guard:
    """One term's guard. Makes itself known to `spec.link` when everything is armed."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.state = "RUNNING" if spec.begun else "ARMED"
        self.until = spec.until
        self.began = kernel.now()
        self.kill_at = self.hook_until = self.stuck_at = spec.until
        self.killed = False
        self.said_stuck = False
        self.work_ended = not spec.command
        self.hook = 0
        kernel.be_a_subreaper()
        kernel.go_first()
        # A terminal's signals, and those of a service manager for all processes of a service, are the holder's to hear.
        self.inherited: set[int] = {number for number in _IGNORED if signal.getsignal(number) is signal.SIG_IGN}
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        self.death, self.wake = kernel.DeathTimer(), kernel.WakeTimer()
        self.link: socket.socket | None = socket.socket(fileno=spec.link)
        self.link.setblocking(False)
        self.listener = _listen(spec.listen) if spec.listen else None
        self._set_timers(kernel.now())
        self.ended_file, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(self.ended_file, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.keeper, self.keeper_link, how = 0, self.link, "no workload"
        self.group: cgroup.Cgroup | None = None
        if spec.command:
            self.group = cgroup.make()
            shut = [
                self.link.fileno(),
                self.wake.file,
                self.ended_file,
                *([self.listener.fileno()] if self.listener else []),
            ]
            self.keeper, self.keeper_link, how = keeper.start(spec, self.group, self.inherited, shut)
        self.namespace = how.startswith("a PID namespace")
        self.how = how
        self._say(f"armed {self.until[0]}:{self.until[1]} {how}")

    def run(self) -> None:
        """Return once nothing of the term's work is left."""
        while self.state != "GONE":
            poll = select.poll()
            files: list[int] = [self.ended_file, self.wake.file]
            files += [self.link.fileno()] if self.link else []
            files += [self.keeper_link.fileno()] if self.keeper else []
            files += [self.listener.fileno()] if self.listener else []
            for file in files:
                poll.register(file, select.POLLIN)
            ready = {file for file, _ in poll.poll()}
            self.wake.drain()
            # What ends the work goes first: a holder that talks without pause must not hold it up.
            self._advance(kernel.now())
            if self.keeper and self.keeper_link.fileno() in ready:
                self._hear_keeper()
            if self.ended_file in ready:
                os.read(self.ended_file, 4096)
                self._reap()
            if self.listener and self.listener.fileno() in ready:
                self._accept(self.listener)
            if self.link and self.link.fileno() in ready:
                self._hear(self.link)
            self._advance(kernel.now())
            self._set_timers(kernel.now())

    # ---- who has started it

    def _hear(self, link: socket.socket) -> None:
        try:
            message = link.recv(4096).decode()
        except BlockingIOError:
            return
        except ConnectionError:
            message = ""
        word, _, rest = message.partition(" ")
        if not word:
            link.close()
            self.link = None
            if not self.spec.waits:
                self._end("whoever held the office is gone")
        elif word == "extend":
            if self.state in ("ARMED", "RUNNING"):
                self.until = moment(rest)
                self._say(f"held {rest}")
            else:
                self._say("ending refused")
        elif word == "run" and self.state == "ARMED":
            self.state = "RUNNING"
            self._tell_keeper("run")
        elif word in ("check", "uncheck") and self.state == "RUNNING":
            self._tell_keeper(word)
        elif word == "end":
            self._end("the term ends")
        elif word == "kill":
            self._end("there is no time left")
            self.kill_at = kernel.now()

    def _accept(self, listener: socket.socket) -> None:
        """A successor of the holder's process speaks from now on: it is told how the term stands, and its `until`."""
        link, _ = listener.accept()
        peer = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("iII", peer)[1] != os.geteuid():
            link.close()
            return
        if self.link:
            self.link.close()
        link.setblocking(False)
        self.link = link
        if self.state == "RUNNING":
            self._say("running")
        elif self.state == "ENDING":
            self._say("ending already")
        self._say(f"armed {self.until[0]}:{self.until[1]} {self.how}")

    def _say(self, message: str) -> None:
        if self.link:
            try:
                self.link.send(message.encode())
            except OSError:
                pass

    # ---- the work

    def _tell_keeper(self, message: str) -> None:
        if self.keeper:
            try:
                # One that is stopped must not stop the guard.
                self.keeper_link.send(message.encode(), socket.MSG_DONTWAIT)
            except OSError:
                pass

    def _hear_keeper(self) -> None:
        try:
            message = self.keeper_link.recv(64, socket.MSG_DONTWAIT).decode()
        except OSError:
            return
        if message.startswith("checked "):
            self._say(message)
        elif message.startswith("ended ") and not self.work_ended:
            self.work_ended = True
            self._say(message)
            self._end("the command has ended")

    def _reap(self) -> None:
        try:
            ended = tree.reap()
        except ChildProcessError:
            return
        for pid, status in ended:
            if pid == self.keeper:
                self._hear_keeper()
                self.keeper = 0
                if not self.work_ended:
                    # Somebody has killed it, and with it the work.
                    self.work_ended = True
                    if not self.killed:
                        self._say(f"ended {status}")
                    self._end("the keeper was killed")
            elif pid == self.hook:
                self.hook = 0
                self._say(f"deposed {status}")

    def _end(self, why: str) -> None:
        """The verdict, final: the work is ended, and leader-deposed runs beside it."""
        if self.state not in ("ARMED", "RUNNING"):
            return
        was, self.state = self.state, "ENDING"
        now = kernel.now()
        if not self.work_ended:
            self._tell_keeper("term")
        last = kernel.before(self.until, self.spec.margin_ns)
        self.kill_at = kernel.earlier(last, kernel.before(now, -self.spec.stop_ns))
        self.hook_until = last
        if was == "ARMED" or self.work_ended:
            self.kill_at = now
        self._write_verdict(f"term {self.spec.term} ends: {why}")
        self._say(f"ending {why}")
        if self.spec.hook and was == "RUNNING" and os.path.exists(self.spec.hook[0]):
            self._run_hook(now)

    def _run_hook(self, now: Moment) -> None:
        late = kernel.left_ns(self.hook_until, now) <= 0
        environment = {
            **os.environ,
            "TENURE_DEADLINE_NS": str(self.hook_until[0]),
            "TENURE_SECONDS_LEFT": f"{max(0, kernel.left_ns(self.hook_until, now)) / NS_PER_S:.3f}",
        }
        if late:
            self.hook_until = kernel.before(now, -LATE_HOOK_NS)
        self.hook = os.fork()
        if self.hook:
            return
        code = 126
        try:
            kernel.die_with_parent()
            os.setsid()
            for number in keeper.RESET:
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            if self.spec.folder:
                os.chdir(self.spec.folder)
            os.execve(self.spec.hook[0], self.spec.hook, environment)
        except OSError as error:
            os.write(2, os.fsencode(f"tenure: {self.spec.hook[0]}: {error.strerror}\n"))
        finally:
            os._exit(code)

    # ---- its end

    def _advance(self, now: Moment) -> None:
        """Do what the time, or an end, makes due."""
        spec = self.spec
        if self.state in ("ARMED", "RUNNING"):
            if kernel.left_ns(self.until, now) > self._yielded_ns():
                return
            self._end("the term was not extended in time")
        if self.state != "ENDING":
            return
        if not self.killed and (self.work_ended or kernel.left_ns(self.kill_at, now) <= 0):
            self.killed = True
            self.stuck_at = kernel.before(now, -_STUCK_NS)
            self._kill_work()
            self._set_timers(now)
        if self.hook and kernel.left_ns(self.hook_until, now) <= 0:
            for pid in (*tree.below(self.hook), self.hook):
                tree.send(pid, signal.SIGKILL)
        if not self.killed:
            return
        self._reap()
        if not self.hook and not tree.any_child():
            self.state = "GONE"
            self._write_verdict(f"term {spec.term} is gone")
            if self.group:
                self.group.remove()
            if spec.listen:
                os.unlink(spec.listen)
            self._say("gone")
            return
        if not self.namespace or not self.keeper:
            self._kill_work(again=True)
        if kernel.left_ns(self.stuck_at, now) <= 0 and not self.said_stuck:
            left = tree.below(os.getpid(), (self.hook,) if self.hook else ())
            if left:
                self.said_stuck = True
                self._say(f"stuck {','.join(map(str, left[:20]))}")

    def _kill_work(self, *, again: bool = False) -> None:
        # The group first: the kernel ends all of it within this call, while a namespace goes once its first process,
        # which must wait for its turn among all the others, has heard of its end.
        if self.group:
            self.group.kill()
        if self.keeper and self.namespace:
            tree.send(self.keeper, signal.SIGKILL)
        elif again or not self.group:
            tree.kill_below(os.getpid(), (self.hook,) if self.hook else ())

    def _yielded_ns(self) -> int:
        """With how much left the term ends by the guard's own word."""
        return self.spec.guarantee_ns - min(_YIELD_NS, self.spec.guarantee_ns // 20)

    def _set_timers(self, now: Moment) -> None:
        """The next wake-up, and the kernel's own kill behind the last of the deadlines."""
        last = kernel.before(self.until, self.spec.margin_ns // 2)
        if self.spec.begun:
            # It has come late, for a hook alone.
            last = max(last, kernel.before(self.began, -2 * LATE_HOOK_NS))
        if self.state in ("ARMED", "RUNNING"):
            next_ns = kernel.left_ns(self.until, now) - self._yielded_ns()
        elif self.killed and not self.hook:
            # All has been killed that can be: what the kernel can't end would not be ended by this process's death.
            next_ns = _AGAIN_NS if not (self.namespace and self.keeper) else kernel.left_ns(self.stuck_at, now)
            self.death.set(0)
            self.wake.set(now[0] + max(next_ns, 1) if not self.said_stuck or next_ns > 0 else 0)
            return
        else:
            due = [] if self.killed else [kernel.left_ns(self.kill_at, now)]
            if self.hook:
                due.append(kernel.left_ns(self.hook_until, now))
                last = max(last, kernel.before(self.hook_until, -self.spec.margin_ns // 2))
            if self.killed and not (self.namespace and self.keeper):
                due.append(_AGAIN_NS)
            next_ns = min(due)
        last_ns = kernel.left_ns(last, now)
        self.death.set(now[0] + max(last_ns - max(last_ns, 0) // _SLEWING, 1))
        self.wake.set(now[0] + max(next_ns if next_ns <= _SHORT_NS else next_ns - next_ns // _SLEWING, 1))

    def _write_verdict(self, text: str) -> None:
        """For a successor of the holder's process. It counts in this boot alone, so it need not outlive the host: no fsync,
        which could keep the guard from its work on a disk that hangs."""
        if not self.spec.verdict:
            return
        try:
            with open(f"{self.spec.verdict}.new", "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
            os.replace(f"{self.spec.verdict}.new", self.spec.verdict)
        except OSError:
            pass


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(1)
    listener.setblocking(False)
    return listener


def main(words: list[str]) -> None:
    """Be a guard, as the words say."""
    Guard(parse(words)).run()
