"""A database as its store's thread sees it: one connection, the two locks, and how a write begins and ends.

Every commit and every checkpoint happens under the writer's lock: SQLite before 3.51.3 can corrupt a log to which two
connections commit and check-point at once, and Pythons bring older ones.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from tenure.clock import Clock, boot_id
from tenure.errors import BadInput, LeaseLost, StoreBroken, StoreReplaced
from tenure.store.sqlite import schema
from tenure.store.sqlite.locks import FileLock, share_after
from tenure.store.sqlite.place import Place, machine_identity, os_fault
from tenure.store.sqlite.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")

_CHECKPOINT_AFTER = 256
"""Our own commits between two checkpoints: a megabyte or so of log, a few milliseconds of work."""

_LOG_LARGE = 8 * 1024 * 1024
"""A log of this many bytes is check-pointed sooner, and cut back; others' commits count here too."""

_TRY_AGAIN_AFTER = 8
"""Our own commits between two tries to cut back a large log that somebody still reads."""


class Database:
    """The open database at `place`; made when it isn't there. Raises BadInput, StoreBroken, StoreUnreachable."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self.place = place
        self._clock = clock
        self._boot, self._machine = boot_id(), machine_identity()
        self._commits = 0
        mode = schema.create_file(place)
        with contextlib.ExitStack() as undo:
            self.writer = FileLock(place.lock_path, mode)
            undo.callback(self.writer.close)
            self._living = FileLock(place.open_path, mode)
            undo.callback(self._living.close)
            self.connection = schema.connect(place)
            undo.callback(self.connection.close)
            self._files = {place.path: os.stat(place.path)}
            if schema.is_empty(self.connection, place.path):
                self._create()
            share_after(self._living, self._is_foreign, self._take_over)
            # The log and its index stand as long as anybody has read them: this connection has.
            try:
                self._files |= {path: os.stat(path) for path in (place.path + "-wal", place.path + "-shm")}
            except OSError as error:
                raise os_fault(error, place.path) from None
            undo.pop_all()

    def read(self, body: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `body` reads from the connection, given the rest. Raises StoreBroken, StoreUnreachable, and what `body` raises."""
        try:
            return body(self.connection, *args, **kwargs)
        except sqlite3.Error as error:
            self._rollback()
            raise schema.fault(error, self.place.path) from None

    def write(self, body: Callable[[Transaction, int], T]) -> T:
        """One transaction, under the writer's lock, which the caller holds; `body` gets it and the time (BOOTTIME, ns).

        What is due to expire is ended first, and stays ended also when `body` refuses with LeaseLost or BadInput.
        Raises StoreUnsure when the commit's end isn't known; nothing has landed when it raises anything else.
        """
        self.check_in_place()
        refusal: Exception | None = None
        before = self.connection.total_changes
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            now_ns = self._clock.now().boot_ns
            transaction = Transaction(self.connection)
            transaction.expire(now_ns)
            try:
                result = body(transaction, now_ns)
            except (LeaseLost, BadInput) as error:
                refusal = error
            transaction.finish()
        except BaseException as error:
            self._rollback()
            if isinstance(error, sqlite3.Error):
                raise schema.fault(error, self.place.path) from None
            raise
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise schema.fault(error, self.place.path, committing=True) from None
        if self.connection.total_changes != before:
            self._commits += 1
            self.ring()
        if refusal is not None:
            raise refusal
        return result

    def ring(self) -> None:
        """Tell every watcher that something has landed; one that misses it looks within a second."""
        with contextlib.suppress(OSError):
            os.close(os.open(self.place.lock_path, os.O_WRONLY | os.O_CLOEXEC))

    def checkpoint(self) -> None:
        """Carry the log over into the database if it has grown; under the writer's lock. A failure is tried again later."""
        large = self._commits >= _TRY_AGAIN_AFTER and self._log_size() >= _LOG_LARGE
        if self._commits < _CHECKPOINT_AFTER and not large:
            return
        self._commits = 0
        with contextlib.suppress(sqlite3.Error):
            # Whoever reads for long only puts it off: nobody is to wait here with the writer's lock in hand.
            self.connection.execute("PRAGMA busy_timeout = 0")
            self.connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if large else 'PASSIVE'})").fetchone()
        self.connection.execute(f"PRAGMA busy_timeout = {round(schema.BUSY_S * 1000)}")

    def check_in_place(self) -> None:
        """Raises StoreReplaced when the database, its log or its lock was removed or replaced: others would use another one."""
        try:
            same = all(os.path.samestat(os.stat(path), about) for path, about in self._files.items())
        except OSError:
            same = False
        if not same or not self.writer.is_in_place():
            raise StoreReplaced(
                f"{self.place.path} or a file beside it was removed or replaced while it was in use",
                hint="end every process that uses it, then start them again",
            )

    def close(self) -> None:
        """Let everything go. Whoever closes last check-points, so it has the writer's lock if it can be had."""
        # Not to be had: somebody else is at work in the database, so this isn't the last.
        with contextlib.suppress(Exception):
            self.writer.wait_exclusive(0.2)
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        self._living.close()
        self.writer.close()

    def _create(self) -> None:
        self.writer.wait_exclusive()
        try:
            if schema.is_empty(self.connection, self.place.path):
                schema.create_tables(self.connection, self.place.path, self._boot, self._machine)
        finally:
            self.writer.release()

    def _is_foreign(self) -> bool:
        boot, machine = self.read(lambda connection: connection.execute("SELECT boot, machine FROM state").fetchone())
        if boot == self._boot:
            return False
        if machine and self._machine and machine != self._machine and not self.place.adopt:
            raise StoreBroken(
                f"{self.place.path} belongs to another machine (by /etc/machine-id)",
                hint=f"is it used nowhere else any more? then once: --store {self.place.url}?adopt=yes",
            )
        return True

    def _take_over(self) -> None:
        self.writer.wait_exclusive()
        try:
            self.write(lambda transaction, now_ns: transaction.take_over(self._boot, self._machine))
        finally:
            self.writer.release()

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _log_size(self) -> int:
        try:
            return os.stat(self.place.path + "-wal").st_size
        except OSError:
            return 0
