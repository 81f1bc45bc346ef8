"""Relations: who is in a relation's scope, and writing databags all at once.

A unit is in the scope of a relation while its databag's key exists. What a hook has said on its relations lands in one
transaction when the hook has succeeded: remote sides see all of it or nothing; what changed nothing is not written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenure.errors import BadInput, No, NotLeader
from tenure.model.commits import commit_surely, new_id
from tenure.model.layout import Layout
from tenure.model.records import Databag, decode, encode
from tenure.model.settings import fence_holds, merged
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
    Write,
    absent,
    created_at,
    modified_at,
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
    then: Sequence[Write] = (),
) -> int | None:
    """Make all changes, and `then`, in one transaction; returns its revision, None when there was nothing to write.

    `fence`: of the term in which an application's bag is written. `when`: what else must hold.
    Raises NotLeader (the fence doesn't hold), No (a bag is gone, or `when` doesn't hold), BadInput (not UTF-8, too long),
    Unsure's kinds; nothing is written in all but the last.
    """
    bases: dict[str, Item | None] = {change.key: change.base for change in changes}
    while True:
        writes: list[Write] = []
        compares: list[Compare] = []
        record_id = new_id()
        for change in changes:
            base = bases[change.key]
            before = {} if base is None else dict(decode(Databag, base.value, change.key).values)
            after = merged(before, change.changes)
            if after != before:
                compares.append(modified_at(change.key, 0 if base is None else base.mod_revision))
                writes.append(Put(change.key, _encoded(Databag(values=after, id=record_id))))
        if not writes and not then:
            return None
        fenced = [] if fence is None else [fence]
        own = [write.key for write in writes if isinstance(write, Put)]

        def landed(refused: Refused, own: list[str] = own, record_id: str = record_id) -> int | None:
            for key in own:
                now = refused.current.get(key)
                if now is not None and decode(Databag, now.value, key).id == record_id:
                    return now.mod_revision
            return None

        outcome = await commit_surely(store, [*fenced, *when, *compares], [*writes, *then], landed)
        if isinstance(outcome, Committed):
            return outcome.revision
        if fence is not None and not fence_holds(fence, outcome):
            raise NotLeader("cannot write relation settings: not the leader")
        stale = [key for key in own if outcome.current.get(key) != bases[key]]
        if not stale or any(outcome.current[key] is None for key in stale):
            raise No("cannot write relation settings: the relation, or this unit's part in it, is gone")
        bases.update({key: outcome.current[key] for key in stale})


def _encoded(record: Databag) -> bytes:
    try:
        return encode(record)
    except UnicodeEncodeError:
        raise BadInput("relation settings must be UTF-8 text", hint="encode other bytes, as base64 for one") from None
