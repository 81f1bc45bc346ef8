"""A unit that is this program: its application's leader among the others, with settings and databags."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tenure.api.acknowledgements import Acknowledgements
from tenure.api.candidacies import Standing
from tenure.api.office import BaseOffice, Term
from tenure.api.requests import Requests
from tenure.api.settings import Settings
from tenure.errors import BadInput, NoSuchThing, NotLeader, StoreBroken
from tenure.model.application import ApplicationView, OfficeState
from tenure.model.members import members
from tenure.model.programs import Place
from tenure.model.records import Databag, Said, UnitStatus, decode, encode
from tenure.model.records import Unit as UnitRecord
from tenure.model.relations import BagChange, write_bags
from tenure.model.settings import merged, write_settings
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.view import ModelView
from tenure.model.walltime import now_text
from tenure.names import LEADER_OFFICE
from tenure.office.driver import OfficeKeys, OfficeView, Session
from tenure.store.api import Compare, DeletePrefix, Item, modified_at

if TYPE_CHECKING:
    from tenure.api.connection import Connection


_log = logging.getLogger("tenure.office")


class UnitTerm(Term):
    """A term as leader, as the body of `unit.hold` sees it: what is written through it lands in this term, or never."""

    def __init__(self, unit: Unit, standing: Standing, number: int) -> None:
        super().__init__(unit.connection.workings, standing, number)
        self._unit = unit

    async def write_settings(self, changes: Mapping[str, str]) -> None:
        """`Unit.write_settings` in this term alone."""
        await self._unit.write_settings(changes, term=self.number)

    async def write_application_databag(self, changes: Mapping[str, str]) -> None:
        """`Unit.write_application_databag` in this term alone."""
        await self._unit.write_application_databag(changes, term=self.number)


class Unit(BaseOffice):
    """One unit of an application, spoken for by this program.

    Others see it in `tenure status`, as a member, for as long as this program keeps its session: a program that dies is gone
    within its lease's length. It is a candidate for the leader while a block of its is in `hold`, or waits there; if it
    has joined as a candidate, from joining to leaving, as a charm's unit is.
    """

    def __init__(self, connection: Connection, place: Place, session: Session, program: str) -> None:
        super().__init__(connection, f"{place.unit.application}/{LEADER_OFFICE}", place.timing.ttl_s)
        self._place, self._session, self._program = place, session, program
        self._writing = asyncio.Lock()
        self._dying = asyncio.Event()
        self._leaving: asyncio.Task[None] | None = None
        self._requests: Requests | None = None
        self._status = _said("active", f"program {program}")
        self._bag: dict[str, str] = {}
        self.settings = Settings(connection.workings.mirror, self._read_settings)
        """The leader settings of the application."""
        self.application_databag = Settings(connection.workings.mirror, self._read_application_bag)
        """What leaders have said on the application's behalf."""
        self.acknowledgements = Acknowledgements(self)
        """Settings in versions that each unit acknowledges."""

    def __repr__(self) -> str:
        return f"<unit {self.unit}>"

    @property
    def unit(self) -> str:
        """Its name: `worker/3`. The number was never another's."""
        return str(self._place.unit)

    @property
    def application(self) -> str:
        """The application's name."""
        return self._place.unit.application

    @property
    def members(self) -> list[str]:
        """The units that are there now, this one too, by number. A charm's unit whose agent is lost is a member all the same."""
        return [str(unit) for unit in members(self._workings.view(), self.application)]

    @property
    def leader(self) -> str | None:
        """The unit that leads, as the newest snapshot shows; None: the office is vacant."""
        holder = self.holder
        return None if holder is None else holder.unit

    @property
    def databag(self) -> Mapping[str, str]:
        """What this unit says on its peer relation."""
        return dict(self._bag)

    def databag_of(self, unit: str) -> Mapping[str, str]:
        """What another unit of the application says there; empty when it isn't there."""
        relation = self._workings.view().relations.get(self._relation())
        found = None if relation is None else next(
            (relation.unit_bag(name) for name in relation.members(self.application) if str(name) == unit), None
        )  # fmt: skip
        return dict(found or {})

    @asynccontextmanager
    async def hold(self, timeout_s: float | None = None) -> AsyncIterator[UnitTerm]:
        """Lead for the length of the block; wait to be elected first: `async with unit.hold() as term`.

        Promises: nobody else leads while the block runs; it is cancelled as soon as the term is not sure for the guarantee
        (half the lease) any more: it has so long to end. What is read in it is no older than the term.
        Times: waits for `timeout_s` seconds, without end if None. Leaving gives the office up, once all that is owed has
        run out, and goes last in line; of a silent store it waits no longer than the lease lasts.
        Cancelling: leaves at once; what is held is given up behind it.
        Raises: NotLeader when the term has ended before the block, which was cancelled. TimedOut: another one leads.
            NoSuchThing when the unit has left, or was removed.
        """
        self._check_joined()
        async with self._blocks.hold(timeout_s) as (standing, number):
            yield UnitTerm(self, standing, number)

    async def write_settings(self, changes: Mapping[str, str], *, term: int | None = None) -> None:
        """Change leader settings, all of the group or none; an empty text removes its name.

        Promises: they land in the term that this unit holds when it is called (`term`: in that one), or never, however
        late; nor over a later write. On return every reader can see them, and this program does.
        Cancelling: they may land all the same, in that term. Raises: NotLeader: nothing is written. BadInput: a text that
            isn't UTF-8, or too long. Unsure: they may have landed.
        """
        fence = self._fence(term)
        workings = self._workings
        async with self._writing:
            base = self._application(workings.snapshot).settings_item
            key = workings.layout.settings(self.application)
            written = await write_settings(workings.store, key, fence, base, changes)
            await workings.seen(written.revision)

    async def write_application_databag(self, changes: Mapping[str, str], *, term: int | None = None) -> None:
        """Say something on the application's behalf on its peer relation; promises and raises as `write_settings`."""
        fence = self._fence(term)
        workings, number = self._workings, self._relation()
        async with self._writing:
            key = workings.layout.application_bag(number, self.application)
            change = BagChange(key, workings.snapshot.get(key), changes)
            revision = await write_bags(workings.store, [change], fence=fence)
            await workings.seen(revision or 0)

    async def write_databag(self, changes: Mapping[str, str]) -> None:
        """Say something as this unit on its peer relation; an empty text removes its name.

        Promises: on return it is in the store. After an outage in which the lease was lost it is said again.
        Times: waits as long as the store is silent. Cancelling: it is said all the same, as soon as the store answers.
        Raises: NoSuchThing when the unit has left. BadInput when the application has no peer relation, or for a text that isn't UTF-8.
        """
        self._check_joined()
        key = self._workings.layout.unit_bag(self._relation(), self._place.unit)
        bag = merged(self._bag, changes)
        value = _encoded(bag)
        self._bag = bag
        self._session.keep(key, value)
        await self._workings.mirror.wait_until(lambda snapshot: _has(snapshot, key, value) or self._bag is not bag)

    async def say(self, status: str, message: str = "") -> None:
        """The unit's status, for `tenure status`: `active`, `waiting`, `blocked`, `maintenance`, and a sentence.

        Promises, times and cancelling: as `write_databag`. Raises: NoSuchThing when the unit has left.
        """
        self._check_joined()
        self._status = kept = _said(status, message)
        key, value = self._workings.layout.unit_status(self._place.unit), encode(kept)
        self._session.keep(key, value)
        await self._workings.mirror.wait_until(lambda snapshot: _has(snapshot, key, value) or self._status is not kept)

    # ---- for the connection

    async def _enter(self) -> None:
        """Be there: with a record, a status, and a databag in each peer relation."""
        workings, layout, name = self._workings, self._workings.layout, self._place.unit
        key = layout.unit_info(name)
        self._session.keep(key, encode(UnitRecord(program=self._program)))
        self._session.keep(layout.unit_status(name), encode(self._status))
        for number in self._place.peer_relations.values():
            self._session.keep(layout.unit_bag(number, name), _encoded({}))
        await workings.mirror.wait_until(lambda snapshot: snapshot.get(key) is not None)
        self._stop_looking = workings.mirror.on_change(self._look)

    async def _begin(self) -> Standing:
        self._check_joined()
        workings, layout = self._workings, self._workings.layout
        keys = OfficeKeys(
            name=self.name,
            holder=layout.holder(self.application, LEADER_OFFICE),
            last=layout.last(self.application, LEADER_OFFICE),
            terms=layout.terms(self.application, LEADER_OFFICE),
            # The record comes and goes with the session; the number is this program's alone, so it needs no comparison.
            unit_info="",
            present=layout.unit_present(self._place.unit),
            paused=layout.paused(self.application),
        )
        # The unit's candidacy before this one has ended; its keys must not be taken for this one's.
        await workings.caught_up(keys.holder)
        standing = workings.begin(self._session, keys, self.unit, self._show)
        self._requests = Requests(self, standing)
        return standing

    def _leave(self) -> asyncio.Task[None]:
        """Give the office up and go, whatever becomes of the caller."""
        if self._leaving is None:
            self._leaving = self._workings.spawn(self._go())
        return self._leaving

    async def _go(self) -> None:
        self._stop_looking()
        await self._blocks.leave(wait=False)
        await self._blocks.left()
        layout, name = self._workings.layout, self._place.unit
        for number in self._place.peer_relations.values():
            await self._session.drop(layout.unit_bag(number, name))
        await self._session.drop(layout.unit_status(name))
        await self._session.drop(layout.unit_info(name))
        await self._workings.store.commit([], [DeletePrefix(layout.requests(name))])
        if self._dying.is_set():
            # Only now: what removes applications knows charms, and with them YAML, which a program is better off without.
            from tenure.model.removal import end_application_if_empty

            await end_application_if_empty(self._workings.store, layout, self.application)

    def _look(self, snapshot: MirrorSnapshot) -> None:
        try:
            if self._requests is not None:
                self._requests.look()
            item = snapshot.get(self._workings.layout.unit_info(self._place.unit))
            # Whoever lets a unit die writes its record anew, and so takes it off the session.
            if item is None or item.lease or self._dying.is_set():
                return
            if decode(UnitRecord, item.value, item.key).life == "dying":
                self._dying.set()
                self._leave()
        except StoreBroken as error:
            # One record that can't be read must not end what is held.
            _log.warning("%s (%s)", error.message, error.hint)

    def _show(self, snapshot: MirrorSnapshot) -> OfficeView:
        found = self._found(snapshot)
        if found is None:
            return OfficeView(snapshot.revision, None, None, None, {})
        return found.office_view(self._place.unit, snapshot.revision)

    # ---- how

    def _check_joined(self) -> None:
        if self._leaving is not None:
            raise NoSuchThing(f"{self.unit} is not in its application any more", hint="join anew")

    def _term(self, term: int | None) -> int:
        """The term that it holds now. Raises NotLeader when that isn't `term`, or there is none; NoSuchThing when it has left."""
        self._check_joined()
        now = None if self._standing is None else self._standing.candidate.term
        if now is None or term not in (None, now):
            raise NotLeader(f"{self.unit} is not the leader" + ("" if term is None else f" in term {term} any more"))
        return now

    def _fence(self, term: int | None) -> Compare:
        return modified_at(self._workings.layout.holder(self.application, LEADER_OFFICE), self._term(term))

    def _relation(self) -> int:
        numbers = list(self._place.peer_relations.values())
        if not numbers:
            raise BadInput(f'the application "{self.application}" has no peer relation')
        return numbers[0]

    def _found(self, snapshot: MirrorSnapshot) -> ApplicationView | None:
        layout = self._workings.layout
        segment = snapshot.segment(layout.application(self.application))
        if segment is None or layout.application_info(self.application) not in segment.items:
            return None
        return ModelView(snapshot, layout).application(self.application)

    def _application(self, snapshot: MirrorSnapshot) -> ApplicationView:
        return ModelView(snapshot, self._workings.layout).application(self.application)

    def _state(self, snapshot: MirrorSnapshot) -> OfficeState:
        found = self._found(snapshot)
        return OfficeState(LEADER_OFFICE, {}) if found is None else found.office()

    def _read_settings(self, snapshot: MirrorSnapshot) -> tuple[Mapping[str, str], Item | None]:
        found = self._found(snapshot)
        return ({}, None) if found is None else (found.settings, found.settings_item)

    def _read_application_bag(self, snapshot: MirrorSnapshot) -> tuple[Mapping[str, str], Item | None]:
        item = snapshot.get(self._workings.layout.application_bag(self._relation(), self.application))
        return ({}, None) if item is None else (decode(Databag, item.value, item.key).values, item)


def _encoded(bag: Mapping[str, str]) -> bytes:
    try:
        return encode(Databag(values=dict(bag)))
    except UnicodeEncodeError:
        raise BadInput("databags hold UTF-8 text", hint="encode other bytes, as base64 for one") from None


def _has(snapshot: MirrorSnapshot, key: str, value: bytes) -> bool:
    item = snapshot.get(key)
    return item is not None and item.value == value


def _said(status: str, message: str) -> UnitStatus:
    return UnitStatus(workload=Said(status=status, message=message, since=now_text()), agent=Said(status="idle"))
