"""Who has acknowledged the settings of an application, who is missing, since when and why: read from the model.

Written by charms, through `tenure.charm.AcknowledgedSettings` or with plain hook tools: the leader counts the versions of
its settings in them, and each unit says in its peer databag which one it has applied. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenure.model.application import UnitView
from tenure.model.members import members
from tenure.model.status import is_lost, workload_status
from tenure.model.view import ModelView
from tenure.names import UnitName

SETTINGS_VERSION, SETTINGS_PUBLISHED = "settings-version", "settings-published"
"""Keys of the leader settings: which version they are, and when it was published (for people)."""

SETTINGS_ACKNOWLEDGED = "settings-acknowledged"
"""Key of a unit's databag on a peer relation: the version that the unit has applied."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A member that hasn't acknowledged the version that is published."""

    unit: UnitName
    why: str
    acknowledged: int
    """The version that it has last acknowledged; 0: none."""
    since: str
    """Since when it is as `why` says: a time for people, empty where nobody knows."""


@dataclass(frozen=True, slots=True)
class RollOut:
    """How far the published version has come."""

    version: int
    published: str
    acknowledged: tuple[UnitName, ...]
    missing: tuple[Missing, ...]

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        total = len(self.acknowledged) + len(self.missing)
        done = f"version {self.version} of the settings is acknowledged by {len(self.acknowledged)} of {total}"
        return done + "".join(f"; {one.unit}: {one.why}" for one in self.missing)

    @property
    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "version": self.version,
            "published": self.published,
            "acknowledged": [str(unit) for unit in self.acknowledged],
            "missing": {
                str(one.unit): {"why": one.why, "acknowledged": one.acknowledged, "since": one.since}
                for one in self.missing
            },
        }


def roll_out(view: ModelView, application: str, lost_for_s: Mapping[str, float] | None = None) -> RollOut | None:
    """How far the settings of `application` have come with the units that are members now; None: they have no version.

    `lost_for_s`: for how many seconds each machine's agent has been lost, where somebody knows. Raises NoSuchThing.
    """
    found = view.application(application)
    version = _number(found.settings.get(SETTINGS_VERSION))
    if not version:
        return None
    published = found.settings.get(SETTINGS_PUBLISHED, "")
    done, missing = [], []
    for name in members(view, application):
        said = _acknowledged(view, name)
        if said == version:
            done.append(name)
        else:
            unit = found.units[name.number]
            why, since = _why(view, unit, said, version, lost_for_s or {})
            missing.append(Missing(name, why, said or 0, since or published))
    return RollOut(version, published, tuple(done), tuple(missing))


def _acknowledged(view: ModelView, unit: UnitName) -> int | None:
    """What the unit has acknowledged, on whichever peer relation; None: it is in none."""
    bags = [peer.unit_bag(unit) for peer in view.peer_relations(unit.application).values()]
    said = [_number(bag.get(SETTINGS_ACKNOWLEDGED)) for bag in bags if bag is not None]
    return max(said, default=None)


def _why(
    view: ModelView, unit: UnitView, said: int | None, version: int, lost_for_s: Mapping[str, float]
) -> tuple[str, str]:
    """Why the unit hasn't acknowledged it, and since when that is so, where the model tells."""
    if is_lost(view, unit):
        seconds = lost_for_s.get(unit.info.machine or "")
        return ("agent lost" if seconds is None else f"agent lost for {seconds:.0f} s"), ""
    status = workload_status(view, unit)
    if status.status == "error":
        return f"in error: {status.data.get('hook') or status.message}", status.since
    if said is None:
        return "hasn't joined", ""
    if said > version:
        return f"acknowledged version {said}, which was never published", ""
    return f"acknowledged version {said} of {version}" if said else f"acknowledged none of {version}", ""


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
