"""What a unit does next: a pure function of its journal, what the model shows, and the time. Nothing is done here.

Juju's order is the list `RULES`, read from top to bottom: the first rule that answers wins. Each looks at the whole
anew, so what was overtaken meanwhile (three writes, one hook) is never run for its own sake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tenure.agent.hook import Hook
from tenure.agent.journal import Journal, Membership
from tenure.clock import Instant

Life = Literal["alive", "dying", "gone"]


@dataclass(frozen=True, slots=True)
class SeenRelation:
    """A relation as the model shows it to one unit. Versions are revisions; 0 stands for a databag that isn't there."""

    endpoint: str
    remote_application: str
    """A peer relation's: the own."""
    members: Mapping[str, int] = field(default_factory=dict)
    """The units in its scope but the own, with their databags' versions."""
    application: int = 0
    """The version of the remote (a peer's own) application's databag."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a unit's agent knows, at one moment, of the unit and of what concerns it."""

    unit: str
    life: Life
    boot_id: str
    term: int | None
    """The term in which the unit believes itself to be the leader."""
    settings: int
    """The leader settings' version; 0: none were ever written."""
    config: str
    """The configuration's digest."""
    update_status_at: Instant
    """When update-status is due if the unit is idle until then."""
    relations: Mapping[int, SeenRelation] = field(default_factory=dict)
    resolved: Literal["retry", "no-retry"] | None = None
    """What an operator has asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run this hook."""

    hook: Hook


@dataclass(frozen=True, slots=True)
class Skip:
    """Commit this hook without running it: there is nothing to tell any more."""

    hook: Hook


@dataclass(frozen=True, slots=True)
class Resolve:
    """An operator has resolved the hook that failed: try it again now, or (`retry` false) commit it as it is."""

    hook: Hook
    retry: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing can be done before `until`, or before somebody else acts."""

    for_: Literal["resolved"]
    hook: Hook
    until: Instant


@dataclass(frozen=True, slots=True)
class Idle:
    """All is told; update-status is due at `until` (None: never, for the unit hasn't started)."""

    until: Instant | None


@dataclass(frozen=True, slots=True)
class Gone:
    """The unit is at its end: `orderly`, its last hook behind it, or because its record was taken away."""

    orderly: bool


Operation = Run | Skip | Resolve
Next = Operation | Waiting | Idle | Gone


def next_operation(journal: Journal, seen: Seen, now: Instant) -> Next:
    """What the unit does next."""
    for rule in RULES:
        answer = rule(journal, seen, now)
        if answer is not None:
            return answer
    return Idle(seen.update_status_at if journal.started else None)


def gone(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """A unit without a record has nothing to do any more, whatever its hooks."""
    return Gone(orderly=False) if seen.life == "gone" else None


def failed_hook(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """A unit in error does nothing but retry, when it is time or when an operator says so. A dying one, too."""
    failed = journal.failed
    if failed is None:
        return None
    if _overtaken(failed.hook, seen):
        return Skip(failed.hook)
    if seen.resolved is not None:
        return Resolve(failed.hook, retry=seen.resolved == "retry")
    if failed.retry_at.reached(now):
        return Run(failed.hook)
    return Waiting("resolved", failed.hook, failed.retry_at)


def queued_hook(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """What was committed to run next does so, unless it has lost its sense meanwhile."""
    hook = journal.queued
    if hook is None or (hook.kind == "install" and seen.life == "dying"):
        return None
    return Skip(hook) if _overtaken(hook, seen) else Run(hook)


def dying(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """Relations are taken down first, then the unit stops and is removed; it tells nothing else any more."""
    if seen.life != "dying":
        return None
    if journal.installed:
        for number, known in sorted(journal.relations.items()):
            for hook in _departures(number, known, seen):
                return Run(hook)
        if journal.started and not journal.stopped:
            return Run(Hook(kind="stop"))
        if not journal.removed:
            return Run(Hook(kind="remove"))
    return Gone(orderly=True)


def rebooted(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """After a reboot of its host a unit that had started starts again."""
    return Run(Hook(kind="start")) if journal.started and journal.boot_id != seen.boot_id else None


def install(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """Before all else."""
    return None if journal.installed else Run(Hook(kind="install"))


def relation_created(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """Once for each relation, before anything else is told of it."""
    for number, relation in sorted(seen.relations.items()):
        if number not in journal.relations:
            return Run(_about(number, relation, "relation-created"))
    return None


def leader_elected(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """Once for each term: a new number has one of its own, also when the unit succeeds itself."""
    if seen.term is None or seen.term == journal.term:
        return None
    return Run(Hook(kind="leader-elected", term=seen.term))


def leader_settings_changed(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """For all but the leader: once in the beginning, after each start of the agent, when deposed, and on each change."""
    if seen.term is not None or journal.settings == seen.settings:
        return None
    return Run(Hook(kind="leader-settings-changed", version=seen.settings))


def config_changed(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """When the configuration differs from what was told; what was set back in time is no change."""
    return None if journal.config == seen.config else Run(Hook(kind="config-changed", config=seen.config))


def relations(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """Relation by relation, each in its own order."""
    for number, relation in sorted(seen.relations.items()):
        for hook in _news(number, relation, journal.relations[number], seen):
            return Run(hook)
    return None


def update_status(journal: Journal, seen: Seen, now: Instant) -> Next | None:
    """When nothing else was to be done for its interval."""
    due = journal.started and seen.update_status_at.reached(now)
    return Run(Hook(kind="update-status")) if due else None


Rule = Callable[[Journal, Seen, Instant], Next | None]

RULES: tuple[Rule, ...] = (
    gone,
    failed_hook,
    queued_hook,
    dying,
    rebooted,
    install,
    relation_created,
    leader_elected,
    leader_settings_changed,
    config_changed,
    relations,
    update_status,
)


def _overtaken(hook: Hook, seen: Seen) -> bool:
    """Whether there is nothing left to tell by this hook: its term is over, or nobody is told of any any more."""
    return hook.kind == "leader-elected" and (seen.life == "dying" or hook.term != seen.term)


def _news(number: int, relation: SeenRelation, known: Membership, seen: Seen) -> Iterator[Hook]:
    """All that an alive unit has to be told of one relation, in Juju's order. Units go in lexical order."""
    yield from _departures(number, known, seen)
    if relation.application != known.application:
        yield _about(number, relation, "relation-changed", version=relation.application)
    for unit, version in sorted(relation.members.items()):
        if unit not in known.members:
            yield _about(number, relation, "relation-joined", unit, version)
    for unit, version in sorted(relation.members.items()):
        if known.members.get(unit) != version:
            yield _about(number, relation, "relation-changed", unit, version)


def _departures(number: int, known: Membership, seen: Seen) -> Iterator[Hook]:
    """The -changed that a -joined has promised, then -departed for each member that has gone: all of them for a dying unit."""
    relation = seen.relations.get(number)
    if relation is None:
        return
    if unit := known.changed_next:
        version = relation.members.get(unit, known.members[unit])
        yield _about(number, relation, "relation-changed", unit, version)
    for unit in sorted(known.members):
        if seen.life == "dying":
            yield _about(number, relation, "relation-departed", unit, departing=seen.unit)
        elif unit not in relation.members:
            yield _about(number, relation, "relation-departed", unit, departing=unit)


def _about(
    number: int,
    relation: SeenRelation,
    kind: Literal["relation-created", "relation-joined", "relation-changed", "relation-departed"],
    unit: str = "",
    version: int = 0,
    departing: str = "",
) -> Hook:
    return Hook(
        kind=kind,
        relation=number,
        endpoint=relation.endpoint,
        remote_unit=unit,
        remote_application=relation.remote_application,
        departing_unit=departing,
        version=version,
    )
