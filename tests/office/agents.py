"""Small agents for the driver's tests: a desk, its candidates, and a watch that shows them the office."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenure.alarm import Alarm, Waiter
from tenure.clock import Clock, KernelClock
from tenure.office.driver import Candidate, Desk, OfficeKeys, OfficeView, Session, Timing
from tenure.store.api import Item, Put, Store

PREFIX = "/tenure/test/"
HOLDER, LAST, TERMS = f"{PREFIX}office/holder", f"{PREFIX}office/last", f"{PREFIX}office/terms/"
PAUSED = f"{PREFIX}office/paused"


def keys_of(unit: str) -> OfficeKeys:
    return OfficeKeys(
        "web/leader", HOLDER, LAST, TERMS, f"{PREFIX}units/{unit}/info", f"{PREFIX}units/{unit}/present", PAUSED
    )


class SmallAgent:
    """One machine: a desk, and a candidate for each of its units."""

    def __init__(
        self, store: Store, folder: Path, machine: str, *, clock: Clock | None = None, waiter: Waiter | None = None
    ) -> None:
        self.store = store
        self.machine = machine
        self.clock = clock or KernelClock()
        self.waiter = waiter or Alarm(self.clock)
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.folder = folder / machine
        (folder / "run").mkdir(exist_ok=True)
        self.beside = folder / "run" / f"{machine}.desk"
        self.desk = Desk(
            store,
            self.clock,
            self.waiter,
            self.folder,
            machine,
            "boot-1",
            self._log,
            beside=self.beside,
            dice=random.Random(machine).random,
        )
        self.candidates: dict[str, Candidate] = {}
        self.changes: list[tuple[str, int | None]] = []
        self.session: Session
        self._watching: asyncio.Task[None] | None = None

    async def start(self, *units: str, ttl_s: int = 60, guarantee_s: float | None = None) -> SmallAgent:
        self.session = await self.desk.session("web", Timing.for_lease(ttl_s, guarantee_s))
        for unit in units:
            await self.store.commit([], [Put(keys_of(unit).unit_info, b"{}")])
            self.candidates[unit] = self.desk.candidate(
                self.session, keys_of(unit), unit, on_change=self._changed(unit)
            )
        self._watching = asyncio.create_task(self._watch())
        return self

    async def stop(self, *, hand_over: bool = False) -> None:
        await self.desk.close(hand_over=hand_over)
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    def __getitem__(self, unit: str) -> Candidate:
        return self.candidates[unit]

    def _log(self, event: str, **fields: Any) -> None:
        self.logged.append((event, fields))

    def _changed(self, unit: str) -> Callable[[], None]:
        return lambda: self.changes.append((unit, self.candidates[unit].term))

    async def _watch(self) -> None:
        snapshot = await self.store.read(PREFIX)
        items: dict[str, Item] = dict(snapshot.items)
        self._show(snapshot.revision, items)
        async for batch in self.store.watch(PREFIX, snapshot.revision):
            for change in batch.changes:
                if change.item is None:
                    items.pop(change.key, None)
                else:
                    items[change.key] = change.item
            self._show(batch.revision, items)

    def _show(self, revision: int, items: dict[str, Item]) -> None:
        present = {
            key.removeprefix(f"{PREFIX}units/").removesuffix("/present"): item
            for key, item in items.items()
            if key.endswith("/present")
        }
        for unit, candidate in self.candidates.items():
            candidate.saw(
                OfficeView(
                    revision,
                    items.get(HOLDER),
                    items.get(LAST),
                    items.get(keys_of(unit).unit_info),
                    present,
                    items.get(PAUSED),
                )
            )
