"""Entering a relation's scope: from then on other units see this one in the relation, with a databag of its addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from tenure.agent.host import Host
from tenure.errors import NoSuchThing
from tenure.model.commits import commit_surely
from tenure.model.records import Databag, encode
from tenure.names import UnitName
from tenure.store.api import Committed, Put, Refused, absent, created_at


async def enter_scope(host: Host, unit: UnitName, revision: int, relation: int) -> int:
    """Have the unit in the relation's scope, and return the revision since when it is; nothing happens when it is already.

    Raises NoSuchThing (the unit or the relation is gone), Unsure's kinds.
    """
    found = host.view().relations.get(relation)
    if found is None:
        raise NoSuchThing(f"relation {relation} is gone")
    key = host.layout.unit_bag(relation, unit)
    value = encode(Databag(values=address_values(host.addresses)))

    def landed(refused: Refused) -> int | None:
        # Nobody but this agent puts the unit's databag: that it is there says that the unit is in scope.
        item = refused.current.get(key)
        return None if item is None else item.mod_revision

    outcome = await commit_surely(
        host.store,
        [
            absent(key),
            created_at(host.layout.unit_info(unit), revision),
            created_at(found.info_item.key, found.info_item.create_revision),
        ],
        [Put(key, value)],
        landed,
    )
    if not isinstance(outcome, Committed):
        raise NoSuchThing(f"{unit} or its relation {relation} is gone")
    return outcome.revision


def address_values(addresses: Sequence[str]) -> dict[str, str]:
    """What the agent says in a fresh databag, as Juju does."""
    first = addresses[0]
    return {
        "private-address": first,
        "ingress-address": first,
        "egress-subnets": f"{first}/{ipaddress.ip_address(first).max_prefixlen}",
    }
