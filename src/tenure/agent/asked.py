"""What operators ask of a unit through the store: its failed hook resolved, or the office handed over to another unit."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from tenure.agent import sight
from tenure.agent.host import Host
from tenure.agent.logs import event
from tenure.errors import TenureError
from tenure.model.records import Request
from tenure.model.requests import answer, pending, surplus
from tenure.names import LEADER_OFFICE, UnitName
from tenure.office.driver import Candidate
from tenure.store.api import Item

_log = logging.getLogger("tenure.agent")


class Asked:
    """Answers one unit's requests, each once. Transfers are asked of the unit that is to lead, and answered by the one that does."""

    def __init__(
        self, host: Host, unit: UnitName, revision: int, candidate: Candidate, office: str = LEADER_OFFICE
    ) -> None:
        self._office = office
        self._host = host
        self._unit = unit
        self._revision = revision
        self._candidate = candidate
        self._taken: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolving: tuple[str, Request, Item] | None = None

    @property
    def resolved_by(self) -> Literal["retry", "no-retry"] | None:
        """What is asked of the hook that failed."""
        if self._resolving is None:
            return None
        return "retry" if self._resolving[1].arguments.get("retry", True) else "no-retry"

    def look(self, *, in_error: bool) -> None:
        """See what is asked now. Nothing is awaited here."""
        self._look_for_resolved(in_error)
        self.look_for_transfers()

    async def resolved(self, retry: bool) -> None:
        """The hook that had failed is queued again, or committed: tell whoever asked."""
        if self._resolving is not None:
            request_id, _, item = self._resolving
            self._resolving = None
            self._taken.add(request_id)
            self._answer(item, "done", "the hook runs again" if retry else "the hook counts as done")

    async def close(self) -> None:
        """Answer no more; a transfer that is under way goes on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _look_for_resolved(self, in_error: bool) -> None:
        self._resolving = None
        found = sight.find(self._host.view(), self._unit, self._revision)
        for request_id, request in found[1].requests.items() if found else ():
            if request.kind != "resolved" or request.state != "asked" or request_id in self._taken:
                continue
            assert found is not None
            item = found[1].request_items[request_id]
            if in_error:
                self._resolving = request_id, request, item
                return
            self._taken.add(request_id)
            self._answer(item, "refused", f"{self._unit} is not in error: there is nothing to resolve")

    def look_for_transfers(self) -> None:
        """See whether the office is to be handed over, also while a hook runs: one that hangs must not hold that up."""
        holds, handing_to = self._candidate.term is not None, self._candidate.machine.handing_to
        view = self._host.view()
        if not (holds or handing_to) or sight.find(view, self._unit, self._revision) is None:
            return
        for unit, request_id, request in pending(view, self._unit.application, "transfer"):
            if request.arguments.get("office", LEADER_OFFICE) != self._office:
                continue
            now = bool(request.arguments.get("now"))
            if request_id not in self._taken and (holds or (now and str(unit.name) == handing_to)):
                self._taken.add(request_id)
                self._start(self._transfer(unit.name, unit.request_items[request_id], now))

    async def _transfer(self, to: UnitName, item: Item, now: bool) -> None:
        term = self._candidate.term
        event(
            _log,
            f"{self._unit} is asked to hand over to {to}",
            event="transfer-asked",
            unit=str(self._unit),
            to=str(to),
        )
        if to == self._unit:
            await self._send(item, "done", f"{to} {self._holds}")
        elif await self._candidate.transfer(str(to), at_once=now):
            event(
                _log, f"{self._unit} has handed over to {to}",
                event="transferred", unit=str(self._unit), to=str(to), term=term,
            )  # fmt: skip
            await self._send(item, "done", f"{to} {self._holds}")
        else:
            still = f"{self._unit} {self._holds} still" if self._candidate.term == term else f"term {term} has ended"
            await self._send(item, "refused", f"{to} isn't there, or did not answer within a second: {still}")

    @property
    def _holds(self) -> str:
        return "is the leader" if self._office == LEADER_OFFICE else f"holds {self._office}"

    def _answer(self, item: Item, state: Literal["done", "refused"], text: str) -> None:
        self._start(self._send(item, state, text))

    async def _send(self, item: Item, state: Literal["done", "refused"], text: str) -> None:
        try:
            await answer(self._host.store, item, state, text)
            found = sight.find(self._host.view(), self._unit, self._revision)
            if found is not None and (deletes := surplus(found[1])):
                await self._host.store.commit([], deletes)
        except TenureError as error:
            _log.warning("a request can't be answered: %s", error.message)

    def _start(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
