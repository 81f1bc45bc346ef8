"""How far an operator's rolling operation has come: kept in the model, so that another command can take it up, and no two are at it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tenure.errors import LeaseLost, No, Unsure
from tenure.model.commits import commit_surely
from tenure.model.layout import Layout
from tenure.model.leases import leased
from tenure.model.records import RollingBy, RollingOperation, decode, encode
from tenure.model.walltime import now_text
from tenure.store.api import Committed, Compare, Delete, Item, Put, Refused, Store, Write, absent, modified_at


@dataclass(slots=True)
class Carried:
    """The right to carry an application's operation on, for as long as the lease lasts. From `carried`."""

    lost: asyncio.Future[None]
    """Done when the lease is lost: nothing more may be begun."""
    found: RollingOperation | None
    """An operation that somebody has left unfinished."""
    _store: Store
    _key: str
    _revision: int
    _claim: Compare
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def save(self, operation: RollingOperation) -> None:
        """Note how far it is: before a unit begins, and when it is done. Raises No (somebody else is at it), Unsure's kinds."""
        value = encode(operation)
        async with self._lock:
            self._revision = await self._commit(Put(self._key, value), value)

    async def finish(self) -> None:
        """It is done everywhere. Raises as `save`."""
        async with self._lock:
            await self._commit(Delete(self._key), None)

    async def _commit(self, write: Write, value: bytes | None) -> int:
        def landed(refused: Refused) -> int | None:
            now = refused.current.get(self._key)
            if not _holds(refused, self._claim) or (None if now is None else now.value) != value:
                return None
            return refused.revision if now is None else now.mod_revision

        when = [self._claim, modified_at(self._key, self._revision)]
        outcome = await commit_surely(self._store, when, [write], landed)
        if isinstance(outcome, Committed):
            return outcome.revision
        raise No("this command's lease was lost meanwhile, or the application is gone: nothing more is begun")


def _holds(refused: Refused, claim: Compare) -> bool:
    now = refused.current.get(claim.key)
    return now is not None and now.mod_revision == claim.mod_revision


@contextlib.asynccontextmanager
async def carried(store: Store, layout: Layout, application: str) -> AsyncIterator[Carried]:
    """Be the one who carries the operation of `application` on, for the length of the block. Raises No: somebody does already."""
    async with leased(store) as (lease, lost):
        key, by_key = layout.rolling(application), layout.rolling_by(application)
        value = encode(RollingBy(host=socket.gethostname(), pid=os.getpid(), since=now_text()))

        def landed(refused: Refused) -> int | None:
            now = refused.current.get(by_key)
            return now.mod_revision if now is not None and now.lease == lease else None

        try:
            outcome = await commit_surely(store, [absent(by_key)], [Put(by_key, value, lease)], landed)
        except LeaseLost:
            raise Unsure("this command's lease is lost: nothing was begun") from None
        items = (await store.read(layout.rolling(application))).items
        if isinstance(outcome, Refused):
            raise _refusal(application, outcome.current.get(by_key), items.get(key))
        item = items.get(key)
        found = None if item is None else decode(RollingOperation, item.value, key)
        revision = 0 if item is None else item.mod_revision
        yield Carried(lost, found, store, key, revision, modified_at(by_key, outcome.revision))


def _refusal(application: str, by_item: Item | None, item: Item | None) -> No:
    by = decode(RollingBy, by_item.value, by_item.key) if by_item is not None else None
    operation = decode(RollingOperation, item.value, item.key) if item is not None else None
    who = f" by process {by.pid} on {by.host} since {by.since}" if by is not None else ""
    far = (
        f": {operation.command}; {len(operation.done)} done, {len(operation.left)} left"
        if operation is not None
        else ""
    )
    return No(
        f"an operation on {application} is being carried out{who}{far}",
        hint="wait for its end; if that process is dead, it is known within seconds, and --continue takes it up",
    )
