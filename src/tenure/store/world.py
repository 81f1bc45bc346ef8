"""One memory store's whole state, without input, output or waiting: the written-down meaning of `api.py`.

The simulation drives it directly; `memory.py` gives it an asyncio face. Time is an argument (nanoseconds of the
store's own clock). Nothing is checked here that `checks.py` checks: whoever calls has done it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tenure.clock import NS_PER_S
from tenure.errors import Compacted, LeaseLost
from tenure.store.api import (
    Batch,
    Change,
    Committed,
    Compare,
    Delete,
    Grant,
    Item,
    Put,
    Refused,
    Snapshot,
    Write,
)

_NEVER_NS = 2**62


class LeaseRules(NamedTuple):
    """How this world treats leases, for those who test what rests on them. The default is a faultless store."""

    answered_ttl_s: Callable[[int], int] = lambda asked_s: asked_s
    """The ttl that is granted, given what was asked for."""

    ends_late_by_ns: Callable[[], int] = lambda: 0
    """By how much a lease outlives its time, asked at each grant and renewal."""


class _Lease:
    __slots__ = ("ends_ns", "keys", "ttl_s")

    def __init__(self, ttl_s: int, ends_ns: int) -> None:
        self.ttl_s = ttl_s
        self.ends_ns = ends_ns
        self.keys: set[str] = set()


class MemoryWorld:
    """Keys, leases and history of one store. Each method is one step: it has happened when it returns."""

    def __init__(self, *, keep_revisions: int = 10_000, leases: LeaseRules | None = None) -> None:
        self.revision = 0
        self.listeners: list[Callable[[Batch], None]] = []
        """Called with each revision as it lands, in the order in which they were added."""
        self._items: dict[str, Item] = {}
        self._keys: list[str] = []
        self._leases: dict[int, _Lease] = {}
        self._last_lease = 0
        self._soonest_ns = _NEVER_NS  # no lease ends before this
        self._rules = leases or LeaseRules()
        self._history: list[Batch] = []
        self._forgotten = 0
        self._keep = keep_revisions

    # What stands

    def get(self, key: str) -> Item | None:
        """The key as it stands."""
        return self._items.get(key)

    def read(self, prefix: str) -> Snapshot:
        """All keys under `prefix`, in order."""
        items = self._items
        return Snapshot(self.revision, {key: items[key] for key in self._under(prefix)})

    def changes(self, prefix: str, after: int) -> Iterator[Batch]:
        """What later revisions than `after` have done under `prefix`. Raises Compacted."""
        if after < self._forgotten:
            raise Compacted
        for index in range(after - self._forgotten, len(self._history)):
            batch = self._history[index]
            if only := under(batch, prefix):
                yield only

    # What changes it

    def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """One transaction. Raises LeaseLost, with nothing changed, when a put of the branch taken names no lease."""
        items = self._items
        for compare in when:
            if not holds(compare, items.get(compare.key)):
                current = {compare.key: items.get(compare.key) for compare in when}
                return Refused(self._write(otherwise), current)
        return Committed(self._write(then))

    def compact(self, revision: int) -> None:
        """Forget the history before `revision`, one that exists."""
        count = revision - 1 - self._forgotten
        if count > 0:
            del self._history[:count]
            self._forgotten += count

    # Leases

    def grant(self, ttl_s: int, now_ns: int) -> Grant:
        """A new lease, whose number was never used before."""
        self.expire(now_ns)
        ttl_s = self._rules.answered_ttl_s(ttl_s)
        self._last_lease += 1
        lease = self._leases[self._last_lease] = _Lease(ttl_s, self._end(ttl_s, now_ns))
        self._soonest_ns = min(self._soonest_ns, lease.ends_ns)
        return Grant(self._last_lease, ttl_s)

    def renew(self, lease: int, now_ns: int) -> int:
        """Begin the lease's ttl anew; returns it. Raises LeaseLost, also when it was due and nobody had noticed."""
        self.expire(now_ns)
        state = self._leases.get(lease)
        if state is None:
            raise LeaseLost
        state.ends_ns = self._end(state.ttl_s, now_ns)
        return state.ttl_s

    def revoke(self, lease: int) -> None:
        """End the lease and its keys, in one revision; a lease that isn't there is none to end."""
        state = self._leases.pop(lease, None)
        if state is not None and state.keys:
            self._land([(key, None) for key in sorted(state.keys)])

    def expire(self, now_ns: int) -> None:
        """End every lease whose time has come, the earliest first, each in a revision of its own."""
        if now_ns < self._soonest_ns:
            return
        due = sorted((state.ends_ns, lease) for lease, state in self._leases.items() if state.ends_ns <= now_ns)
        for _, lease in due:
            self.revoke(lease)
        self._soonest_ns = self.earliest_end_ns() or _NEVER_NS

    def earliest_end_ns(self) -> int | None:
        """When the next lease ends, if there is one."""
        return min((state.ends_ns for state in self._leases.values()), default=None)

    def _end(self, ttl_s: int, now_ns: int) -> int:
        return now_ns + ttl_s * NS_PER_S + self._rules.ends_late_by_ns()

    def _under(self, prefix: str) -> Iterator[str]:
        keys = self._keys
        for index in range(bisect_left(keys, prefix), len(keys)):
            if not keys[index].startswith(prefix):
                return
            yield keys[index]

    def _write(self, writes: Sequence[Write]) -> int:
        changes: list[tuple[str, Put | None]] = []
        for write in writes:
            if isinstance(write, Put):
                if write.lease and write.lease not in self._leases:
                    raise LeaseLost
                changes.append((write.key, write))
            elif isinstance(write, Delete):
                if write.key in self._items:
                    changes.append((write.key, None))
            else:
                changes.extend((key, None) for key in self._under(write.prefix))
        if changes:
            self._land(changes)
        return self.revision

    def _land(self, changes: Sequence[tuple[str, Put | None]]) -> None:
        self.revision += 1
        revision, items, leases = self.revision, self._items, self._leases
        landed: list[Change] = []
        for key, put in changes:
            old = items.get(key)
            if old is not None and old.lease and (lease := leases.get(old.lease)):
                lease.keys.discard(key)
            if put is None:
                del items[key]
                del self._keys[bisect_left(self._keys, key)]
                landed.append(Change(key, None))
                continue
            if old is None:
                insort(self._keys, key)
                item = Item(key, put.value, revision, revision, 1, put.lease)
            else:
                item = Item(key, put.value, old.create_revision, revision, old.version + 1, put.lease)
            if put.lease:
                leases[put.lease].keys.add(key)
            items[key] = item
            landed.append(Change(key, item))
        if len(landed) > 1:
            landed.sort(key=lambda change: change.key)
        batch = Batch(revision, tuple(landed))
        self._history.append(batch)
        # Trimmed by halves: a cut from the front for each revision would copy the rest each time.
        if len(self._history) > 2 * self._keep:
            self.compact(revision - self._keep + 1)
        for listener in self.listeners:
            listener(batch)


def holds(compare: Compare, item: Item | None) -> bool:
    """Whether the comparison holds of the key as it stands."""
    if item is None:
        return compare.value is None and not compare.create_revision and not compare.mod_revision
    return (
        (compare.mod_revision is None or compare.mod_revision == item.mod_revision)
        and (compare.create_revision is None or compare.create_revision == item.create_revision)
        and (compare.value is None or compare.value == item.value)
    )


def under(batch: Batch, prefix: str) -> Batch | None:
    """The part of `batch` that concerns `prefix`, if there is one."""
    changes = batch.changes
    for change in changes:
        if not change.key.startswith(prefix):
            changes = tuple(change for change in changes if change.key.startswith(prefix))
            return Batch(batch.revision, changes) if changes else None
    return batch
