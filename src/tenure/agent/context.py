"""A hook's sandbox: what it may read, a buffer of what it has written, and what passes through at once.

Reads are of the model as it stood when the hook began, with what the hook itself has written; leader settings and the
application's status and members are read when first asked for, by a leader no older than its own term. Databags and the
unit's state are buffered: `flush` lands all of them in one transaction after the hook has succeeded. Settings, status and
log are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from tenure.agent.checker import Leadership, LeadershipChecker
from tenure.agent.hook import Hook
from tenure.clock import Instant
from tenure.errors import BadInput, No, NotLeader, StoreUnreachable, StoreUnsure, TenureError
from tenure.model.changes import GuardBroken, change_records
from tenure.model.commits import new_id
from tenure.model.layout import Layout
from tenure.model.members import members
from tenure.model.mirror import Mirror
from tenure.model.records import ApplicationStatus, Said, State, decode, encode
from tenure.model.relations import BagChange, write_bags
from tenure.model.settings import merged, write_settings
from tenure.model.status import application_status, is_lost, workload_status
from tenure.model.view import ModelView, RelationView, UnitView
from tenure.model.walltime import now_text
from tenure.names import UnitName
from tenure.store.api import Compare, Item, Store, created_at

FLUSH_RETRY_S = 0.5
"""How often a flush is tried anew while the store is silent, after the tries of each commit."""

READ_WITHIN_S = 30.0
"""How long a leader's read waits for the mirror to reach the leader's own term: far longer than it ever takes."""


class Statuses(Protocol):
    """Who keeps the unit's status record, which the agent writes as well."""

    def workload(self) -> Said:
        """What the charm has last said."""
        ...

    async def set_workload(self, status: str, message: str) -> None:
        """Return once it is in the store. Raises StoreUnreachable, StoreUnsure."""
        ...

    async def set_version(self, version: str) -> None:
        """The workload's version; return once it is in the store. Raises as above."""
        ...


class Models:
    """The model as this process's mirror shows it."""

    def __init__(self, mirror: Mirror, layout: Layout) -> None:
        self._mirror = mirror
        self.layout = layout

    @property
    def current(self) -> ModelView:
        """The newest picture."""
        return ModelView(self._mirror.current, self.layout)

    async def reached(self, revision: int) -> ModelView:
        """A picture no older than `revision`. Raises StoreUnreachable when none comes within `READ_WITHIN_S`."""
        if self._mirror.current.revision < revision:
            try:
                async with asyncio.timeout(READ_WITHIN_S):
                    await self._mirror.wait_until(lambda snapshot: snapshot.revision >= revision)
            except TimeoutError:
                raise StoreUnreachable(f"the store has shown nothing new for {READ_WITHIN_S:g} s") from None
        return self.current


@dataclass(frozen=True, slots=True)
class Place:
    """What a unit's contexts share."""

    unit: UnitName
    machine: str
    charm: Path
    models: Models
    store: Store
    leadership: Leadership
    statuses: Statuses
    log: Callable[[str, str], None]
    """Takes a level of Juju's, as text, and a line from the charm."""
    last_bag: Callable[[int, str], Mapping[str, str]] = lambda relation, unit: {}
    """What a unit that is gone from a relation had last said on it."""
    lost_for_s: Callable[[], Mapping[str, float]] = dict
    """For how long machines' agents have been lost, as far as it was seen."""


class HookContext:
    """One run of one hook, from before it starts until its flush is settled.

    `told`: the relations that the unit has been told of, by number, with the units whose -joined has run; `hook` itself
    is reckoned in. `term`: what leader-elected is bound to.
    """

    def __init__(
        self,
        place: Place,
        context_id: str,
        *,
        hook: Hook | None = None,
        told: Mapping[int, Iterable[str]] | None = None,
        term: int | None = None,
    ) -> None:
        self.place = place
        self.context_id = context_id
        self.hook = hook
        self.view = place.models.current
        self.told = _told_as_of(hook, told or {})
        self.leader = LeadershipChecker(place.leadership, context_id, term)
        self.wrote_at = 0
        """The latest revision at which something of this hook's has landed: the next hook's view is no older."""
        self._closed = False
        self._settings: Mapping[str, str] | None = None
        self._settings_item: Item | None = None
        self._workload: Said | None = None
        self._application: tuple[Said, Mapping[str, Said]] | None = None
        self._unit_changes: dict[int, dict[str, str]] = {}
        self._application_changes: dict[int, dict[str, str]] = {}
        self._state_changes: dict[str, str] = {}

    @property
    def unit(self) -> UnitName:
        """The unit whose hook it is."""
        return self.place.unit

    @property
    def application(self) -> str:
        """The unit's application."""
        return self.place.unit.application

    @property
    def layout(self) -> Layout:
        """The model's keys."""
        return self.place.models.layout

    def close(self) -> None:
        """The hook has ended: nothing more is buffered and nothing vouched for. `flush` may follow."""
        self._closed = True
        self.leader.say_no()

    # Leadership

    async def is_leader(self) -> tuple[bool, Instant | None]:
        """As `LeadershipChecker.ask`; with the first True, what was read before is read again, no older than the term."""
        before = self.leader.term
        answer = await self.leader.ask()
        if answer[0] and before is None:
            self._settings = None
        return answer

    async def settings(self) -> Mapping[str, str]:
        """The leader settings, as this hook first read them or last wrote them. Raises StoreUnreachable, StoreBroken."""
        if self._settings is None:
            application = (await self._fresh()).application(self.application)
            self._settings, self._settings_item = application.settings, application.settings_item
        return self._settings

    async def set_settings(self, changes: Mapping[str, str]) -> None:
        """Change leader settings, "" removing: all of it or nothing, now. Raises NotLeader, BadInput (too large), Unsure."""
        if not (await self.is_leader())[0]:
            raise NotLeader("not the leader")
        if not changes:
            return
        await self.settings()
        key = self.layout.settings(self.application)
        try:
            written = await write_settings(self.place.store, key, self.leader.fence, self._settings_item, changes)
        except NotLeader:
            raise self._refused("not the leader any more, its term is over") from None
        self._settings, self._settings_item = written.values, written.item
        self.wrote_at = max(self.wrote_at, written.revision)

    def _refused(self, message: str) -> NotLeader:
        """The store has refused a write of the hook's term: so False is the answer from now on."""
        self.leader.say_no()
        return NotLeader(message)

    async def _fresh(self) -> ModelView:
        # What a former leader wrote has a lower revision than the term that came after it: a leader that decides by
        # an older picture would overwrite what it has not seen.
        return await self.place.models.reached(max(self.leader.term or 0, self.wrote_at, self.view.revision))

    # Status

    def workload_status(self) -> Said:
        """The unit's status, as this hook first read it."""
        if self._workload is None:
            self._workload = self.place.statuses.workload()
        return self._workload

    async def application_status(self) -> tuple[Said, Mapping[str, Said]]:
        """The application's status, and its members' now with theirs; as this hook first read it. Raises NotLeader."""
        if not (await self.is_leader())[0]:
            raise NotLeader("this unit is not the leader")
        if self._application is None:
            view = await self._fresh()
            application = view.application(self.application)
            lost_for_s = self.place.lost_for_s()
            units = {
                str(name): _as_seen(view, application.units[name.number], lost_for_s)
                for name in members(view, self.application)
            }
            self._application = application_status(view, application), units
        return self._application

    async def set_application_status(self, status: str, message: str) -> None:
        """Say how the application is, now. Raises NotLeader, Unsure."""
        if not (await self.is_leader())[0]:
            raise NotLeader("this unit is not the leader")
        key = self.layout.application_status(self.application)

        def make(item: Item | None, commit_id: str) -> bytes | None:
            known = decode(ApplicationStatus, item.value, key).said if item else None
            if known is not None and (known.status, known.message) == (status, message):
                return None
            return encode(ApplicationStatus(said=Said(status=status, message=message, since=now_text()), id=commit_id))

        known = {key: self.view.application(self.application).status_item}
        try:
            landed = await change_records(self.place.store, [self.leader.fence], {key: make}, known)
        except GuardBroken:
            raise self._refused("this unit is not the leader") from None
        self.wrote_at = max(self.wrote_at, landed.revision)

    # Relations

    def relation_known(self, relation: int) -> bool:
        """Whether the unit's application has this relation."""
        found = self.view.relations.get(relation)
        return found is not None and any(end.application == self.application for end in found.info.endpoints)

    def relation(self, relation: int) -> RelationView:
        """The relation, of which `relation_known` holds."""
        return self.view.relations[relation]

    def own_bag(self, relation: int) -> Mapping[str, str]:
        """What the unit has said on a relation, this hook's changes included."""
        said = self.relation(relation).unit_bag(self.unit) or {}
        return merged(said, self._unit_changes.get(relation, {}))

    async def own_application_bag(self, relation: int) -> Mapping[str, str]:
        """What the application has said on a relation, this hook's changes included, no older than the hook's term."""
        found = self.view.relations[relation]
        if self.leader.term is not None:
            found = (await self._fresh()).relations.get(relation, found)
        return merged(found.application_bag(self.application), self._application_changes.get(relation, {}))

    def change_own_bag(self, relation: int, changes: Mapping[str, str]) -> None:
        """Buffer changes to the unit's databag, "" removing a key. Raises BadInput: no longer, once the hook has ended."""
        self._buffer(self._unit_changes, relation, changes)

    def change_application_bag(self, relation: int, changes: Mapping[str, str]) -> None:
        """Buffer changes to the application's databag. Only after `is_leader` was True."""
        self._buffer(self._application_changes, relation, changes)

    def _buffer(self, buffer: dict[int, dict[str, str]], relation: int, changes: Mapping[str, str]) -> None:
        if self._closed:
            raise BadInput("the hook has ended")
        buffer.setdefault(relation, {}).update(changes)

    # State

    def state(self) -> Mapping[str, str]:
        """What the charm keeps of its unit, this hook's changes included. Raises StoreBroken."""
        item = self._state_item()
        kept = decode(State, item.value, item.key).values if item is not None else {}
        return merged(kept, self._state_changes)

    def change_state(self, changes: Mapping[str, str]) -> None:
        """Buffer changes to the unit's state, "" removing a key. Raises BadInput: no longer, once the hook has ended."""
        if self._closed:
            raise BadInput("the hook has ended")
        self._state_changes.update(changes)

    def _state_item(self) -> Item | None:
        return self.view.snapshot.get(self.layout.unit_state(self.unit))

    # The hook's end

    async def flush(self) -> None:
        """Land what is buffered, all of it or nothing; returns once it is known that it has. After a success only.

        Goes on for as long as the store is silent: cancel it to stop, and what becomes of it is then not known.
        Raises NotLeader (the term that the application's databag was written in is over), No (a relation is gone, or
        the unit isn't in its scope), BadInput (a databag is too large), StoreBroken: nothing has landed.
        """
        changes: list[BagChange] = []
        there: list[Compare] = []
        for relation in sorted({*self._unit_changes, *self._application_changes}):
            found = self.relation(relation)
            there.append(created_at(found.info_item.key, found.info_item.create_revision))
            if relation in self._unit_changes:
                changes.append(self._own_change(found, self._unit_changes[relation]))
            if relation in self._application_changes:
                key = self.layout.application_bag(relation, self.application)
                item = found.application_bag_item(self.application)
                changes.append(BagChange(key, item, self._application_changes[relation]))
        if self._state_changes:
            changes.append(BagChange(self.layout.unit_state(self.unit), self._state_item(), self._state_changes))
            unit = self.view.unit(self.unit).info_item
            there.append(created_at(unit.key, unit.create_revision))
        fence = self.leader.fence if self._application_changes else None
        commit_id = new_id()
        while changes:
            try:
                revision = await write_bags(self.place.store, changes, fence=fence, when=there, commit_id=commit_id)
            except (StoreUnsure, StoreUnreachable):
                await asyncio.sleep(FLUSH_RETRY_S)
                continue
            except TenureError as error:
                raise type(error)(f"cannot apply changes: {error.message}", hint=error.hint) from None
            self.wrote_at = max(self.wrote_at, revision or 0)
            return

    def _own_change(self, relation: RelationView, changes: Mapping[str, str]) -> BagChange:
        item = relation.unit_bag_item(self.unit)
        if item is None:
            raise No(f"cannot apply changes: {self.unit} is not in the scope of relation {relation.number}")
        return BagChange(self.layout.unit_bag(relation.number, self.unit), item, changes)


def _as_seen(view: ModelView, unit: UnitView, lost_for_s: Mapping[str, float]) -> Said:
    """A member's status; of one whose agent is lost with how long that has been seen to be so."""
    said = workload_status(view, unit)
    seconds = lost_for_s.get(unit.info.machine or "")
    if seconds is None or not is_lost(view, unit):
        return said
    return replace(said, data={**said.data, "lost-for-s": round(seconds)})


def _told_as_of(hook: Hook | None, told: Mapping[int, Iterable[str]]) -> Mapping[int, frozenset[str]]:
    """The unit's relations and members as `hook` sees them: the unit that joins is there, the one that departs isn't."""
    seen = {relation: frozenset(units) for relation, units in told.items()}
    if hook is not None and hook.relation is not None:
        units = seen.get(hook.relation, frozenset())
        if hook.kind == "relation-joined":
            units |= {hook.remote_unit}
        elif hook.kind == "relation-departed":
            units -= {hook.remote_unit}
        seen[hook.relation] = units
    return seen
