"""What commands ask an agent directly: only it can vouch for its units, and say what they do."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import tenure
from tenure.agent.host import Host
from tenure.agent.resolver import Gone, Idle, Next, Resolve, Run, Skip, Waiting
from tenure.agent.unit import UnitAgent
from tenure.clock import NS_PER_S
from tenure.errors import BadInput, NoSuchThing
from tenure.names import UnitName


class Control:
    """Answers the verbs `ping`, `is-leader`, `explain` and `losses`."""

    def __init__(self, host: Host, find: Callable[[UnitName], UnitAgent | None]) -> None:
        self._host = host
        self._find = find

    def register(self) -> None:
        """Have the agent's server ask here."""
        self._host.server.control |= {
            "ping": self.ping,
            "is-leader": self.is_leader,
            "explain": self.explain,
            "losses": self.losses,
        }

    async def ping(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Who answers: `machine`, `pid`, `version`."""
        return {"machine": self._host.machine, "pid": os.getpid(), "version": tenure.__version__}

    async def is_leader(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Whether `unit` holds the office for `for_s` more (left out: its guarantee). A yes leaves the unit: it is owed in full.

        Answers `verdict` (yes, no, unknown), `term`, `surely_left_s`, `owed_s`, `since`, which is for people, and
        `print_until`, the readings of an instant of this host's: from then on a yes must not be said any more.
        Raises NoSuchThing (the unit isn't this machine's), BadInput (no lease of its can give that).
        """
        unit = self._unit(request)
        for_s = request.get("for_s")
        if for_s is not None and not (isinstance(for_s, int | float) and for_s >= 0):
            raise BadInput("a length of time is a number of seconds")
        answer = await unit.candidate.is_leader(for_s, debtor=None)
        return {
            "unit": str(unit.name),
            "verdict": answer.verdict,
            "term": answer.term,
            "surely_left_s": answer.surely_left_s,
            "owed_s": answer.owed_s,
            "since": self._since(unit, answer.term),
            "print_until": answer.print_until,
        }

    async def explain(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What `unit` does or waits for, and how its candidacy stands."""
        unit = self._unit(request)
        return {
            "candidacy": unit.candidate.explain(),
            "singletons": unit.singletons.explain(),
            "next": self._spelled(unit.next),
            "running": unit.running,
        }

    async def losses(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """For how many seconds the machines that this agent has seen go have been lost: `machines`, by name."""
        return {"machines": self._host.losses.seconds(self._host.clock.now())}

    def _unit(self, request: Mapping[str, Any]) -> UnitAgent:
        name = UnitName.parse(str(request.get("unit", "")))
        unit = self._find(name)
        if unit is None:
            raise NoSuchThing(f"the agent of {self._host.machine} does not run {name}")
        return unit

    def _since(self, unit: UnitAgent, term: int | None) -> str:
        application = self._host.view().applications.get(unit.name.application)
        office = application.office() if application else None
        return office.holder.began if office and office.holder and office.term == term else ""

    def _spelled(self, next_: Next | None) -> dict[str, Any]:
        now = self._host.clock.now()
        match next_:
            case Run(hook) | Skip(hook) | Resolve(hook):
                return {"does": type(next_).__name__.lower(), "hook": hook.name}
            case Waiting(for_, hook, until):
                return {"waits": for_, "hook": hook.name, "seconds": until.left_ns(now) / NS_PER_S}
            case Idle(until):
                return {"idle": True, "seconds": until.left_ns(now) / NS_PER_S if until else None}
            case Gone(orderly):
                return {"leaves": True, "orderly": orderly}
            case None:
                return {"waits": "its charm"}
