"""`sqlite:///path.db`: one machine's store, in a file that many processes share. The asyncio face of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

from tenure.alarm import Alarm, Waiter
from tenure.clock import Clock, KernelClock
from tenure.errors import StoreUnreachable
from tenure.store.api import Batch, Committed, Compare, Grant, Refused, Renewal, Snapshot, Traits, Write
from tenure.store.checks import WRITES_MAX, check_prefix, check_transaction, check_ttl
from tenure.store.expiry import Expiry
from tenure.store.sqlite.database import Database
from tenure.store.sqlite.history import look, snapshot
from tenure.store.sqlite.hub import Hub
from tenure.store.sqlite.place import Place, check, parse
from tenure.store.sqlite.worker import Worker

TRAITS = Traits(
    name="SQLite",
    least_ttl_s=2,
    most_ttl_s=3600,
    may_end_early=False,
    confirm_renewals=False,
    max_writes=WRITES_MAX,
)


async def open_sqlite(
    url: str, *, clock: Clock | None = None, waiter: Waiter | None = None, must_exist: bool = False
) -> SqliteStore:
    """The store in the file that `url` names, with what was due to expire ended. Raises as `open_store` does."""
    place = parse(url)
    check(place, must_exist=must_exist)
    clock = clock or KernelClock()
    worker = Worker(partial(Database, place, clock), place.url)
    try:
        database = await worker.opened()
    except BaseException:
        worker.abandon()
        raise
    store = SqliteStore(place, database, worker, clock, waiter)
    try:
        await store.expire_due()
    except StoreUnreachable:
        pass  # somebody holds the writer's lock: what stands can be read all the same, and the timer tries again
    except BaseException:
        await store.close()
        raise
    return store


class SqliteStore:
    """A connection to an embedded store, of one event loop. `open_sqlite` makes it."""

    def __init__(
        self, place: Place, database: Database, worker: Worker, clock: Clock, waiter: Waiter | None = None
    ) -> None:
        self._place = place
        self._database = database
        self._worker = worker
        self._clock = clock
        self._alarm = Alarm(clock)
        self._expiry = Expiry(waiter or self._alarm, self._expire)
        self._hub = Hub(worker, database, self._expiry.arm)

    @property
    def url(self) -> str:
        """What it was opened with, symbolic links resolved."""
        return self._place.url

    @property
    def traits(self) -> Traits:
        """Leases from 2 s, which never end early."""
        return TRAITS

    async def read(self, prefix: str) -> Snapshot:
        """All keys under `prefix`. Raises BadInput, StoreBroken, StoreUnreachable."""
        check_prefix(prefix)
        return await self._worker.read(partial(self._database.read, snapshot, prefix))

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """One transaction, on the disk when this returns.

        Raises StoreUnsure when the disk failed at its end; BadInput, LeaseLost, StoreBroken, StoreUnreachable with
        nothing landed. Cancelled, it may land all the same.
        """
        check_transaction(when, then, otherwise)
        return await self._worker.write(
            partial(self._database.write, lambda transaction, _: transaction.commit(when, then, otherwise))
        )

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Every change under `prefix` after revision `after`. Raises Compacted, StoreBroken, StoreUnreachable when closed."""
        check_prefix(prefix)
        async with aclosing(self._hub.watch(prefix, after)) as batches:
            async for batch in batches:
                yield batch

    async def grant(self, ttl_s: int) -> Grant:
        """A new lease. Raises BadInput, StoreBroken, StoreUnreachable, StoreUnsure."""
        check_ttl(ttl_s, TRAITS)
        granted = await self._worker.write(
            partial(self._database.write, lambda transaction, now_ns: transaction.grant(ttl_s, now_ns))
        )
        self._expiry.arm(self._clock.now().boot_ns + ttl_s * 1_000_000_000)
        return granted

    async def renew(self, lease: int) -> Renewal:
        """Begin the lease's ttl anew. Raises LeaseLost, StoreBroken, StoreUnreachable, StoreUnsure."""
        renewal = partial(self._database.write, lambda transaction, now_ns: transaction.renew(lease, now_ns))
        return Renewal(await self._worker.write(renewal))

    async def revoke(self, lease: int) -> None:
        """End the lease and its keys now. Raises StoreBroken, StoreUnreachable, StoreUnsure."""
        await self._worker.write(partial(self._database.write, lambda transaction, _: transaction.revoke(lease)))

    async def advance(self, revision: int) -> None:
        """Every later commit has a revision greater than `revision`, every later lease a number that nobody has had."""
        await self._worker.write(partial(self._database.write, lambda transaction, _: transaction.advance(revision)))

    async def compact(self, revision: int) -> None:
        """Forget the history before `revision`. Raises BadInput when it doesn't exist yet, and what `commit` raises."""
        await self._worker.write(partial(self._database.write, lambda transaction, _: transaction.compact(revision)))

    async def expire_due(self) -> None:
        """End the leases whose time has come by the clock; the alarm does it unasked."""
        self._expiry.arm(await self._expire())

    async def close(self) -> None:
        """Give back the thread and the files; watches end with StoreUnreachable. Leases go on until their time."""
        self._hub.close()
        await self._expiry.close()
        await self._worker.close()
        self._alarm.close()

    async def _expire(self) -> int | None:
        """End what is due; returns when the next lease ends. Where another process was quicker, no lock is taken."""
        ends_ns = await self._next_end()
        if ends_ns is not None and ends_ns <= self._clock.now().boot_ns:
            await self._worker.write(partial(self._database.write, lambda transaction, _: None))
            ends_ns = await self._next_end()
        return ends_ns

    async def _next_end(self) -> int | None:
        return (await self._worker.read(partial(self._database.read, look, None, 0))).ends_ns
