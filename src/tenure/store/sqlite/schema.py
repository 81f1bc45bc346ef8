"""The database's tables, and opening it: what it must be like, and what is said when it isn't."""

from __future__ import annotations

import os
import sqlite3
from urllib.parse import quote

from tenure.errors import BadInput, StoreBroken, StoreUnreachable, StoreUnsure, TenureError
from tenure.store.sqlite.place import Place, os_fault

APPLICATION_ID = 0x54656E75
FORMAT = 1
BUSY_S = 2.0
"""How long to wait for a program that isn't Tenure (`sqlite3`, a backup) and holds the database."""

_TABLES = (
    # One row. `forgotten` is the last revision whose changes are no longer in the log.
    """CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, forgotten INTEGER NOT NULL,
        log_bytes INTEGER NOT NULL, boot TEXT NOT NULL, machine TEXT NOT NULL)""",
    """CREATE TABLE items (
        key TEXT PRIMARY KEY, create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL,
        version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX items_by_lease ON items (lease) WHERE lease <> 0",
    # What each revision did; a version of 0 says that the key was removed.
    """CREATE TABLE log (
        revision INTEGER NOT NULL, key TEXT NOT NULL, create_revision INTEGER NOT NULL,
        version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB, PRIMARY KEY (revision, key)) WITHOUT ROWID""",
    # AUTOINCREMENT: a lease's number is never used again.
    "CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_s INTEGER NOT NULL, ends_ns INTEGER NOT NULL)",
    "CREATE INDEX leases_by_end ON leases (ends_ns)",
)


def create_file(place: Place) -> int:
    """Make the database's file, empty and for its owner alone, unless it is there; returns its mode.

    A file that is there and isn't Tenure's is refused before anything is put beside it. Raises BadInput, StoreBroken.
    """
    try:
        os.close(os.open(place.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _sync_folder(os.path.dirname(place.path))
    except FileExistsError:
        # Only while no store of this process can have it open: closing a file drops its process's SQLite locks on it.
        if not os.path.exists(place.lock_path):
            _check_header(place.path)
    except OSError as error:
        raise os_fault(error, place.path) from None
    return os.stat(place.path).st_mode & 0o666


def connect(place: Place) -> sqlite3.Connection:
    """A connection for the store's thread, with SQLite's own check-pointing off. Raises StoreBroken, StoreUnreachable."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(place.path))}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=BUSY_S,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise fault(error, place.path) from None
    return connection


def is_empty(connection: sqlite3.Connection, path: str) -> bool:
    """Whether nothing was made in the database yet. Raises BadInput, StoreBroken for one that can't be used."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise fault(error, path) from None
    if not tables and not application:
        return True
    if application != APPLICATION_ID:
        raise BadInput(f"{path} is a database, but not Tenure's", hint="name a file of its own in --store")
    if version > FORMAT:
        raise StoreBroken(
            f"{path} was written by a newer Tenure (format {version}; this one knows {FORMAT})",
            hint="upgrade Tenure here too",
        )
    return False


def create_tables(connection: sqlite3.Connection, path: str, boot: str, machine: str) -> None:
    """Make the tables, all or none; the caller holds the writer's lock. Raises StoreBroken, StoreUnreachable."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreBroken(f"{path} can't keep a write-ahead log here (journal mode {mode})")
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO state VALUES (1, 0, 0, 0, ?, ?)", (boot, machine))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.rollback()
        raise fault(error, path) from None


def fault(error: sqlite3.Error, path: str, *, committing: bool = False) -> TenureError:
    """What SQLite's `error` means for the caller: nothing has landed, unless it came while `committing`."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            return StoreBroken(f"the disk is full: {path} can't grow", hint="nothing was changed; free some space")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnreachable(
                f"{path} is held by a program that is not Tenure", hint=f"`fuser {path}` shows which; end it"
            )
        case sqlite3.SQLITE_READONLY:
            return StoreBroken(f"{path} can't be written: it, its folder or its disk is read-only")
        case _ if committing:
            return StoreUnsure(f"{path}: the commit's end is not known ({error})")
        case sqlite3.SQLITE_NOTADB:
            return BadInput(f"{path} is not a database", hint="name another file in --store")
        case sqlite3.SQLITE_CORRUPT:
            return StoreBroken(f"{path} is corrupt ({error})", hint="stop what uses it and restore it from a backup")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreBroken(f"{path} can't be opened ({error})", hint="run it as the store's owner")
        case _:
            return StoreBroken(f"{path} can't be used ({error})")


def _sync_folder(path: str) -> None:
    # SQLite does so for its log alone: else the first commits could survive a power cut in a file without a name.
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_header(path: str) -> None:
    try:
        with open(path, "rb") as file:
            header = file.read(72)
    except OSError as error:
        raise os_fault(error, path) from None
    if header and not header.startswith(b"SQLite format 3\0"):
        raise BadInput(f"{path} is not a database", hint="name another file in --store")
    # An application id of 0 may be a database whose making was cut short; `is_empty` looks closer.
    if int.from_bytes(header[68:72], "big") not in {0, APPLICATION_ID}:
        raise BadInput(f"{path} is a database, but not Tenure's", hint="name a file of its own in --store")
