"""Stepping back from an office for as long as a host is drained: what is held goes to a successor elsewhere, or to nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from tenure.model.application import ApplicationView
from tenure.model.records import Drained
from tenure.model.view import ModelView
from tenure.office.driver import Candidate
from tenure.office.records import Present
from tenure.office.writes import read
from tenure.store.api import Item

_log = logging.getLogger("tenure.office")


class Leaving:
    """Has one candidacy follow what is wanted of its host. All of it belongs to the event loop.

    Promises: nothing that was promised for the office is broken; it is handed over once nothing is owed. While the host is
    drained this candidate claims nothing and is handed nothing.
    """

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._away = False
        self._successors: tuple[str, ...] = ()
        self._stepped_back = False
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def look(self, away: bool, successors: Iterable[str]) -> None:
        """The mirror shows whether the host is drained, and who could succeed this candidate, the best first."""
        self._away, self._successors = away, tuple(successors)
        if self._closed:
            return
        if away and not self._candidate.machine.number:
            # At once: else what the mirror shows next could be claimed before the task below has begun.
            self._candidate.step_back()
        if self._away != self._stepped_back and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._follow())
            self._task.add_done_callback(self._ended)

    def close(self) -> None:
        """Leave the candidacy as it is: somebody else ends it now. A hand-over that is under way goes on."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        while self._away != self._stepped_back:
            if self._away:
                await self._hand_over()
                if self._away:
                    await self._candidate.withdraw()
                    self._stepped_back = True
            else:
                await self._candidate.come_back()
                self._stepped_back = False

    async def _hand_over(self) -> None:
        """Return when the office is held no longer, or nobody takes it."""
        tried: set[str] = set()
        while self._away and self._candidate.term is not None:
            to = next((name for name in self._successors if name not in tried), None)
            if to is None:
                return
            tried.add(to)
            await self._candidate.transfer(to)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s can't step back from %s", self._candidate.unit, self._candidate.keys.name, exc_info=error)


def places_away(drained: Mapping[str, Drained]) -> set[str]:
    """What a candidate that is no agent's gives as its place where it is to step back: a drained machine's name, or its host's."""
    return {*drained, *(one.host for one in drained.values() if one.host)}


def successors(view: ModelView, application: ApplicationView, office: str, unit: str) -> list[str]:
    """The candidates for an application's office on machines that aren't drained, but for `unit`; the greatest priority first."""
    candidates = application.candidates_for(application.office(office))
    return in_line({name: item for name, item in candidates.items() if name != unit}, places_away(view.drained))


def in_line(candidates: Mapping[str, Item], away: Iterable[str]) -> list[str]:
    """The names of candidates whose machines aren't among `away`, the greatest priority first."""
    said = {name: read(Present, item) for name, item in candidates.items()}
    staying = {name: one.priority for name, one in said.items() if one is not None and one.machine not in set(away)}
    return sorted(staying, key=lambda name: (-staying[name], name))
