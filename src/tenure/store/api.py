"""What a store is: an ordered map of keys with revisions, transactions, watches and leases. etcd's data model, no more.

`memory.py` is the written-down meaning of this protocol; the other engines are measured against it.

Rules that hold for every engine:
- Keys are text, values bytes. Revisions are whole numbers that grow by one with each commit that changes something
  (a commit that only deletes what isn't there changes nothing), the end of a lease that had keys included.
- A commit is one transaction: comparisons, then `then` or `otherwise`. It is done (Committed), refused (Refused), or
  *unsure* (StoreUnsure is raised, or the call was cancelled: it may have landed, or may land yet).
  StoreUnreachable says that nothing has happened or will.
- A read sees every commit that was answered before it was sent (linearizable).
- A lease ends no sooner than its ttl after the grant's or last renewal's arrival (`traits.may_end_early` says where that
  can't be relied on); then its keys go, all in one revision.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Item:
    """A key as it stands. `lease` is 0 for a key that belongs to none; `version` counts the puts since its creation."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


@dataclass(frozen=True, slots=True)
class Witness:
    """Which member of a store of several has answered, and the newest term of the store's own leader that it has met."""

    cluster: int
    member: int
    raft_term: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys of a prefix at one revision, in the keys' order."""

    revision: int
    items: Mapping[str, Item]
    witness: Witness | None = None
    """Who has answered, as it stood after the read; None where renewals need no confirmation."""


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of a transaction: each field that isn't None must be equal. 0 revisions mean: the key is absent."""

    key: str
    value: bytes | None = None
    create_revision: int | None = None
    mod_revision: int | None = None


def absent(key: str) -> Compare:
    """`key` does not exist."""
    return Compare(key, create_revision=0)


def created_at(key: str, revision: int) -> Compare:
    """`key` exists since `revision` (0: does not exist)."""
    return Compare(key, create_revision=revision)


def modified_at(key: str, revision: int) -> Compare:
    """`key` was last put at `revision` (0: does not exist)."""
    return Compare(key, mod_revision=revision)


def has_value(key: str, value: bytes) -> Compare:
    """`key` exists and has this value."""
    return Compare(key, value=value)


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value` under `key`; with a `lease` other than 0 the key goes when the lease goes. A put without one detaches it."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key`; nothing happens when it isn't there."""

    key: str


@dataclass(frozen=True, slots=True)
class DeletePrefix:
    """Remove every key that begins with `prefix` (not empty)."""

    prefix: str


Write = Put | Delete | DeletePrefix


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction's `then` has landed. `revision`: the mod revision of all that it put (the store's, if it changed nothing)."""

    revision: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A comparison did not hold; `otherwise` has landed. `current`: the compared keys as they stood, None where absent."""

    revision: int
    current: Mapping[str, Item | None]


@dataclass(frozen=True, slots=True)
class Change:
    """What a revision did to a key: `item` as it stands now, None when it was removed."""

    key: str
    item: Item | None


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one revision changed under the watched prefix; never empty, each key once."""

    revision: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease and the ttl that the store answered with, which may be longer than what was asked for."""

    lease: int
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """The ttl that a renewed lease was given. `witness`: who has answered, as it stood *before* the lease was renewed."""

    ttl_s: int
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """What differs between engines and matters to the protocol. Lengths in whole seconds."""

    name: str
    least_ttl_s: int
    most_ttl_s: int
    may_end_early: bool
    """A lease may end before its time: an unclean vacancy must be waited out by the claimant's own clock."""
    confirm_renewals: bool
    """A renewal counts only when a read, sent after its answer, finds a key on the lease by the renewal's own witness."""
    max_writes: int
    """Writes that one transaction may hold."""


class Store(Protocol):
    """One process's connection to a store. All calls are safe to make at the same time and to cancel."""

    @property
    def url(self) -> str:
        """What it was opened with, less any secret."""
        ...

    @property
    def traits(self) -> Traits:
        """What this engine, in the version found, is like."""
        ...

    async def read(self, prefix: str) -> Snapshot:
        """All keys that begin with `prefix`, as of one revision. Raises StoreUnreachable, StoreBroken."""
        ...

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """One transaction; each key may be written once in it.

        Raises StoreUnsure (may have landed), StoreUnreachable, StoreBroken, BadInput (a value or transaction over the
        limits, a key written twice), LeaseLost (a put names a lease that is gone): nothing landed in all but the first.
        """
        ...

    def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Every change under `prefix` in revisions greater than `after`, in order, none missed, none twice; without end.

        The iterator raises Compacted when history since `after` is gone, StoreUnreachable when the store stays silent.
        Close it (`aclose`) or cancel its reader to end it.
        """
        ...

    async def grant(self, ttl_s: int) -> Grant:
        """A new lease. Raises BadInput when `ttl_s` is outside the traits, StoreUnreachable, StoreUnsure (it will expire)."""
        ...

    async def renew(self, lease: int) -> Renewal:
        """The lease's ttl begins anew, no sooner than this call was made.

        Where renewals must be confirmed, reads that follow go to the member that has answered, for as long as it answers.

        Raises LeaseLost when it is gone, StoreUnreachable, StoreUnsure (it may have been renewed).
        """
        ...

    async def revoke(self, lease: int) -> None:
        """End the lease and its keys now; nothing happens when it is gone already. Raises StoreUnreachable, StoreUnsure."""
        ...

    async def compact(self, revision: int) -> None:
        """Forget the history before `revision`: a watch from before it raises Compacted. Current keys stay."""
        ...

    async def close(self) -> None:
        """Give back files, threads and connections; calls under way fail with StoreUnreachable or StoreUnsure."""
        ...
