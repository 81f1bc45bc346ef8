"""What the model shows to one unit, in the resolver's terms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from tenure.agent.resolver import Life, Seen, SeenRelation
from tenure.clock import Instant
from tenure.model import options
from tenure.model.application import ApplicationView, UnitView
from tenure.model.records import Application
from tenure.model.view import ModelView, RelationView
from tenure.names import UnitName


def find(view: ModelView, unit: UnitName, revision: int) -> tuple[ApplicationView, UnitView] | None:
    """The unit, made at `revision`, with its application; None when that one is not in the model any more."""
    application = view.applications.get(unit.application)
    found = application.units.get(unit.number) if application else None
    if application is None or found is None or found.info_item.create_revision != revision:
        return None
    return application, found


def look(
    view: ModelView,
    unit: UnitName,
    revision: int,
    *,
    term: int | None,
    boot_id: str,
    addresses: Sequence[str],
    update_status_at: Instant,
    resolved: Literal["retry", "no-retry"] | None = None,
) -> Seen:
    """All that `unit` is shown at this revision of the model."""
    found = find(view, unit, revision)
    life: Life = "gone"
    settings, config, relations = 0, "", dict[int, SeenRelation]()
    if found is not None:
        application, own = found
        life = own.info.life
        settings = application.settings_item.mod_revision if application.settings_item else 0
        config = config_digest(application.info, addresses)
        relations = _peers(view, application.info, unit)
    return Seen(
        unit=str(unit),
        life=life,
        boot_id=boot_id,
        term=term,
        settings=settings,
        config=config,
        update_status_at=update_status_at,
        relations=relations,
        resolved=resolved,
    )


def config_digest(info: Application, addresses: Sequence[str]) -> str:
    """What config-changed is about: the options in force and the host's addresses, as one word to compare."""
    return hashlib.sha256(msgspec.json.encode([options.effective(info), list(addresses)])).hexdigest()[:16]


def _peers(view: ModelView, info: Application, unit: UnitName) -> dict[int, SeenRelation]:
    relations: dict[int, SeenRelation] = {}
    for endpoint, number in info.peer_relations.items():
        segment = view.snapshot.segment(view.layout.relation(number))
        relation = view.relations.get(number)
        if relation is None or segment is None:
            continue
        # All units of a machine look at the same: it is made once for each change of the relation.
        versions = segment.memo("versions", lambda relation=relation: _versions(relation, unit.application))  # type: ignore[misc]
        members = {name: version for name, version in versions.items() if name != str(unit)}
        said = relation.application_bag_item(unit.application)
        relations[number] = SeenRelation(endpoint, unit.application, members, said.mod_revision if said else 0)
    return relations


def _versions(relation: RelationView, application: str) -> dict[str, int]:
    bags = {str(member): relation.unit_bag_item(member) for member in relation.members(application)}
    return {name: bag.mod_revision for name, bag in bags.items() if bag is not None}
