"""Changes to records that one agent alone writes, in one transaction, each made on top of the record as it stands.

A change never lands over a later write, and never where a guard (a term's fence, a relation's existence) doesn't hold,
however late a copy of it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenure.model.commits import commit_surely, new_id
from tenure.store.api import Committed, Compare, Item, Put, Refused, Store, modified_at

Make = Callable[[Item | None, str], bytes | None]
"""The new value of a key, from the key as it stands and the commit's id; None: nothing changes."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The keys as they stand after the changes. `changed` is False where they said all of it already."""

    changed: bool
    items: Mapping[str, Item | None]

    @property
    def revision(self) -> int:
        """The latest of them: whoever looks at a picture no older than it sees the changes."""
        return max((item.mod_revision for item in self.items.values() if item is not None), default=0)


class GuardBroken(Exception):
    """A guard doesn't hold: nothing has landed, nor will it."""

    def __init__(self, guard: Compare) -> None:
        super().__init__(guard.key)
        self.guard = guard


class _HasId(msgspec.Struct):
    id: str = ""


async def change_records(
    store: Store,
    guards: Sequence[Compare],
    changes: Mapping[str, Make],
    known: Mapping[str, Item | None],
    *,
    commit_id: str | None = None,
) -> Landed:
    """Land all of `changes`, or nothing.

    `known`: the keys as last seen; that may be old. What turns out to change nothing is compared all the same, so that
    an old picture is no reason to leave a change out. Raises GuardBroken, what a change raises, and Unsure's kinds. After
    StoreUnsure the same call may be made again, with the same `commit_id`: nothing lands twice, and what has landed
    meanwhile is known for it, whatever has become of the guards.
    """
    current = {key: known.get(key) for key in changes}
    commit_id = commit_id or new_id()
    landed = _landed_with(commit_id, list(changes))
    while True:
        made = {key: make(current[key], commit_id) for key, make in changes.items()}
        puts = [Put(key, value) for key, value in made.items() if value is not None]
        compared = [modified_at(key, item.mod_revision if item else 0) for key, item in current.items()]
        outcome = await commit_surely(store, [*guards, *compared], puts, landed)
        if isinstance(outcome, Committed):
            landed_items = {put.key: _item(put, current[put.key], outcome.revision) for put in puts}
            return Landed(bool(puts), {**current, **landed_items})
        for guard in guards:
            if not _holds(guard, outcome.current.get(guard.key)):
                raise GuardBroken(guard)
        current = {key: outcome.current.get(key) for key in changes}


def _landed_with(commit_id: str, keys: Sequence[str]) -> Callable[[Refused], int | None]:
    def landed(refused: Refused) -> int | None:
        for key in keys:
            item = refused.current.get(key)
            if item is not None and _id_of(item) == commit_id:
                return item.mod_revision
        return None

    return landed


def _id_of(item: Item) -> str:
    try:
        return msgspec.json.decode(item.value, type=_HasId).id
    except msgspec.MsgspecError:
        return ""  # no record at all: whoever decodes it as one says so


def _item(put: Put, before: Item | None, revision: int) -> Item:
    created, version = (before.create_revision, before.version) if before else (revision, 0)
    return Item(put.key, put.value, created, revision, version + 1, put.lease)


def _holds(guard: Compare, item: Item | None) -> bool:
    created, modified = (item.create_revision, item.mod_revision) if item else (0, 0)
    return (
        guard.value in (None, item.value if item else None)
        and guard.create_revision in (None, created)
        and guard.mod_revision in (None, modified)
    )
