"""A command that runs on exactly one of all who want it run: the office, the guard, and what happens when either ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tenure.alarm import Alarm
from tenure.clock import Instant, KernelClock, boot_id, ns
from tenure.defaults import KILL_MARGIN_S, SAME_SIGNAL_S
from tenure.errors import Failed
from tenure.guard import tree
from tenure.guard.duty import Duty
from tenure.guard.kernel import be_a_subreaper
from tenure.guard.spec import Spec
from tenure.howto.leaving import Leaving, in_line, places_away
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.offices import office_keys, office_state, office_view
from tenure.model.records import Drained, Ran, decode, encode
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.walltime import now_text, seconds_since
from tenure.office.driver import Candidate, Desk, Timing
from tenure.store.api import Committed, Put, Store

RELEASE_WITHIN_S = 5.0
"""How long a store that is silent is waited for when all is done: the office is free when its lease ends."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run, and how. Lengths in seconds."""

    office: str
    command: tuple[str, ...]
    ttl_s: int
    stop_timeout_s: float
    once: bool = False
    wait: bool = True
    timeout_s: float | None = None
    on_elected: str = ""
    on_lost: str = ""
    stop: str = ""
    priority: int = 0
    not_again_within_s: float | None = None
    namespace: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it came to an end: `code` is the command's exit code as a shell has it, or the signal's number that was received."""

    how: Literal["ended", "lost", "held by another", "timed out", "signalled", "ran already"]
    code: int = 0


class Hold:
    """One process's part in an office without an application. `run` it once.

    Promises: the command runs only while this process's term is sure, and is gone with all its children before anyone
    else can hold the office; whatever becomes of this process.
    """

    def __init__(self, store: Store, layout: Layout, wanted: Wanted, folder: Path, say: Say, log: Say) -> None:
        """`folder`: empty, this process's alone. `say` tells a person what matters, `log` whoever wants more."""
        self._store, self._layout, self._wanted = store, layout, wanted
        self._folder, self._say, self._log = folder, say, log
        self._clock = KernelClock()
        self._alarm = Alarm(self._clock)
        self._machine = socket.gethostname()
        self._me = f"{self._machine}/{os.getpid()}-{secrets.token_hex(3)}"
        self._duty = Duty(self)
        self._timing = Timing.for_lease(wanted.ttl_s)
        self._done: asyncio.Future[Outcome]
        self._candidate: Candidate
        self._leaving: Leaving
        self._away = False
        self._ran_by: dict[int, bool] = {}
        self._signals: list[int] = []
        self._signalled_at: Instant | None = None
        self._child_ended = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._terminal = _foreground_terminal()

    async def run(self) -> Outcome:
        """Return once the command has ended and the office is given up, or there is nothing to wait for any more.

        Raises Failed, BadInput (a lease that the store can't give), Unsure's kinds.
        """
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        be_a_subreaper()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._signalled, number)
        desk = Desk(
            self._store, self._clock, self._alarm, self._folder, self._machine, boot_id(), self._desk_log, wall=now_text
        )
        mirror = Mirror(self._store, self._layout.free_office(self._wanted.office), clock=self._clock)
        drains = Mirror(self._store, self._layout.drains, clock=self._clock)
        if self._wanted.timeout_s is not None:
            self._spawn(self._time_out(self._wanted.timeout_s))
        try:
            starting = asyncio.gather(mirror.start(), drains.start())
            first: set[asyncio.Future[Any]] = {starting, self._done}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if self._done.done():
                starting.cancel()
                return self._done.result()
            await starting
            if not self._wanted.wait and self._not_to_be_had(mirror.current):
                return Outcome("held by another")
            session = await desk.session("office", self._timing)
            self._candidate = desk.candidate(
                session,
                office_keys(self._layout, self._wanted.office, self._me),
                self._me,
                priority=self._wanted.priority,
                on_change=lambda: None,
                guard=self._duty,
            )
            self._duty.bind(self._candidate)
            self._leaving = Leaving(self._candidate)
            self._spawn(self._follow(drains, mirror, drains))
            self._spawn(self._follow(mirror, mirror, drains))
            try:
                return await asyncio.shield(self._done)
            finally:
                self._leaving.close()
                await self._give_up(desk)
        finally:
            await desk.close(hand_over=False)
            for task in self._tasks:
                task.cancel()
            await mirror.close()
            await drains.close()
            self._alarm.close()
            self._take_terminal_back()

    async def _give_up(self, desk: Desk) -> None:
        """End the work, in its time, and release what is held; what a silent store doesn't take ends with its lease."""
        giving_up = asyncio.create_task(desk.close(hand_over=True))
        await self._duty.until_idle()
        held = self._candidate.session.lease is not None
        await asyncio.wait({giving_up}, timeout=RELEASE_WITHIN_S if held else 0)
        if not giving_up.done():
            giving_up.cancel()
            if held:
                self._say("the store is silent: the office is free when its lease ends")
        with contextlib.suppress(asyncio.CancelledError):
            await giving_up

    # ---- the office

    async def _follow(self, changing: Mirror, mirror: Mirror, drains: Mirror) -> None:
        async for _ in changing.after(-1):
            self._look(mirror.current, drains.current)
        raise Failed("the mirror of the store has ended; the log says why")

    def _look(self, snapshot: MirrorSnapshot, drains: MirrorSnapshot) -> None:
        view = office_view(snapshot, self._layout, self._wanted.office)
        prefix = self._layout.drains
        drained = {item.key.removeprefix(prefix): drains.decoded.record(Drained, item) for item in drains.under(prefix)}
        places = places_away(drained)
        away, self._away = self._away, self._machine in places
        if self._away and not away:
            self._say(f"this host is drained: {self._wanted.office} is for others until it isn't any more")
        if not self._wanted.wait and self._candidate.term is None and (self._away or self._not_to_be_had(snapshot)):
            self._finish(Outcome("held by another"))
        others = {name: item for name, item in view.candidates.items() if name != self._me}
        self._leaving.look(self._away, in_line(others, places))
        self._candidate.saw(view)

    def _not_to_be_had(self, snapshot: MirrorSnapshot) -> bool:
        holder = office_state(snapshot, self._layout, self._wanted.office).holder
        if holder is None:
            return snapshot.get(self._layout.free_paused(self._wanted.office)) is not None
        return holder.unit != self._me

    async def _time_out(self, timeout_s: float) -> None:
        await self._alarm.until(self._clock.now().after(ns(timeout_s)))
        if not self._ran_by:
            self._finish(Outcome("timed out"))

    # ---- as the owner of the work

    def spec(self, term: int, until: Instant, link: int, second: bool) -> Spec:
        """What the term's guard is told."""
        wanted = self._wanted
        return Spec(
            term=term,
            office=wanted.office,
            until=(until.boot_ns, until.raw_ns),
            guarantee_ns=self._timing.guarantee_ns,
            stop_ns=ns(wanted.stop_timeout_s),
            margin_ns=ns(KILL_MARGIN_S),
            command=[] if second else list(wanted.command),
            link=link,
            begun=second,
            first=wanted.on_elected,
            stopper=["/bin/sh", "-c", wanted.stop] if wanted.stop else None,
            hook=["/bin/sh", "-c", wanted.on_lost] if wanted.on_lost else None,
            verdict=str(self._folder / "verdict"),
            namespace=wanted.namespace,
            terminal=self._terminal,
        )

    def environment(self, term: int) -> dict[str, str]:
        """This process's own, with the term and the office."""
        return {**os.environ, "TENURE_TERM": str(term), "TENURE_OFFICE": self._wanted.office}

    def output(self, term: int) -> int | None:
        """This process's own files."""
        return None

    def may_begin(self, term: int) -> None:
        """Run the command, unless it was run a short time ago."""
        if self._done.done():
            return
        self._ran_by[term] = False
        self._log(f"holds {self._wanted.office} in term {term}")
        if self._wanted.not_again_within_s is None:
            self._ran_by[term] = True
            self._duty.run(term)
        else:
            self._spawn(self._run_unless_it_ran(term, self._wanted.not_again_within_s))

    async def _run_unless_it_ran(self, term: int, within_s: float) -> None:
        key = self._layout.free_ran(self._wanted.office)
        item = (await self._store.read(key)).items.get(key)
        if item is not None:
            ran = decode(Ran, item.value, key)
            age_s = seconds_since(ran.began)
            if age_s is not None and abs(age_s) < within_s:
                self._say(
                    f"{self._wanted.office} ran {max(0, age_s):.0f} s ago, begun by {ran.by}: not again within {within_s:g} s"
                )
                self._finish(Outcome("ran already"))
                return
        record = encode(Ran(began=now_text(), term=term, by=self._me))
        outcome = await self._store.commit([self._candidate.fence(term)], [Put(key, record)])
        if isinstance(outcome, Committed) and not self._done.done():
            self._ran_by[term] = True
            self._duty.run(term)

    def work_ended(self, term: int, status: int) -> bool:
        """The command has ended; by itself, unless its term has ended before."""
        if self._candidate.term == term and not self._done.done():
            self._finish(Outcome("ended", _shell_code(status)))
            self._candidate.let_go()
        return False

    def said(self, term: int, word: str, rest: str) -> None:
        """The guard's other words."""
        if word == "stuck":
            self._say(f"processes that the kernel can't end hold {self._wanted.office} up: {rest}")
        elif word == "gone" and not self._done.done() and self._ran_by.get(term):
            self._take_terminal_back()
            because = self._candidate.machine.because
            self._say(f"term {term} of {self._wanted.office} has ended before its command ({because})")
            if self._wanted.once:
                self._finish(Outcome("lost"))
        else:
            self._log(f"term {term}: guard: {word} {rest}".rstrip())

    def guard_failed(self, term: int, error: OSError) -> None:
        """Without a guard nothing is run."""
        self._fail(Failed(f"the guard can't be started: {error.strerror}"))

    async def none_left(self) -> None:
        """All orphans of a dead guard are this process's children; it has no others."""
        while tree.any_child():
            self._child_ended.clear()
            tree.kill_below(os.getpid())
            self._reap()
            if tree.any_child():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._child_ended.wait(), 0.05)
        if not self._done.done():
            self._take_terminal_back()
            self._say(f"the guard was killed, and the command with it: this term of {self._wanted.office} is over")
            if self._wanted.once:
                self._finish(Outcome("lost"))

    # ---- this process

    def _signalled(self, number: int) -> None:
        now = self._clock.now()
        if self._signalled_at is not None and not self._signalled_at.after(ns(SAME_SIGNAL_S)).reached(now):
            return
        self._signalled_at = self._signalled_at or now
        self._signals.append(number)
        if len(self._signals) == 1:
            self._finish(Outcome("signalled", number))
        else:
            self._duty.kill()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            tree.reap()
        self._child_ended.set()

    def _finish(self, outcome: Outcome) -> None:
        if not self._done.done():
            self._done.set_result(outcome)

    def _fail(self, error: BaseException) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _take_terminal_back(self) -> None:
        if self._terminal >= 0 and any(self._ran_by.values()):
            before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            with contextlib.suppress(OSError):
                os.tcsetpgrp(self._terminal, os.getpgrp())
            signal.signal(signal.SIGTTOU, before)

    def _desk_log(self, event: str, **fields: Any) -> None:
        self._log(f"{event} {' '.join(f'{name}={value}' for name, value in fields.items())}")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)


def _shell_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _foreground_terminal() -> int:
    """Standard input, where it is the terminal that this process group has the foreground of and nobody else reads; else -1."""
    try:
        if os.isatty(0) and os.isatty(1) and os.tcgetpgrp(0) == os.getpgrp():
            return 0
    except OSError:
        pass
    return -1
