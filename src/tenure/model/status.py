"""Statuses as readers see them: of a unit that hasn't spoken yet, of one whose agent is lost, of an application.

The rules are Juju's: an application's status is what a leader has set, else the worst of its units.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure.model.application import ApplicationView, UnitView
from tenure.model.records import Said
from tenure.model.view import ModelView

WORST_FIRST = ("error", "blocked", "maintenance", "waiting", "active", "terminated", "unknown")
"""Of several units the first of these that one has is their application's."""

ALLOCATING = Said(status="allocating")


def workload_status(view: ModelView, unit: UnitView) -> Said:
    """What is known of the unit's workload."""
    if is_lost(view, unit):
        return Said(status="unknown", message=f"agent lost, see 'tenure debug-log' on {unit.info.machine}")
    if unit.status is None and unit.info.program:
        return Said(status="active", message=f"program {unit.info.program}")
    if unit.status is None:
        machine = unit.info.machine
        if machine is None:
            return Said(status="waiting", message="waiting for machine")
        if machine not in view.machines:
            return Said(status="waiting", message=f"waiting for machine {machine}")
        return Said(status="waiting", message="agent initialising")
    agent = unit.status.agent
    if agent.status == "error":
        return Said(status="error", message=agent.message, since=agent.since, data=agent.data)
    return unit.status.workload


def agent_status(view: ModelView, unit: UnitView) -> Said:
    """What the unit's agent does: allocating, executing, idle (also while a hook is in error, as in Juju), lost."""
    if unit.info.program:
        return Said(status="idle")
    if unit.status is None:
        return ALLOCATING
    agent = unit.status.agent
    if is_lost(view, unit):
        return Said(status="lost", message="the agent doesn't keep its session", since=agent.since)
    if agent.status == "error":
        return Said(status="idle", since=agent.since)
    return agent


def is_lost(view: ModelView, unit: UnitView) -> bool:
    """Whether the unit's agent has spoken once and is silent now: its machine's session has ended.

    A program's unit never is: it is gone when its session ends.
    """
    return unit.status is not None and unit.info.machine not in view.machines and not unit.info.program


def application_status(view: ModelView, application: ApplicationView) -> Said:
    """What a leader has set, else the worst of the units."""
    if application.status is not None:
        return application.status.said
    return worst(workload_status(view, unit) for unit in application.units.values())


def worst(statuses: Iterable[Said]) -> Said:
    """The status of the worst of some units; of none: unknown."""
    return min(statuses, key=_badness, default=Said(status="unknown"))


def _badness(said: Said) -> int:
    return WORST_FIRST.index(said.status) if said.status in WORST_FIRST else len(WORST_FIRST)
