"""Relations: who is in a relation's scope, and writing databags all at once.

A unit is in the scope of a relation while its databag's key exists. What a hook has said on its relations lands in one
transaction when the hook has succeeded: remote sides see all of it or nothing; what changed nothing is not written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenure.errors import BadInput, No, NotLeader
from tenure.model.changes import GuardBroken, Make, change_records
from tenure.model.commits import commit_surely, new_id
from tenure.model.layout import Layout
from tenure.model.records import Databag, decode, encode
from tenure.model.settings import merged
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.store.api import (
    Committed,
    Compare,
    Delete,
    Item,
    Put,
    Refused,
    Store,
    absent,
    created_at,
)


@dataclass(frozen=True, slots=True)
class BagChange:
    """What is to be changed in one databag; an empty value removes its name."""

    key: str
    base: Item | None
    """The bag as last seen. A unit's bag must be there: else the unit isn't in scope."""
    changes: Mapping[str, str]


async def enter_scope(
    store: Store, layout: Layout, view: ModelView, relation: int, unit: UnitName, values: Mapping[str, str]
) -> bool:
    """Put the unit into the relation's scope with a new databag. False: it was in scope, or the unit or relation is gone.

    Raises Unsure's kinds.
    """
    key = layout.unit_bag(relation, unit)
    found = view.unit(unit)
    value = _encoded(Databag(values=dict(values), id=new_id()))
    when = [
        absent(key),
        created_at(found.info_item.key, found.info_item.create_revision),
        created_at(layout.relation_info(relation), view.relations[relation].info_item.create_revision),
    ]

    def landed(refused: Refused) -> int | None:
        now = refused.current.get(key)
        return now.mod_revision if now is not None and now.value == value else None

    return isinstance(await commit_surely(store, when, [Put(key, value)], landed), Committed)


async def leave_scope(store: Store, layout: Layout, relation: int, unit: UnitName) -> None:
    """Take the unit out of the relation's scope; nothing happens when it isn't in it. Raises Unsure's kinds."""
    await commit_surely(store, [], [Delete(layout.unit_bag(relation, unit))], lambda _: None)


async def write_bags(
    store: Store,
    changes: Sequence[BagChange],
    *,
    fence: Compare | None = None,
    when: Sequence[Compare] = (),
    commit_id: str | None = None,
) -> int | None:
    """Make all changes in one transaction; returns the revision at which they are there, None when they were already.

    `fence`: of the term in which an application's bag is written. `when`: what else must hold. `commit_id`: the same in each call, if after
    StoreUnsure the call is made again.
    Raises NotLeader (the fence doesn't hold), No (a bag is gone, or `when` doesn't hold), BadInput (not UTF-8, too long),
    Unsure's kinds; nothing is written in all but the last.
    """
    made = {change.key: _making(change) for change in changes}
    bases = {change.key: change.base for change in changes}
    guards = [*([] if fence is None else [fence]), *when]
    try:
        landed = await change_records(store, guards, made, bases, commit_id=commit_id)
    except GuardBroken as broken:
        if broken.guard is fence:
            raise NotLeader("cannot write relation settings: not the leader") from None
        raise _gone() from None
    # What isn't changed but newer than `base` may be this very change, whose answer was lost the last time.
    return landed.revision if landed.changed or landed.items != bases else None


def _making(change: BagChange) -> Make:
    def make(item: Item | None, commit_id: str) -> bytes | None:
        if item is None and change.base is not None:
            raise _gone()
        before = {} if item is None else decode(Databag, item.value, change.key).values
        after = merged(before, change.changes)
        return None if after == before else _encoded(Databag(values=after, id=commit_id))

    return make


def _gone() -> No:
    return No("cannot write relation settings: the relation, or this unit's part in it, is gone")


def _encoded(record: Databag) -> bytes:
    try:
        return encode(record)
    except UnicodeEncodeError:
        raise BadInput("relation settings must be UTF-8 text", hint="encode other bytes, as base64 for one") from None
