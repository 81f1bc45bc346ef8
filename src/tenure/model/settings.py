"""Writing the leader settings: all of a group or nothing, in the term that it is written for, or never.

The bucket is one value under one key. A write compares the term's fence and the key's own revision in one transaction,
and carries an id; so it lands neither after its term nor over a later write of the same term, however late it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tenure.errors import BadInput, NotLeader
from tenure.model.changes import GuardBroken, change_records
from tenure.model.records import Settings, decode, encode
from tenure.store.api import Compare, Item, Store


@dataclass(frozen=True, slots=True)
class Written:
    """The settings after a write. `changed` is False when they said all of it already: nothing was written."""

    values: Mapping[str, str]
    item: Item | None
    """The key as it stands now; None before anything was ever written."""
    changed: bool

    @property
    def revision(self) -> int:
        """Their version: the key's mod revision, 0 before anything was ever written."""
        return 0 if self.item is None else self.item.mod_revision


async def write_settings(
    store: Store, key: str, fence: Compare, base: Item | None, changes: Mapping[str, str]
) -> Written:
    """Change the settings under `key` as the holder that `fence` names; an empty value removes its name.

    `base`: the key as last seen; an older picture costs a round, no more. Once it returns the change is there for every
    reader. One write of a bucket is to be under way at a time.
    Raises NotLeader (the term is over: nothing was written), BadInput (not UTF-8, too long), Unsure's kinds.
    """
    after: dict[str, str] = {}

    def make(item: Item | None, commit_id: str) -> bytes | None:
        nonlocal after
        before = {} if item is None else decode(Settings, item.value, key).values
        after = merged(before, changes)
        return None if after == before else _encoded(Settings(values=after, id=commit_id))

    try:
        landed = await change_records(store, [fence], {key: make}, {key: base})
    except GuardBroken:
        raise NotLeader("not the leader") from None
    return Written(MappingProxyType(after), landed.items[key], landed.changed)


def merged(values: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """`values` with `changes` made to them; an empty text removes its name."""
    both = {**values, **changes}
    return {name: value for name, value in both.items() if value != ""}


def _encoded(record: Settings) -> bytes:
    try:
        return encode(record)
    except UnicodeEncodeError:
        raise BadInput("the settings must be UTF-8 text", hint="encode other bytes, as base64 for one") from None
