"""The driver of a session: calls the store when its machine says so, and keeps the keys that live on its lease."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tenure.alarm import Waiter
from tenure.clock import Clock, Instant
from tenure.errors import LeaseLost, Unsure
from tenure.office import decisions as d
from tenure.office import session as machine
from tenure.office.driver.calls import Tasks, Ticker, within
from tenure.office.driver.ledger import Ledger
from tenure.office.timing import Timing
from tenure.store.api import Committed, Compare, Delete, Item, Put, Store, modified_at

Log = Callable[..., None]


class _Kept:
    """A key that is put with each lease: one write to it is under way at a time."""

    def __init__(self, value: bytes, when: tuple[Compare, ...]) -> None:
        self.value, self.when = value, when
        self.revision = 0
        self.put: tuple[bytes, int] | None = None
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None


class Session:
    """One lease, kept alive for as long as the desk is open, and the keys that are put with it.

    Times: `sure_until` is an instant of this host's clocks, until which the store has not ended `lease`.
    """

    def __init__(
        self,
        name: str,
        timing: Timing,
        store: Store,
        clock: Clock,
        waiter: Waiter,
        ledger: Ledger,
        log: Log,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.timing = timing
        self.machine = machine.Session(timing, confirm_renewals=store.traits.confirm_renewals, dice=dice)
        self._store, self._clock, self._waiter, self._ledger, self._log = store, clock, waiter, ledger, log
        self._tasks = Tasks()
        self._ticker = Ticker(clock, waiter, self._tasks, self.machine.wake_in_ns, self._tick)
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._kept: dict[str, _Kept] = {}
        self._silent = False
        self._unproved = False
        self._todo: deque[d.Decision] = deque()
        self._performing = False
        self._revoking: asyncio.Task[None] | None = None
        self.on_moved: list[Callable[[], None]] = []

    @property
    def lease(self) -> int | None:
        """The lease; None from the loss of one to the grant of the next, and until the first answer."""
        return self.machine.lease

    @property
    def sure_until(self) -> Instant:
        """Until when the lease surely lives."""
        return self.machine.sure_until

    @property
    def lost(self) -> int:
        """How many leases have been lost."""
        return self.machine.lost

    def start(self) -> None:
        """Take the saved lease up again, or ask for one."""
        now = self._clock.now()
        starts = self._ledger.starts_within(now, self.timing.ttl_ns)
        saved = self._ledger.lease(self.name, self.timing.ttl_s)
        self.perform(self.machine.start(now, saved, starts_unfinished=starts))

    def perform(self, decisions: Sequence[d.Decision]) -> None:
        """Do what the machine has decided, in order."""
        self._todo.extend(decisions)
        if self._performing:
            return
        self._performing = True
        try:
            while self._todo:
                self._perform(self._todo.popleft())
        finally:
            self._performing = False
        self._ticker.arm()

    def moved(self) -> None:
        """Have every candidacy look again."""
        for moved in list(self.on_moved):
            moved()

    def renew_now(self) -> None:
        """More is asked for than is sure."""
        self.perform(self.machine.renew_now(self._clock.now()))

    def lease_gone(self, lease: int) -> None:
        """A commit found this lease gone."""
        self.perform(self.machine.lease_gone(self._clock.now(), lease))

    def keep(self, key: str, value: bytes, when: tuple[Compare, ...] = ()) -> None:
        """Have `key` with this value for as long as the session has a lease: put now, and again with each new one.

        `when`: what must hold of other keys, for good. A put that it fails for is not sent again, and none lands later.
        """
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(value, when)
        kept.value = value
        self._put(key, kept)

    async def drop(self, key: str) -> None:
        """Keep `key` no longer. Returns once it is surely gone, however long the store is silent."""
        kept = self._kept.pop(key, None)
        if kept is None:
            if not self.machine.resumed:
                return
            # A forerunner has put it, on the lease that was taken up again.
            kept = _Kept(b"", ())
        async with kept.lock:
            while True:
                try:
                    when = [modified_at(key, kept.revision)]
                    outcome = await self._within(self._store.commit(when, [Delete(key)]))
                except Unsure:
                    await self._pause()
                    continue
                if isinstance(outcome, Committed):
                    return
                item = outcome.current.get(key)
                if item is None:
                    return
                kept.revision = item.mod_revision

    async def close(self, *, revoke: bool) -> None:
        """Stop. With `revoke` the lease is ended first; a store that is silent then lets it run out."""
        if revoke:
            self.perform(self.machine.close(self._clock.now()))
            if self._revoking is not None:
                await asyncio.wait([self._revoking])
        await self._tasks.cancel()

    def _perform(self, decision: d.Decision) -> None:
        match decision:
            case d.SendRenew(call=call, lease=lease):
                self._call(call, self._renew(call, lease))
            case d.Moved():
                self.moved()
            case d.SendGrant(call=call, ttl_s=ttl_s):
                self._call(call, self._grant(call, ttl_s))
            case d.SendConfirm(call=call, ttl_s=ttl_s):
                self._call(call, self._confirm(call, ttl_s))
            case d.CloseStream(call=call):
                if (task := self._calls.pop(call, None)) is not None:
                    task.cancel()
                self._note_silence("no answer in time")
            case d.SaveLease(lease=lease):
                self._ledger.save_lease(self.name, self.timing.ttl_s, lease)
            case d.LeaseBegun():
                for key, kept in self._kept.items():
                    kept.put = None
                    self._put(key, kept)
            case d.LeaseOver(lease=lease):
                self._log("lease lost", session=self.name, lease=lease)
            case d.SendRevoke(lease=lease):
                self._revoking = self._tasks.start(self._revoke(lease))

    def _tick(self) -> None:
        self.perform(self.machine.tick(self._clock.now()))

    def _call(self, call: int, work: Coroutine[Any, Any, None]) -> None:
        self._calls[call] = task = self._tasks.start(work)
        task.add_done_callback(lambda _: self._calls.pop(call, None))

    async def _grant(self, call: int, ttl_s: int) -> None:
        try:
            grant = await self._store.grant(ttl_s)
        except Unsure as error:
            self._failed(call, error)
        else:
            self._answered()
            self.perform(self.machine.granted(self._clock.now(), call, grant.lease, grant.ttl_s))

    async def _renew(self, call: int, lease: int) -> None:
        try:
            renewal = await self._store.renew(lease)
        except LeaseLost:
            self._answered()
            self.perform(self.machine.refused(self._clock.now(), call))
        except Unsure as error:
            self._failed(call, error)
        else:
            self._answered()
            self.perform(self.machine.renewed(self._clock.now(), call, renewal.ttl_s, renewal.witness))

    async def _confirm(self, call: int, ttl_s: int) -> None:
        put = (key for key, kept in self._kept.items() if kept.put is not None and kept.put[1] == self.machine.renewing)
        key = next(put, next(iter(self._kept), None))
        if key is None:
            self._unproved = True
            self.perform(self.machine.nothing_to_confirm(self._clock.now(), call))
            return
        try:
            snapshot = await self._store.read(key)
        except Unsure as error:
            self._failed(call, error)
            return
        item = snapshot.items.get(key)
        lease = item.lease if item is not None else None
        self.perform(self.machine.confirmed(self._clock.now(), call, lease, ttl_s, snapshot.witness))

    async def _revoke(self, lease: int) -> None:
        try:
            await self._within(self._store.revoke(lease))
        except Unsure as error:
            self._log("lease not revoked, it will run out", session=self.name, lease=lease, error=str(error))

    def _failed(self, call: int, error: Exception) -> None:
        self._note_silence(str(error))
        self.perform(self.machine.failed(self._clock.now(), call))

    def _note_silence(self, error: str) -> None:
        if not self._silent:
            self._silent = True
            self._log("the store is silent", session=self.name, error=error)

    def _answered(self) -> None:
        if self._silent:
            self._silent = False
            self._log("the store answers again", session=self.name)

    def _put(self, key: str, kept: _Kept) -> None:
        if kept.task is None and self.lease is not None:
            kept.task = self._tasks.start(self._keep_putting(key, kept))

    async def _keep_putting(self, key: str, kept: _Kept) -> None:
        try:
            async with kept.lock:
                while (lease := self.lease) and self._kept.get(key) is kept and kept.put != (kept.value, lease):
                    await self._put_once(key, kept, kept.value, lease)
        finally:
            kept.task = None

    async def _put_once(self, key: str, kept: _Kept, value: bytes, lease: int) -> None:
        # Compared with what it was, so that a put which lands late lands on nothing newer.
        when = [modified_at(key, kept.revision), *kept.when]
        try:
            outcome = await self._within(self._store.commit(when, [Put(key, value, lease)]))
        except LeaseLost:
            self.lease_gone(lease)
        except Unsure:
            # A disk that is full now may take it later, as a store that is silent may.
            await self._pause()
        else:
            if isinstance(outcome, Committed):
                kept.revision, kept.put = outcome.revision, (value, lease)
                if self._unproved:
                    # What was renewed while there was no key to confirm it by is sure of nothing.
                    self._unproved = False
                    self.renew_now()
            else:
                item = outcome.current.get(key)
                kept.revision = item.mod_revision if item else 0
                if not all(_stands(compare, outcome.current.get(compare.key)) for compare in kept.when):
                    self._log("not kept any more", session=self.name, key=key)
                    self._kept.pop(key, None)

    async def _pause(self) -> None:
        await self._waiter.until(self._clock.now().after(self.machine.retry_in_ns()))

    async def _within(self, call: Coroutine[Any, Any, Any]) -> Any:
        return await within(self._waiter, self._clock.now().after(self.timing.commit_timeout_ns), call)


def _stands(compare: Compare, item: Item | None) -> bool:
    return compare.create_revision == (item.create_revision if item is not None else 0)
