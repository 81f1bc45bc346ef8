"""A candidate's terms under guards: one guard for each run of a term's work, and a second one where that has died before
its time, for what is to be run when a term ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from tenure.clock import Instant
from tenure.guard.client import Client, instant
from tenure.guard.spec import Spec
from tenure.office.decisions import Because
from tenure.office.driver import Candidate

ANSWERS_WITHIN_S = 1.0
"""A guard that is found and says nothing for so long is stopped, or worse: it is killed, and its work with it."""

TRIES_EVERY_S = 1.0
"""How often a guard is tried to be started where the host has no room for one."""


class Owner(Protocol):
    """Who has the work guarded. Called in the event loop; must not raise."""

    def spec(self, term: int, until: Instant, link: int, second: bool) -> Spec:
        """What the term's guard is told. A second one, after the first's death, has no command and no workload."""
        ...

    def environment(self, term: int) -> dict[str, str]:
        """The work's."""
        ...

    def output(self, term: int) -> int | None:
        """A file for what the work prints, which is closed afterwards; None: this process's own files."""
        ...

    def may_begin(self, term: int) -> None:
        """The term is believed in: call `Duty.run` when its work is to begin."""
        ...

    def work_ended(self, term: int, status: int) -> bool:
        """The command has ended by itself, or was ended, with this wait status. Whether the term goes on, with a guard
        for the next run: call `Duty.run` when that is to begin."""
        ...

    def said(self, term: int, word: str, rest: str) -> None:
        """Anything else that the guard says, for the log."""
        ...

    def guard_failed(self, term: int, error: OSError) -> None:
        """A guard can't be started."""
        ...

    async def none_left(self) -> None:
        """A guard has died: return once nothing of what it guarded is left."""
        ...


@dataclass(eq=False)
class _Guarded:
    term: int
    client: Client
    second: bool = False
    armed: bool = False
    begun: bool = False
    ended: bool = False
    gone: bool = False
    lost: bool = False
    ending: bool = False
    deposed: bool = False
    again: bool = False
    """Whether the term goes on, under another guard, when this one has gone."""
    until: Instant | None = None
    """The deadline of an end that was asked for."""


class Duty:
    """Does what the candidate's machine asks of guards, and says what they say."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._guarded: _Guarded | None = None
        self._next: tuple[int, Instant] | None = None
        self._in_vain = 0
        """The term for which no guard could be started: it ends, and is not tried again."""
        self._over = 0
        """The term whose guard is gone, and all that it guarded: it is never guarded again."""
        self._candidate: Candidate | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def bind(self, candidate: Candidate) -> None:
        """The candidate whose terms these are."""
        self._candidate = candidate

    def find(self, term: int, path: str) -> int:
        """Take up the guard that a forerunner of this process began: the term that it guards, 0 when none is there.

        `term`: what was written down of it, which counts only where the guard itself can't be asked: an older note may
        have been put back, and a guard that nobody speaks to would go on beside whatever comes after it.
        """
        guarded = self._new(term, second=False)
        guarded.begun = True
        if not guarded.client.find(path):
            return 0
        guarded.term = guarded.client.term or term
        self._guarded = guarded
        asyncio.get_running_loop().call_later(ANSWERS_WITHIN_S, self._destroy_unless_armed, guarded)
        return guarded.term

    def follow(self, term: int) -> None:
        """The guard of a forerunner's term is dead, and has not run leader-deposed to its end: a second one does, as
        soon as nothing of the work is left."""
        guarded = self._guarded = self._new(term, second=False)
        guarded.begun = guarded.lost = True
        self._spawn(self._after_death(guarded))

    def gone(self, term: int) -> None:
        """The guard of a forerunner's term has said that nothing is left."""
        self._over = term

    async def until_idle(self) -> None:
        """Return once no guard is there, and nothing that one guarded."""
        while self._guarded is not None:
            self._changed.clear()
            await self._changed.wait()

    # ---- what the candidate asks

    def arm(self, term: int, until: Instant) -> None:
        """Have a guard for the term; extend it where there is one."""
        guarded = self._guarded
        if guarded is not None and guarded.term == term and guarded.again:
            return  # the next guard is told
        if term == self._over or (guarded is not None and guarded.term == term and (guarded.second or guarded.lost)):
            # Later in the loop: the machine has not ended the step that asked for the guard.
            asyncio.get_running_loop().call_soon(self._say_guard_gone, term)
        elif guarded is None:
            # One that came up now would be alive when it is said that nothing of the term is left.
            if term != self._in_vain:
                self._start(term, until, second=False)
        elif guarded.term != term:
            self._next = (term, until)  # once the former one's is gone
        elif guarded.term == term and not guarded.ended:
            guarded.client.extend(until)

    def elected(self, term: int) -> None:
        """The term is believed in."""
        self._owner.may_begin(term)

    def run(self, term: int) -> None:
        """Begin the term's work."""
        guarded = self._guarded
        if guarded is not None and guarded.term == term and not guarded.lost:
            guarded.begun = True
            guarded.client.run()

    def end_run(self, term: int) -> None:
        """End the run that is under way, in its time, as if the command had ended by itself; the term goes on."""
        guarded = self._guarded
        if guarded is not None and guarded.term == term and guarded.begun and not guarded.ending:
            guarded.again = True
            guarded.client.end()

    def check(self, term: int) -> None:
        """Run the check of the run that is under way, if there is one."""
        if self._guarded is not None and self._guarded.term == term:
            self._guarded.client.check()

    def uncheck(self, term: int) -> None:
        """Kill that check."""
        if self._guarded is not None and self._guarded.term == term:
            self._guarded.client.uncheck()

    def end(self, term: int, deadline: Instant | None, because: Because) -> None:
        """End the term's work; None: at once."""
        guarded = self._guarded
        if guarded is None or guarded.term != term:
            self._say_gone(term)
            return
        guarded.until, guarded.again = deadline, False
        if guarded.lost:
            return  # once nothing is left
        if because == "guard silent":
            guarded.client.destroy()
        elif deadline is None:
            guarded.client.kill()
        else:
            guarded.client.end()

    def over(self, term: int) -> None:
        """The key is gone."""
        if self._next is not None and self._next[0] == term:
            self._next = None
        if self._guarded is not None and self._guarded.term == term:
            self._guarded.again = False
            self._guarded.client.kill()

    def kill(self) -> None:
        """End whatever runs at once."""
        if self._guarded is not None:
            self._guarded.again = False
            self._guarded.client.kill()

    # ---- what the guard says

    def _start(self, term: int, until: Instant, *, second: bool) -> None:
        guarded = self._new(term, second=second)
        self._guarded, self._next = guarded, None
        output: int | None = None
        try:
            output = self._owner.output(term)
            guarded.client.start(
                lambda link: self._owner.spec(term, until, link, second),
                self._owner.environment(term),
                output=output,
            )
        except OSError as error:
            self._owner.guard_failed(term, error)
            guarded.lost = True
            self._guarded, self._in_vain = None, term
            self._changed.set()
            asyncio.get_running_loop().call_later(TRIES_EVERY_S, self._failed, term)
        finally:
            if output is not None:
                os.close(output)

    def _new(self, term: int, *, second: bool) -> _Guarded:
        guarded = _Guarded(
            term,
            Client(lambda word, rest: self._heard(guarded, word, rest), lambda: self._lost(guarded)),
            second=second,
        )
        return guarded

    def _destroy_unless_armed(self, guarded: _Guarded) -> None:
        if not guarded.armed:
            guarded.client.destroy()

    def _heard(self, guarded: _Guarded, word: str, rest: str) -> None:
        candidate, term = self._candidate, guarded.term
        assert candidate is not None
        if word == "armed":
            guarded.armed = True
            held, _, how = rest.partition(" ")
            self._owner.said(term, word, how)
            if guarded.second:
                guarded.client.end()
            else:
                candidate.guard_acknowledged(term, instant(held))
        elif word == "held":
            candidate.guard_acknowledged(term, instant(rest))
        elif word == "ended":
            guarded.ended = True
            again = self._owner.work_ended(term, int(rest))
            guarded.again = guarded.again or (again and not guarded.ending)
        elif word == "ending":
            if not guarded.ending:
                guarded.ending = True
                self._owner.said(term, word, rest)
            if not guarded.again:
                candidate.guard_gone(term)
        elif word == "gone":
            guarded.gone = True
            self._owner.said(term, word, rest)
        else:
            guarded.deposed = guarded.deposed or word == "deposed"
            self._owner.said(term, word, rest)

    def _lost(self, guarded: _Guarded) -> None:
        """Its process has ended: in order, or it was killed, and the work with it."""
        guarded.lost = True
        if guarded.gone:
            self._finish(guarded)
            return
        guarded.again = False
        self._owner.said(guarded.term, "killed", "")
        self._spawn(self._after_death(guarded))

    async def _after_death(self, guarded: _Guarded) -> None:
        assert self._candidate is not None
        self._candidate.guard_gone(guarded.term)
        await self._owner.none_left()
        if guarded.begun and not guarded.second and not guarded.deposed:
            # It may have run leader-deposed already; once too often is what a hook must bear, never is not.
            self._start(guarded.term, guarded.until or Instant(0, 0), second=True)
        else:
            self._finish(guarded)

    def _finish(self, guarded: _Guarded) -> None:
        if self._guarded is guarded:
            self._guarded = None
            self._changed.set()
        if guarded.again:
            assert self._candidate is not None
            self._start(guarded.term, self._candidate.session.sure_until, second=False)
            return
        self._over = guarded.term
        self._say_gone(guarded.term)
        if self._guarded is None and self._next is not None:
            self._start(*self._next, second=False)

    def _failed(self, term: int) -> None:
        self._say_guard_gone(term)
        self._say_gone(term)

    def _say_guard_gone(self, term: int) -> None:
        assert self._candidate is not None
        self._candidate.guard_gone(term)

    def _say_gone(self, term: int) -> None:
        assert self._candidate is not None
        self._candidate.work_gone(term)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
