"""All singletons of one unit's: their candidacies, from the end of its `start` hook until its `stop`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tenure.agent.asked import Asked
from tenure.agent.host import Host
from tenure.agent.journal import JournalFile
from tenure.agent.singletons.process import SingletonProcess
from tenure.errors import BadInput
from tenure.howto.leaving import Leaving, successors
from tenure.model.application import ApplicationView
from tenure.model.records import Work, encode
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.office.driver import Candidate, Session
from tenure.store.api import created_at


@dataclass(slots=True)
class _One:
    name: str
    process: SingletonProcess
    session: Session
    work_key: str
    asked: Asked
    leaving: Leaving

    @property
    def candidate(self) -> Candidate:
        return self.process.candidate


class Singletons:
    """One unit's part in the singletons of its application."""

    def __init__(self, host: Host, unit: UnitName) -> None:
        self._host = host
        self._unit = unit
        self._all: list[_One] = []
        self._begun = False
        self._withdrawn = False

    @classmethod
    async def begin(cls, host: Host, application: ApplicationView, unit: UnitName, revision: int) -> Singletons:
        """Take up what a forerunner of this agent has left, and be a candidate if the unit has started.

        Raises BadInput for a lease that the store can't give.
        """
        self = cls(host, unit)
        if not application.info.singletons:
            return self
        self._begun = _has_started(host, application, unit)
        alive = (created_at(host.layout.unit_info(unit), revision),)
        for name, singleton in application.info.singletons.items():
            timing = singleton.timing(application.info.timing)
            own = "" if timing == application.info.timing else f" lease {timing.ttl_s} s"
            session = await host.desk.session(f"application {application.name}{own}", timing)
            work_key = f"{host.layout.works(application.name, singleton.office)}{unit.number}"

            def say(work: Work, session: Session = session, key: str = work_key) -> None:
                if not self._withdrawn:
                    session.keep(key, encode(work), alive)

            process = SingletonProcess(host, unit, name, singleton, timing, say)
            process.begin(session, application.office_keys(unit, singleton.office), candidate=self._begun)
            asked = Asked(host, unit, revision, process.candidate, singleton.office)
            self._all.append(_One(name, process, session, work_key, asked, Leaving(process.candidate)))
        return self

    @property
    def candidates(self) -> list[Candidate]:
        """The unit's candidacies for its singletons' offices."""
        return [one.candidate for one in self._all]

    def explain(self) -> dict[str, dict[str, Any]]:
        """How each candidacy stands, by the singleton's name."""
        return {one.name: one.candidate.explain() for one in self._all}

    def saw(self, application: ApplicationView | None, view: ModelView) -> None:
        """The mirror shows something new."""
        for one in self._all if application is not None else ():
            assert application is not None
            office = one.process.singleton.office
            if self._begun:
                self._is_away(one, application, view)
            one.candidate.saw(application.office_view(self._unit, view.revision, office))
            one.asked.look_for_transfers()

    def start(self) -> None:
        """The unit's `start` hook has succeeded: be a candidate."""
        if not self._begun and not self._withdrawn:
            self._begun = True
            view = self._host.view()
            application = view.applications.get(self._unit.application)
            for one in self._all:
                if application is None or not self._is_away(one, application, view):
                    one.candidate.begin()

    def _is_away(self, one: _One, application: ApplicationView, view: ModelView) -> bool:
        """Whether the machine is drained; then this isn't a candidate, and once it is no longer, it is one again."""
        away = self._host.machine in view.drained
        office = one.process.singleton.office
        one.leaving.look(away, successors(view, application, office, str(self._unit)) if away else ())
        return away

    async def withdraw(self) -> None:
        """Be no candidate any more: what runs is stopped, and its office given up. May be called again meanwhile."""
        self._withdrawn = True
        for one in self._all:
            one.leaving.close()
        await asyncio.gather(*(self._withdraw(one) for one in self._all))

    async def _withdraw(self, one: _One) -> None:
        await one.candidate.withdraw()
        await one.session.drop(one.work_key)
        one.process.close()

    def kill(self) -> None:
        """End their processes at once."""
        for one in self._all:
            one.process.kill()


def _has_started(host: Host, application: ApplicationView, unit: UnitName) -> bool:
    """Whether an earlier agent of this host has seen the unit's `start` through, in this boot, and not its `stop`."""
    found = application.units.get(unit.number)
    try:
        journal = JournalFile(host.state.unit(unit)).load()
    except BadInput:
        return False  # the unit's own preparation says so
    return (
        found is not None
        and journal is not None
        and journal.unit_revision == found.born
        and journal.started
        and not journal.stopped
        and journal.boot_id == host.boot_id
    )
