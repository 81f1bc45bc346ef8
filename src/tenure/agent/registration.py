"""A machine's name in the model: one agent at a time speaks for it, on a session of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tenure.errors import LeaseLost, No, Unsure
from tenure.model.records import Machine, decode, encode
from tenure.office.driver import Session
from tenure.store.api import Committed, Item, Put, Store, modified_at

MACHINE_TTL_S = 10
"""How long a dead agent is still taken to live: short enough for whoever places units, long enough to be renewed seldom."""

RETRY_S = 0.5


class Registration:
    """Has the machine's key with this agent's record, for as long as the session has a lease."""

    def __init__(self, store: Store, session: Session, machine: str, key: str, record: Machine) -> None:
        self._store, self._session, self._machine, self._key, self._record = store, session, machine, key, record
        self._value = encode(record)
        self._moved = asyncio.Event()
        self._put_with: int | None = None
        session.on_moved.append(self._moved.set)

    async def claim(self) -> None:
        """Return once the key is this agent's. Raises No, naming it, when another agent has the machine's name.

        A forerunner's of the same state folder is taken over: whoever calls holds that folder's lock.
        """
        while True:
            lease = self._session.lease
            if lease is None:
                self._moved.clear()
                await self._moved.wait()
                continue
            try:
                item = (await self._store.read(self._key)).items.get(self._key)
                self._check(item)
                if item is not None and item.lease == lease and item.value == self._value:
                    self._put_with = lease
                    return
                when = [modified_at(self._key, item.mod_revision if item else 0)]
                outcome = await self._store.commit(when, [Put(self._key, self._value, lease)])
            except LeaseLost:
                self._session.lease_gone(lease)
                continue
            except Unsure:
                await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.0))
                continue
            if isinstance(outcome, Committed):
                self._put_with = lease
                return

    async def keep(self, lost: Callable[[No], None]) -> None:
        """Claim the name again with each new lease; `lost` is called when another agent has taken it meanwhile."""
        while True:
            if self._session.lease not in (None, self._put_with):
                try:
                    await self.claim()
                except No as error:
                    lost(error)
                    return
            self._moved.clear()
            await self._moved.wait()

    def check(self, item: Item | None) -> None:
        """What the mirror shows of the key. Raises No when it is another agent's."""
        self._check(item)

    def _check(self, item: Item | None) -> None:
        if item is None:
            return
        other = decode(Machine, item.value, self._key)
        if other.identity != self._record.identity:
            raise No(
                f'machine "{self._machine}" has an agent already: process {other.pid} on {other.host}, '
                f"with the state folder {other.state_dir}",
                hint=f"use another --machine; if that agent is dead, its name is free within {MACHINE_TTL_S} s",
            )
