"""A program's connection to a model: one store, one mirror, one desk, and what it holds, joins and looks at."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure.alarm import Alarm, Waiter
from tenure.api.candidacies import Times
from tenure.api.office import Holding, Office, holding
from tenure.api.settings import Settings
from tenure.api.unit import Unit
from tenure.api.workings import Workings
from tenure.clock import Clock, KernelClock, boot_id
from tenure.defaults import TTL_S
from tenure.errors import BadInput
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.plan import ensure_model
from tenure.model.programs import take_place
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.view import ModelView
from tenure.model.walltime import now_text
from tenure.names import check_application, check_machine, check_model, check_office
from tenure.office.driver import Desk, Timing
from tenure.store import open_store
from tenure.store.api import Item, Store

_log = logging.getLogger("tenure.office")


@dataclass(frozen=True, slots=True)
class HeldWorld:
    """For tests: the time of the connections to one URL, and what stands between them and their stores."""

    clock: Clock
    waiter: Waiter
    wrap: Callable[[Store], Store]
    giving_up: Callable[[], AbstractContextManager[None]]
    connections: list[Connection] = field(default_factory=list)


held_worlds: dict[str, HeldWorld] = {}
"""URLs of stores whose time a test holds."""


@asynccontextmanager
async def connect(
    url: str, *, model: str = "default", machine: str | None = None, lease_s: int = TTL_S
) -> AsyncIterator[Connection]:
    """A connection to `model` in the store at `url`, for the length of the block: `async with tenure.connect(url) as connection`.

    `machine`: what others see as the place where this program runs; the host's name unless given. `lease_s`: for
    offices, and applications that this program makes, if nothing else is said there.
    Promises: whatever is held or joined through it is given up, in order, when the block is left, also by an exception;
    a program that dies without that gives everything up when its leases end.
    Times: opening takes milliseconds; leaving as long as something is owed, of a silent store no longer than the longest
    lease and 5 s. Cancelling: what isn't given up yet ends with its lease.
    Raises: BadInput (URL, name, lease). StoreUnreachable, StoreBroken: nothing has happened.
    """
    check_model(model)
    place = check_machine(machine) if machine is not None else _host()
    held = held_worlds.get(url)
    clock: Clock = held.clock if held is not None else KernelClock()
    async with contextlib.AsyncExitStack() as closing:
        alarm = Alarm(clock)
        closing.callback(alarm.close)
        waiter: Waiter = held.waiter if held is not None else alarm
        opened = await open_store(url, clock=clock, waiter=waiter) if held is not None else await open_store(url)
        closing.push_async_callback(opened.close)
        store = held.wrap(opened) if held is not None else opened
        layout = Layout(model)
        await ensure_model(store, layout)
        mirror = Mirror(store, layout.prefix, clock=clock)
        await mirror.start()
        closing.push_async_callback(mirror.close)
        folder = Path(tempfile.mkdtemp(prefix="tenure-"))
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        desk = Desk(store, clock, waiter, folder, place, boot_id(), _said, wall=now_text)
        times = Times(clock, waiter, held.giving_up if held is not None else nullcontext)
        connection = Connection(Workings(store, layout, mirror, desk, times), lease_s)
        if held is not None:
            held.connections.append(connection)
            closing.callback(held.connections.remove, connection)
        try:
            yield connection
        finally:
            await connection.workings.close()


class Connection:
    """What a program has of a model. Made by `connect`; all of it belongs to the event loop in which it was made."""

    def __init__(self, workings: Workings, lease_s: int) -> None:
        self.workings = workings
        """Tenure's own."""
        self._lease_s = lease_s
        self._offices: dict[str, Office] = {}

    def __repr__(self) -> str:
        return f"<connection to the model {self.workings.layout.model} in {self.workings.store.url}>"

    def office(self, name: str, *, lease_s: int | None = None, priority: int = 0) -> Office:
        """The office `name`, which belongs to no application; the same as `tenure hold NAME` holds.

        Costs nothing, and makes nobody a candidate before `hold`. `lease_s`: whole seconds, the connection's unless given;
        `priority`: of several who wait, the greatest is next. Both count where the name is first asked for.
        Raises: BadInput for a bad name, or a lease that can't be.
        """
        if name not in self._offices:
            timing = self._timing(lease_s)
            self._offices[check_office(name)] = Office(self, name, timing, priority)
        return self._offices[name]

    @asynccontextmanager
    async def join(
        self, application: str, *, lease_s: int | None = None, candidate: bool = False
    ) -> AsyncIterator[Unit]:
        """Be a new unit of `application` for the length of the block; the application is made if there is none.

        Promises: its number was never another unit's. It is a member for as long as this program keeps its session: after
        an outage in which that was lost it is there again, with the same number. `lease_s` is that of an application that
        is made; one that is there has its own. `candidate`: it may be elected also while no block of its is in `hold`, as
        a charm's unit may; for programs that ask `is_leader`.
        Times: milliseconds; leaving as `hold` does. Cancelling: the unit leaves behind it.
        Raises: BadInput (the name, the lease, an application that is being removed). Unsure: it isn't joined.
        """
        self.workings.check_open()
        place = await take_place(self.workings.store, self.workings.layout, application, self._timing(lease_s))
        session = await self.workings.desk.session(f"application {application}", place.timing)
        unit = Unit(self, place, session, f"{self.workings.desk.machine}:{os.getpid()}")
        leaving = self.workings.leaving_first
        leaving.append(unit._leave)
        try:
            await unit._enter()
            if candidate:
                await unit._blocks.stand()
            yield unit
        finally:
            leaving.remove(unit._leave)
            await self.workings.finish(unit._leave(), place.timing.ttl_s)

    def leader(self, application: str) -> Holding | None:
        """Who leads `application`, as the newest snapshot shows; None: nobody. Raises NoSuchThing."""
        return holding(self.workings.view().application(check_application(application)).office())

    def settings(self, application: str) -> Settings:
        """The leader settings of `application`, to be read; empty while there is no such application. Raises BadInput."""
        check_application(application)

        def read(snapshot: MirrorSnapshot) -> tuple[dict[str, str], Item | None]:
            found = ModelView(snapshot, self.workings.layout).applications.get(application)
            return ({}, None) if found is None else (dict(found.settings), found.settings_item)

        return Settings(self.workings.mirror, read)

    def _timing(self, lease_s: int | None) -> Timing:
        timing = Timing.for_lease(self._lease_s if lease_s is None else lease_s)
        traits = self.workings.store.traits
        if not traits.least_ttl_s <= timing.ttl_s <= traits.most_ttl_s:
            raise BadInput(
                f"{self.workings.store.url} has leases from {traits.least_ttl_s} s to {traits.most_ttl_s} s, not {timing.ttl_s} s"
            )
        return timing


def _host() -> str:
    """The host's name, as far as it can be a machine's."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("._-")[:60] or "host"


def _said(message: str, **fields: Any) -> None:
    _log.info("%s %s", message, " ".join(f"{name}={value}" for name, value in fields.items()))
