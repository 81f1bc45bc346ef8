"""A program's connection to a model: one store, one mirror, one desk, and what it holds, joins and looks at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure.alarm import Alarm, Waiter
from tenure.api.candidacies import Show, Standing, Times, begin, wait_for
from tenure.api.office import Holding, Office, holding
from tenure.api.settings import Settings
from tenure.api.unit import Unit
from tenure.clock import Clock, Instant, KernelClock, boot_id
from tenure.defaults import TTL_S
from tenure.errors import BadInput, StoreUnreachable, Unsure
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.plan import ensure_model
from tenure.model.programs import take_place
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.view import ModelView
from tenure.model.walltime import now_text
from tenure.names import check_application, check_machine, check_model, check_office
from tenure.office.driver import Desk, OfficeKeys, Session, Timing
from tenure.store import open_store
from tenure.store.api import Item, Store

CLOSE_SPARE_S = 5.0
"""How much longer than any lease a connection that closes goes on asking a silent store: by then its leases are over anyway."""

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
        connection = Connection(store, layout, mirror, desk, times, lease_s)
        if held is not None:
            held.connections.append(connection)
            closing.callback(held.connections.remove, connection)
        try:
            yield connection
        finally:
            await connection.close()


class Connection:
    """What a program has of a model. Made by `connect`; all of it belongs to the event loop in which it was made."""

    def __init__(self, store: Store, layout: Layout, mirror: Mirror, desk: Desk, times: Times, lease_s: int) -> None:
        self.store, self.layout, self.mirror, self.desk, self.times = store, layout, mirror, desk, times
        self._lease_s = lease_s
        self._me = f"{os.getpid()}-{secrets.token_hex(3)}"
        self._candidates = 0
        self._offices: dict[str, Office] = {}
        self._units: list[Unit] = []
        self.standings: list[Standing] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._longest_s = 0
        self._closed = False
        mirror.on_change(self._saw)

    def __repr__(self) -> str:
        return f"<connection to the model {self.layout.model} in {self.store.url}>"

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
    async def join(self, application: str, *, lease_s: int | None = None) -> AsyncIterator[Unit]:
        """Be a new unit of `application` for the length of the block; the application is made if there is none.

        Promises: its number was never another unit's. It is a member, and a candidate for the leader, for as long as this
        program keeps its session: after an outage in which that was lost it is there again, with the same number.
        `lease_s` is that of an application that is made; one that is there has its own.
        Times: milliseconds; leaving as `hold` does. Cancelling: the unit leaves behind it.
        Raises: BadInput (the name, the lease, an application that is being removed). Unsure: it isn't joined.
        """
        self.check_open()
        place = await take_place(self.store, self.layout, application, self._timing(lease_s))
        session = await self.desk.session(f"application {application}", place.timing)
        self._longest_s = max(self._longest_s, place.timing.ttl_s)
        unit = Unit(self, place, session, f"{self.desk.machine}:{os.getpid()}")
        self._units.append(unit)
        try:
            await unit.enter()
            yield unit
        finally:
            await self.finish(unit.leave(), place.timing.ttl_s)

    def leader(self, application: str) -> Holding | None:
        """Who leads `application`, as the newest snapshot shows; None: nobody. Raises NoSuchThing."""
        return holding(self.view().application(check_application(application)).office())

    def settings(self, application: str) -> Settings:
        """The leader settings of `application`, to be read; empty while there is no such application. Raises BadInput."""
        check_application(application)

        def read(snapshot: MirrorSnapshot) -> tuple[dict[str, str], Item | None]:
            found = ModelView(snapshot, self.layout).applications.get(application)
            return ({}, None) if found is None else (dict(found.settings), found.settings_item)

        return Settings(self.mirror, read)

    # ---- for offices and units

    @property
    def snapshot(self) -> MirrorSnapshot:
        """What the mirror shows now."""
        return self.mirror.current

    def now(self) -> Instant:
        """This moment, by the connection's clock."""
        return self.times.clock.now()

    def view(self) -> ModelView:
        """The same, typed."""
        return ModelView(self.mirror.current, self.layout)

    def check_open(self) -> None:
        """Raises StoreUnreachable once the connection is closed."""
        if self._closed:
            raise StoreUnreachable("the connection is closed")

    def new_candidate(self) -> str:
        """A candidate's name that nobody else has had."""
        self._candidates += 1
        return f"{self.desk.machine}/{self._me}-{self._candidates}"

    def begin(self, session: Session, keys: OfficeKeys, unit: str, show: Show, priority: int = 0) -> Standing:
        """A candidacy of `unit` that is shown what the mirror shows. Raises StoreUnreachable once the connection is closed."""
        self.check_open()
        self._longest_s = max(self._longest_s, session.timing.ttl_s)
        standing = begin(
            session,
            lambda: self.desk.candidate(session, keys, unit, priority=priority, on_change=lambda: None),
            show,
            self.snapshot,
        )
        self.standings.append(standing)
        return standing

    def end(self, standing: Standing) -> asyncio.Task[None]:
        """Withdraw the candidacy; it goes on whatever becomes of the caller."""
        if standing.leaving is None:
            standing.leaving = self.spawn(self._withdraw(standing))
        return standing.leaving

    async def finish(self, task: asyncio.Task[None], limit_s: float) -> None:
        """Return when `task` is done, or after `limit_s`: then the lease has run out, and it goes on alone."""
        with self.times.giving_up(), contextlib.suppress(TimeoutError):
            await self.times.by(self.times.limit(limit_s), wait_for(task))

    async def seen(self, revision: int) -> None:
        """Return when the mirror shows `revision`."""
        await self.mirror.wait_until(lambda snapshot: snapshot.revision >= revision)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of the connection's own, which ends with it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Give everything up, and stop. Whoever holds or waits in another task gets NotLeader or StoreUnreachable."""
        self._closed = True
        try:
            with self.times.giving_up(), contextlib.suppress(TimeoutError):
                await self.times.by(self.times.limit(self._longest_s + CLOSE_SPARE_S), self._give_up())
        finally:
            await self.desk.close(hand_over=False)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_up(self) -> None:
        await asyncio.gather(*(unit.leave() for unit in self._units), return_exceptions=True)
        await self.desk.close(hand_over=True)

    async def _withdraw(self, standing: Standing) -> None:
        await standing.candidate.withdraw()
        self.standings.remove(standing)
        await standing.candidate.close()

    def _saw(self, snapshot: MirrorSnapshot) -> None:
        for standing in list(self.standings):
            standing.candidate.saw(standing.show(snapshot))

    def _timing(self, lease_s: int | None) -> Timing:
        timing = Timing.for_lease(self._lease_s if lease_s is None else lease_s)
        traits = self.store.traits
        if not traits.least_ttl_s <= timing.ttl_s <= traits.most_ttl_s:
            raise BadInput(
                f"{self.store.url} has leases from {traits.least_ttl_s} s to {traits.most_ttl_s} s, not {timing.ttl_s} s"
            )
        return timing

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Unsure):
            task.get_loop().call_exception_handler({"message": "giving an office up has failed", "exception": error})


def _host() -> str:
    """The host's name, as far as it can be a machine's."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("._-")[:60] or "host"


def _said(message: str, **fields: Any) -> None:
    _log.info("%s %s", message, " ".join(f"{name}={value}" for name, value in fields.items()))
