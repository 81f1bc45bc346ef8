"""`tenure.connect` for threads: Django, Celery, scripts. One daemon thread with an event loop stands behind each connection.

    import tenure.blocking

    with tenure.blocking.connect("sqlite:////var/lib/shop/tenure.db", model="shop") as connection:
        with connection.office("cron").hold() as term:
            for job in jobs:
                term.check()              # raises NotLeader as soon as the term is over
                run(job)

A thread can't be cancelled. So the block of a `hold` is told, not ended: ask `term.check()` before each step, give each step no
more time than `term.left_s`, and where a late write would do harm give `term.number` to the resource (`tenure.fencing`).

Everything here may be called from any thread, and waits in it. A process that forks makes its connections after the fork.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from tenure import api
from tenure.api import Holding, PastTerm, Settings, Term
from tenure.api.candidacies import sure_answer
from tenure.defaults import TTL_S
from tenure.errors import BadInput, NotLeader, StoreUnreachable

__all__ = ["Connection", "Office", "Unit", "connect"]

T = TypeVar("T")

EXIT_WITHIN_S = 2.0
"""How long an interpreter that ends waits for offices to be given up whose connections nobody has closed."""

Leave = Callable[[float | None], None]
"""Leaves a context, within so many seconds."""


def connect(url: str, *, model: str = "default", machine: str | None = None, lease_s: int = TTL_S) -> Connection:
    """A connection, open when this returns; close it, or use it as a context manager. Arguments and errors: `tenure.connect`.

    Promises: as `tenure.connect`. What is still open when the interpreter ends is closed then, within 2 s, so that offices
    are free at once. Times: opening takes milliseconds. Raises: BadInput, StoreUnreachable, StoreBroken: nothing has happened.
    """
    loop = _Loop()
    try:
        return Connection(loop, loop.enter(lambda: api.connect(url, model=model, machine=machine, lease_s=lease_s)))
    except BaseException:
        loop.stop()
        raise


class Connection:
    """What a program has of a model, for threads. Made by `connect`."""

    def __init__(self, loop: _Loop, entered: tuple[api.Connection, Leave]) -> None:
        self._loop = loop
        self._connection, self._leave = entered
        self._closing = threading.Lock()
        atexit.register(self._at_exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up all that is held or joined, in order, and end the thread; nothing happens the second time.

        Times: as long as something is owed, of a silent store no longer than the longest lease and 5 s. A term whose block
        is still running in another thread is not waited for longer than that; it ends with its lease.
        """
        with self._closing:
            if self._loop.ended or self._loop.forked:
                return
            atexit.unregister(self._at_exit)
            try:
                self._leave(None)
            finally:
                self._loop.stop()

    def _at_exit(self) -> None:
        """Whose block is still running in a daemon thread ends with the process, its office with the lease."""
        if not self._loop.forked and not self._loop.ended:
            with contextlib.suppress(Exception):
                self._leave(EXIT_WITHIN_S)
            self._loop.stop()

    def office(self, name: str, *, lease_s: int | None = None, priority: int = 0) -> Office:
        """The office `name`, which belongs to no application. Promises and errors: `tenure.api.Connection.office`."""
        office = self._loop.run(_calling(lambda: self._connection.office(name, lease_s=lease_s, priority=priority)))
        return Office(self._loop, office)

    @contextmanager
    def join(self, application: str, *, lease_s: int | None = None, candidate: bool = False) -> Iterator[Unit]:
        """Be a new unit of `application` for the length of the block. Promises, times, errors: `tenure.api.Connection.join`."""
        unit, leave = self._loop.enter(lambda: self._connection.join(application, lease_s=lease_s, candidate=candidate))
        try:
            yield Unit(self._loop, unit)
        finally:
            leave(None)

    def leader(self, application: str) -> Holding | None:
        """Who leads `application`, as the newest snapshot shows; None: nobody. Raises NoSuchThing."""
        return self._loop.run(_calling(lambda: self._connection.leader(application)))

    def settings(self, application: str) -> Settings:
        """The leader settings of `application`, to be read, also from other threads. Raises BadInput."""
        return self._connection.settings(application)


class _Held:
    """What an office of its own and a unit's have in common."""

    def __init__(self, loop: _Loop, office: api.Office | api.Unit) -> None:
        self._loop, self._office = loop, office

    @property
    def name(self) -> str:
        """The office's name; of an application's: `web/leader`."""
        return self._office.name

    @property
    def holder(self) -> Holding | None:
        """Who holds it, as the newest snapshot shows; None: vacant. It says nothing about the next instant."""
        return self._loop.run(_calling(lambda: self._office.holder))

    @property
    def history(self) -> list[PastTerm]:
        """The terms that are over, oldest first; the last hundred."""
        return self._loop.run(_calling(lambda: self._office.history))

    def is_leader(self, for_s: float | None = None) -> bool:
        """Whether this program surely holds the office for `for_s` seconds more (None: the guarantee, half the lease).

        Promises: a True is a debt, for so long from the return; a False promises nothing. Times: 2 s at most.
        Raises: BadInput for more than a lease can give. Unsure when it can't be known: act as for False.
        """
        standing = self._office._standing
        while standing is not None:
            answer = self._loop.run(sure_answer(standing, for_s))
            if answer.verdict != "yes":
                break
            # Asked in this thread: between the loop's answer and here any time may have passed.
            if answer.print_until is not None and not answer.print_until.reached(
                self._office.connection.workings.now()
            ):
                return True
        return False

    def transfer(self, to: str) -> bool:
        """Hand the office to `to`, who waits for it, without a gap. True: `to` holds it now.

        Promises: not before all that is owed has run out, and this program's block is over: so call it from another
        thread than the block's. Raises: NotLeader when this program doesn't hold it.
        """
        return self._loop.run(self._office.transfer(to))

    @contextmanager
    def hold(self, timeout_s: float | None = None) -> Iterator[Term]:
        """Hold the office for the length of the block; wait for it first: `with office.hold() as term`.

        Promises: nobody else holds it while `term.left_s` is more than 0. The thread isn't interrupted when the term ends: it
        asks `term.check()`. An end on purpose, a transfer for one, waits for the block.
        Times: waits for `timeout_s` seconds, without end if None. Leaving gives the office up, as `tenure.api.Office.hold` does.
        Raises: NotLeader, on leaving, when the term has ended before the block and nothing else was raised: what was done
            since may have been done beside another holder. TimedOut: it is held by others.
        """
        block = _Block(self._loop, self._office, timeout_s)
        term = block.enter()
        try:
            yield term
        except BaseException:
            block.leave()
            raise
        if block.leave():
            raise NotLeader(f"term {term.number} of {term.office} ended before its block")


class Office(_Held):
    """An office without an application, for threads."""


class Unit(_Held):
    """A unit that is this program, for threads. Promises and errors are those of `tenure.api.Unit`."""

    def __init__(self, loop: _Loop, unit: api.Unit) -> None:
        super().__init__(loop, unit)
        self._unit = unit

    @property
    def unit(self) -> str:
        """Its name: `worker/3`."""
        return self._unit.unit

    @property
    def settings(self) -> Settings:
        """The leader settings of the application; to be read from any thread."""
        return self._unit.settings

    @property
    def application_databag(self) -> Settings:
        """What leaders have said on the application's behalf."""
        return self._unit.application_databag

    @property
    def members(self) -> list[str]:
        """The units that are there now, this one too."""
        return self._loop.run(_calling(lambda: self._unit.members))

    @property
    def leader(self) -> str | None:
        """The unit that leads, as the newest snapshot shows."""
        return self._loop.run(_calling(lambda: self._unit.leader))

    def databag_of(self, unit: str) -> Mapping[str, str]:
        """What another unit says on the peer relation; empty when it isn't there."""
        return self._loop.run(_calling(lambda: self._unit.databag_of(unit)))

    def write_settings(self, changes: Mapping[str, str], *, term: int | None = None) -> None:
        """Change leader settings, all or none, in this term or never. Raises NotLeader, BadInput, Unsure."""
        self._loop.run(self._unit.write_settings(changes, term=term))

    def write_application_databag(self, changes: Mapping[str, str], *, term: int | None = None) -> None:
        """Say something on the application's behalf; as `write_settings`."""
        self._loop.run(self._unit.write_application_databag(changes, term=term))

    def write_databag(self, changes: Mapping[str, str]) -> None:
        """Say something as this unit on its peer relation. Raises NoSuchThing, BadInput."""
        self._loop.run(self._unit.write_databag(changes))

    def publish(self, changes: Mapping[str, str]) -> int:
        """Change leader settings as one new version of all of them; its number. Raises NotLeader, BadInput, Unsure."""
        return self._loop.run(self._unit.acknowledgements.publish(changes))

    def acknowledge(self, version: int) -> None:
        """Say that this unit has applied `version`. Raises BadInput, NoSuchThing."""
        self._loop.run(self._unit.acknowledgements.acknowledge(version))

    def acknowledged_by_everyone(self, timeout_s: float | None = None) -> None:
        """Return once every member has acknowledged the published version. Raises TimedOut: it says who is missing, and why."""
        self._loop.run(self._unit.acknowledgements.everyone(timeout_s))

    def say(self, status: str, message: str = "") -> None:
        """The unit's status, for `tenure status`. Raises NoSuchThing."""
        self._loop.run(self._unit.say(status, message))


class _Loop:
    """A daemon thread with an event loop, and calls into it from others."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.ended = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="tenure", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], limit_s: float | None = None) -> T:
        """What `work` returns or raises, done in the loop; interrupted (Ctrl-C), or after `limit_s`, it is cancelled there."""
        if self.forked:
            work.close()
            raise BadInput("this connection belongs to the process that has forked", hint="connect after the fork")
        if self.ended:
            work.close()
            raise StoreUnreachable("the connection is closed")
        if threading.current_thread() is self._thread:
            work.close()
            raise BadInput("a blocking call in the connection's own thread would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit_s)
        except BaseException:
            future.cancel()
            raise

    def enter(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> tuple[T, Leave]:
        """Enter a context in the loop; returns what it gives, and what leaves it. One task enters and leaves, as asyncio wants it."""
        entered: asyncio.Future[T]
        leaving: asyncio.Event

        async def live() -> None:
            try:
                async with make() as value:
                    entered.set_result(value)
                    await leaving.wait()
            except BaseException as error:
                if not entered.done():
                    entered.set_exception(error)
                else:
                    raise

        async def begin() -> tuple[T, asyncio.Task[None]]:
            nonlocal entered, leaving
            entered, leaving = asyncio.get_running_loop().create_future(), asyncio.Event()
            task = asyncio.get_running_loop().create_task(live())
            try:
                return await entered, task
            except BaseException:
                task.cancel()
                raise

        async def end(task: asyncio.Task[None]) -> None:
            leaving.set()
            await task

        value, task = self.run(begin())
        return value, lambda limit_s: self.run(end(task), limit_s)

    def stop(self) -> None:
        """End the thread."""
        if not self.ended:
            self.ended = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    @property
    def forked(self) -> bool:
        """Whether this is a child that the thread wasn't copied into."""
        return os.getpid() != self._pid

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


class _Block:
    """A block of a thread's that holds an office: the task behind it stays in the term's scope until the thread has left."""

    def __init__(self, loop: _Loop, office: api.Office | api.Unit, timeout_s: float | None) -> None:
        self._loop, self._office, self._timeout_s = loop, office, timeout_s
        self._left = asyncio.Event()
        self._task: asyncio.Task[bool]

    def enter(self) -> Term:
        """Wait for the office."""
        return self._loop.run(self._begin())

    def leave(self) -> bool:
        """Give it up; whether the term had ended before."""
        return self._loop.run(self._end())

    async def _begin(self) -> Term:
        began: asyncio.Future[Term] = asyncio.get_running_loop().create_future()
        self._task = asyncio.get_running_loop().create_task(self._hold(began))
        try:
            return await began
        except BaseException:
            self._task.cancel()
            raise

    async def _end(self) -> bool:
        self._left.set()
        return await self._task

    async def _hold(self, began: asyncio.Future[Term]) -> bool:
        lost = False
        try:
            async with self._office.hold(self._timeout_s) as term:
                began.set_result(term)
                while not self._left.is_set():
                    try:
                        await self._left.wait()
                    except asyncio.CancelledError:
                        # The thread can't be cancelled: the term's end waits for it, as long as the lease lets it.
                        lost = True
                lost = lost or term.over
        except NotLeader:
            lost = True
        except BaseException as error:
            if began.done():
                raise
            began.set_exception(error)
        return lost


async def _calling(call: Callable[[], T]) -> T:
    return call()
