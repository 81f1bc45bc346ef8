"""Writing the leader settings: all of a group or nothing, in the term that it is written for, or never.

The bucket is one value under one key. A write compares the term's fence and the key's own revision in one transaction,
and carries an id; so it lands neither after its term nor over a later write of the same term, however late it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tenure.errors import BadInput, NotLeader
from tenure.model.commits import commit_surely, new_id
from tenure.model.records import Settings, decode, encode
from tenure.store.api import Committed, Compare, Item, Put, Refused, Store, modified_at


@dataclass(frozen=True, slots=True)
class Written:
    """The settings after a write. `changed` is False when they said all of it already: nothing was written."""

    values: Mapping[str, str]
    revision: int
    """Their version: the key's mod revision, 0 before anything was ever written."""
    changed: bool


async def write_settings(
    store: Store, key: str, fence: Compare, base: Item | None, changes: Mapping[str, str]
) -> Written:
    """Change the settings under `key` as the holder that `fence` names; an empty value removes its name.

    `base`: the key as last seen; an older picture costs a round, no more. Once it returns the change is there for every
    reader. One write of a bucket is to be under way at a time.
    Raises NotLeader (the term is over: nothing was written), BadInput (not UTF-8, too long), Unsure's kinds.
    """
    while True:
        before = {} if base is None else dict(decode(Settings, base.value, key).values)
        after = merged(before, changes)
        revision = 0 if base is None else base.mod_revision
        if after == before:
            return Written(MappingProxyType(before), revision, changed=False)
        record_id = new_id()
        value = _encoded(Settings(values=after, id=record_id))

        def landed(refused: Refused, record_id: str = record_id) -> int | None:
            now = refused.current.get(key)
            return now.mod_revision if now is not None and decode(Settings, now.value, key).id == record_id else None

        outcome = await commit_surely(store, [fence, modified_at(key, revision)], [Put(key, value)], landed)
        if isinstance(outcome, Committed):
            return Written(MappingProxyType(after), outcome.revision, changed=True)
        if not fence_holds(fence, outcome):
            raise NotLeader("not the leader")
        # The fence holds and the bucket is newer than the picture of it: the term's own last write. Go on from there.
        base = outcome.current[key]


def merged(values: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """`values` with `changes` made to them; an empty text removes its name."""
    both = {**values, **changes}
    return {name: value for name, value in both.items() if value != ""}


def fence_holds(fence: Compare, refused: Refused) -> bool:
    """Whether, of a refused transaction, it was something else than the fence that refused it."""
    item = refused.current.get(fence.key)
    return item is not None and item.mod_revision == fence.mod_revision


def _encoded(record: Settings) -> bytes:
    try:
        return encode(record)
    except UnicodeEncodeError:
        raise BadInput("the settings must be UTF-8 text", hint="encode other bytes, as base64 for one") from None
