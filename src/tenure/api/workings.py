"""What is behind a connection: its candidacies and tasks, one mirror that they are shown, and their end. Not for use from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from tenure.api.candidacies import Show, Standing, Times, wait_for
from tenure.clock import NS_PER_S, Instant
from tenure.errors import StoreUnreachable, Unsure
from tenure.howto.leaving import Leaving, in_line, places_away
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.view import ModelView
from tenure.office.driver import Desk, OfficeKeys, Session
from tenure.store.api import Store

CLOSE_SPARE_S = 5.0
"""How much longer than any lease a connection that closes goes on asking a silent store: by then its leases are over anyway."""

RETRY_NS = NS_PER_S // 5


class Workings:
    """What a connection's offices and units have in common."""

    def __init__(self, store: Store, layout: Layout, mirror: Mirror, desk: Desk, times: Times) -> None:
        self.store, self.layout, self.mirror, self.desk, self.times = store, layout, mirror, desk, times
        self.standings: list[Standing] = []
        self.leaving_first: list[Callable[[], asyncio.Task[None]]] = []
        """What begins the leaving of each unit."""
        self._me = f"{os.getpid()}-{secrets.token_hex(3)}"
        self._candidates = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._longest_s = 0
        self._closed = False
        self._drains = mirror.current.segment(layout.drains)
        mirror.on_change(self._saw)

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

    def begin(
        self, session: Session, keys: OfficeKeys, unit: str, show: Show, priority: int = 0, *, folder: str = ""
    ) -> Standing:
        """A candidacy of `unit` that is shown what the mirror shows; where `folder` holds all of it, only what changes there.

        Raises StoreUnreachable once the connection is closed.
        """
        self.check_open()
        self._longest_s = max(self._longest_s, session.timing.ttl_s)
        candidate = self.desk.candidate(session, keys, unit, priority=priority, on_change=lambda: None)
        standing = Standing(candidate, show, Leaving(candidate), folder, self.snapshot.segment(folder))
        self._show(standing, self.view())
        self.standings.append(standing)
        return standing

    def end(self, standing: Standing) -> asyncio.Task[None]:
        """Withdraw the candidacy; it goes on whatever becomes of the caller."""
        if standing.leaving is None:
            standing.stepping.close()
            standing.leaving = self.spawn(self._withdraw(standing))
        return standing.leaving

    async def finish(self, task: asyncio.Task[None], limit_s: float) -> None:
        """Return when `task` is done, or after `limit_s`: then the lease has run out, and it goes on alone."""
        with self.times.giving_up(), contextlib.suppress(TimeoutError):
            await self.times.by(self.times.limit(limit_s), wait_for(task))

    async def seen(self, revision: int) -> None:
        """Return when the mirror shows `revision`."""
        await self.mirror.wait_until(lambda snapshot: snapshot.revision >= revision)

    async def caught_up(self, key: str) -> None:
        """Return when the mirror shows all that has happened to `key`, as of now, however long the store is silent."""
        while True:
            try:
                snapshot = await self.store.read(key)
                break
            except StoreUnreachable:
                self.check_open()
                await self.times.waiter.until(self.times.clock.now().after(RETRY_NS))
        await self.seen(snapshot.revision)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of the connection's own, which ends with it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Give everything up, and stop. Whoever holds or waits in another task gets NotLeader or StoreUnreachable."""
        self._closed = True
        for standing in self.standings:
            standing.stepping.close()
        try:
            with self.times.giving_up(), contextlib.suppress(TimeoutError):
                await self.times.by(self.times.limit(self._longest_s + CLOSE_SPARE_S), self._give_up())
        finally:
            await self.desk.close(hand_over=False)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_up(self) -> None:
        await asyncio.gather(*(leave() for leave in list(self.leaving_first)), return_exceptions=True)
        await self.desk.close(hand_over=True)

    async def _withdraw(self, standing: Standing) -> None:
        await standing.candidate.withdraw()
        self.standings.remove(standing)
        await standing.candidate.close()

    def _saw(self, snapshot: MirrorSnapshot) -> None:
        view, drains = ModelView(snapshot, self.layout), snapshot.segment(self.layout.drains)
        before, self._drains = self._drains, drains
        for standing in list(self.standings):
            if standing.folder and drains is before:
                # Whoever holds a thousand offices isn't to look at each of them because of one.
                segment = snapshot.segment(standing.folder)
                if segment is standing.seen:
                    continue
                standing.seen = segment
            self._show(standing, view)

    def _show(self, standing: Standing, view: ModelView) -> None:
        shown = standing.show(view.snapshot)
        away = self.desk.machine in (places := places_away(view.drained))
        others = {name: item for name, item in shown.candidates.items() if away and name != standing.candidate.unit}
        standing.stepping.look(away, in_line(others, places))
        standing.candidate.saw(shown)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Unsure):
            task.get_loop().call_exception_handler({"message": "giving an office up has failed", "exception": error})
