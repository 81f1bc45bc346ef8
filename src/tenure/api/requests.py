"""What operators ask of a program's unit through the store, as `tenure transfer worker/2` does: answered by whoever leads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from tenure.api.candidacies import Standing
from tenure.errors import TenureError
from tenure.model.requests import answer, pending
from tenure.store.api import Item

if TYPE_CHECKING:
    from tenure.api.unit import Unit

_log = logging.getLogger("tenure.office")


class Requests:
    """Answers the transfers that are asked of a unit's application, each once, while the unit leads."""

    def __init__(self, unit: Unit, standing: Standing) -> None:
        self._unit, self._candidate = unit, standing.candidate
        self._taken: set[str] = set()

    def look(self) -> None:
        """See what is asked now. Nothing is awaited here."""
        workings = self._unit.connection.workings
        view = workings.view()
        if self._candidate.term is None or self._unit.application not in view.applications:
            return
        for unit, request_id, request in pending(view, self._unit.application, "transfer"):
            if request_id not in self._taken:
                self._taken.add(request_id)
                now = bool(request.arguments.get("now"))
                workings.spawn(self._transfer(str(unit.name), unit.request_items[request_id], now))

    async def _transfer(self, to: str, item: Item, now: bool) -> None:
        me, term = self._candidate.unit, self._candidate.term
        if to == me or await self._candidate.transfer(to, at_once=now):
            await self._send(item, "done", f"{to} is the leader")
        else:
            still = f"{me} is the leader still" if self._candidate.term == term else f"term {term} has ended"
            await self._send(item, "refused", f"{to} isn't there, or did not answer within a second: {still}")

    async def _send(self, item: Item, state: Literal["done", "refused"], text: str) -> None:
        try:
            await answer(self._unit.connection.workings.store, item, state, text)
        except TenureError as error:
            _log.warning("a request can't be answered: %s", error.message)
