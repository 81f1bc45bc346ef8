"""The one thread in which a store's database lives. Calls are handed to it and answered to the event loop.

While another process has the writer's lock, reads go on: a write waits its turn, a read needs none.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from tenure.errors import StoreUnreachable
from tenure.store.sqlite.database import Database
from tenure.store.sqlite.locks import Patience

T = TypeVar("T")


class _Call(NamedTuple):
    run: Callable[[], Any]
    writes: bool
    answer: asyncio.Future[Any]
    waited: Patience


class Worker:
    """Runs calls on a database, reads before writes, writes one by one in the order in which they were asked for."""

    def __init__(self, open_database: Callable[[], Database], name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._writes: deque[_Call] = deque()
        self._closed = False
        self._opened: asyncio.Future[Database] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._name = name
        # A daemon: a program that forgets to close its store must be able to end; every commit is whole without us.
        threading.Thread(target=self._live, args=(open_database,), name="tenure store", daemon=True).start()

    async def opened(self) -> Database:
        """The database once it is open; raises why it can't be."""
        return await asyncio.shield(self._opened)

    async def read(self, call: Callable[[], T]) -> T:
        """The call's result. Cancelled: its answer is dropped."""
        return await self._ask(call, writes=False)

    async def write(self, call: Callable[[], T]) -> T:
        """The result of a call under the writer's lock. Cancelled before its turn, it never happens; in its turn, it does.

        Raises StoreUnreachable when the lock isn't to be had, naming who has it.
        """
        return await self._ask(call, writes=True)

    async def close(self) -> None:
        """End the call under way, refuse those that wait, close the database and end the thread."""
        self.abandon()
        await asyncio.shield(self._ended)

    def abandon(self) -> None:
        """Close without waiting until that is done."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)

    async def _ask(self, call: Callable[[], T], *, writes: bool) -> T:
        if self._closed:
            raise self._gone()
        answer: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Call(call, writes, answer, Patience()))
        return await answer

    def _gone(self) -> StoreUnreachable:
        return StoreUnreachable(f"{self._name} was closed")

    def _live(self, open_database: Callable[[], Database]) -> None:
        try:
            database = open_database()
        except BaseException as error:
            self._answer(self._opened, None, error)
        else:
            self._answer(self._opened, database, None)
            self._serve(database)
            database.close()
        self._answer(self._ended, None, None)

    def _serve(self, database: Database) -> None:
        while True:
            try:
                call = self._queue.get(timeout=self._write_one(database) if self._writes else None)
            except Empty:
                continue
            if call is None:
                break
            if call.writes:
                self._writes.append(call)
            else:
                self._run(call)
        self._refuse_all()

    def _write_one(self, database: Database) -> float:
        """Do the next write if that is possible now; returns how long to listen for other calls before the next try."""
        call = self._writes[0]
        try:
            if database.writer.try_exclusive():
                self._writes.popleft()
                try:
                    self._run(call)
                    database.checkpoint()
                finally:
                    database.writer.release()
                return 0.0
            if call.waited.over:
                raise database.writer.held()
        except Exception as error:
            if self._writes and self._writes[0] is call:
                self._writes.popleft()
            self._answer(call.answer, None, error)
            return 0.0
        return call.waited.pause()

    def _run(self, call: _Call) -> None:
        if call.answer.cancelled():
            return
        try:
            result = call.run()
        except BaseException as error:
            self._answer(call.answer, None, error)
        else:
            self._answer(call.answer, result, None)

    def _refuse_all(self) -> None:
        calls = list(self._writes)
        while not self._queue.empty():
            if (call := self._queue.get()) is not None:
                calls.append(call)
        for call in calls:
            self._answer(call.answer, None, self._gone())

    def _answer(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            pass  # the loop was closed first: nobody waits for the answer


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
