"""The term's number at work: a resource that refuses whoever holds the office no more, however late the write comes.

A lease says who may write; it can't stop a host that was paused in the middle of a write, and goes on when another one
holds the office. Only the resource can: it remembers the greatest term that has written to it, and refuses every smaller
one. That is what is here, for databases, for files, and for anything that can compare and set.

    fence = SqlFence("web/leader")
    with psycopg.connect("dbname=shop") as database:     # one transaction
        fence.check(database, term.number)               # raises NotLeader when a later term has written
        database.execute("UPDATE accounts SET balance = balance + 10")

Term numbers come from `term.number` (`tenure.connect`), or from `TENURE_TERM` in the environment of a hook or a workload. They
are the store's revisions: of one store, one model and one office. Where the store is thrown away and begun anew they begin
anew, too, and a fence refuses everything until it is `forget`-ed.

Nothing here talks to Tenure's store, waits for it, or needs a driver: it works on the connection that you have.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tenure.errors import BadInput, NotLeader

__all__ = ["SqlFence", "compare_and_set", "replace_file"]

V = TypeVar("V")

TABLE = "tenure_fence"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")


class DbConnection(Protocol):
    """What is needed of a database's connection: PEP 249's, as sqlite3, psycopg, psycopg2 and pg8000 have it."""

    def cursor(self) -> Any:
        """A cursor."""
        ...


class SqlFence:
    """A row for each resource, with the greatest term that has written to it, in the database that is written to.

    PostgreSQL from 9.5 and SQLite from 3.35, by any DB-API connection. `resource` names what is protected, by the office whose
    terms count: "web/leader", "cron". `table`: where the rows are kept; it may have a schema.
    """

    def __init__(self, resource: str, *, table: str = TABLE) -> None:
        """Raises BadInput for a table that isn't a plain name."""
        if not _IDENTIFIER.fullmatch(table):
            raise BadInput(
                f'"{table}" is not a table\'s name', hint="letters, digits and underscores, with a schema or without"
            )
        self.resource, self.table = resource, table

    def prepare(self, connection: DbConnection) -> None:
        """Make the table if it isn't there: once, by whoever sets the database up. Commit it yourself."""
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {self.table} (resource varchar(255) PRIMARY KEY, term bigint NOT NULL)"
            )

    def check(self, connection: DbConnection, term: int) -> None:
        """Let the transaction that `connection` is in land only if no greater term than `term` has written. Call it first in it.

        Promises: once this has returned, no transaction of a greater term can pass its own check before this one has ended,
        and every smaller term is refused from then on. Transactions of one term don't wait for each other in
        PostgreSQL, but for the term's first one.
        Times: waits as long as a transaction of another term that has checked is open.
        Raises: NotLeader when a greater term has written: roll back. BadInput when no transaction would bind the check and
            the write together (autocommit), or the number is no term's. What the driver raises, a serialization failure
            among them, means: nothing has happened; roll back.
        """
        if term <= 0:
            raise BadInput(f"{term} is not a term's number")
        mark = "?" if _is_sqlite(connection) else "%s"
        with contextlib.closing(connection.cursor()) as cursor:
            if _is_sqlite(connection):
                self._raise(cursor, mark, term)
                if not getattr(connection, "in_transaction", True):
                    raise _no_transaction()
                return
            # The row is locked for sharing where it says this term already: writers of one term go on side by side.
            cursor.execute(
                f"SELECT txid_current() FROM {self.table} WHERE resource = {mark} AND term = {mark} FOR SHARE",
                (self.resource, term),
            )
            row = cursor.fetchone()
            transaction = row[0] if row is not None else self._raise(cursor, mark, term, "txid_current()")
            cursor.execute("SELECT txid_current()")
            if cursor.fetchone()[0] != transaction:
                raise _no_transaction()

    def forget(self, connection: DbConnection) -> None:
        """Let any term write again, once the store has been begun anew. Commit it yourself, while nobody writes."""
        mark = "?" if _is_sqlite(connection) else "%s"
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(f"DELETE FROM {self.table} WHERE resource = {mark}", (self.resource,))

    def _raise(self, cursor: Any, mark: str, term: int, returning: str = "term") -> Any:
        """Put the row up to `term`; what the statement returns. Raises NotLeader when it is above."""
        cursor.execute(
            f"INSERT INTO {self.table} (resource, term) VALUES ({mark}, {mark}) "
            f"ON CONFLICT (resource) DO UPDATE SET term = excluded.term WHERE {self._bare}.term <= excluded.term "
            f"RETURNING {returning}",
            (self.resource, term),
        )
        row = cursor.fetchone()
        if row is None:
            raise _late(self.resource, term)
        return row[0]

    @property
    def _bare(self) -> str:
        return self.table.rpartition(".")[2]


def replace_file(path: str | os.PathLike[str], data: bytes, term: int, *, resource: str = "") -> None:
    """Give the file at `path` the content `data`, unless a greater term than `term` has written it: checked at the rename.

    Promises: readers see the old content or the new one, whole, and no smaller term's after a greater one's; when it
    returns it is on the disk, with the term in the file `.NAME.term` beside it. The mode of a file that is there is kept.
    It holds among processes that see the same file system and its locks: one host, or a shared disk whose `flock` works
    between hosts. Others must ask for the term in what they write to.
    Raises: NotLeader: nothing has changed. BadInput: the number is no term's, or the term file isn't one. OSError: a crash
        or a full disk in between leaves the old content, with the new term remembered at the most.
    """
    if term <= 0:
        raise BadInput(f"{term} is not a term's number")
    path = Path(path)
    beside = path.with_name(f".{path.name}.term")
    written = _write_beside(path, data)
    try:
        with _locked(beside) as file:
            known = _term_in(file, beside)
            if known > term:
                raise _late(resource or str(path), term)
            if known < term:
                # First the term, then the content: whatever dies between leaves no window for a smaller one.
                os.pwrite(file, f"{term:020d}\n".encode(), 0)
                os.fsync(file)
            os.replace(written, path)
            _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(written)
        raise


def compare_and_set(
    read: Callable[[], tuple[int, V]], swap: Callable[[V, int], bool], term: int, *, resource: str = "the resource"
) -> None:
    """Write to anything that can compare and set, unless a greater term than `term` has written. The recipe, as a function.

    `read()` returns the greatest term that has written (0: none) and whatever names the version that was read: an ETag, a
    resource version, a revision. `swap(version, term)` writes the new content *and the term* if the version still is that
    one, and returns whether it was. It is read and tried again for as long as others are faster.
    Promises: as long as every writer does this, no smaller term's write lands after a greater one's.
    Raises: NotLeader: nothing of this call has landed. What `read` and `swap` raise.
    """
    if term <= 0:
        raise BadInput(f"{term} is not a term's number")
    while True:
        known, version = read()
        if known > term:
            raise _late(resource, term)
        if swap(version, term):
            return


def _late(resource: str, term: int) -> NotLeader:
    return NotLeader(
        f"{resource} has been written in a later term than {term}", hint="stop: another one holds the office"
    )


def _no_transaction() -> BadInput:
    return BadInput(
        "the connection commits each statement by itself, so the check binds nothing",
        hint="begin a transaction, or turn autocommit off",
    )


def _is_sqlite(connection: object) -> bool:
    # By its name, so that nobody needs a Python with SQLite for a fence in PostgreSQL.
    return any(kind.__module__ == "sqlite3" and kind.__name__ == "Connection" for kind in type(connection).__mro__)


def _write_beside(path: Path, data: bytes) -> str:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return name


def _umask() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        found = next((line.split()[1] for line in status if line.startswith("Umask:")), "022")
    return int(found, 8)


@contextlib.contextmanager
def _locked(path: Path) -> Any:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _term_in(file: int, path: Path) -> int:
    text = os.pread(file, 64, 0).decode("ascii", "replace").strip()
    if text and not text.isdecimal():
        raise BadInput(f"{path} does not hold a term's number", hint="it was written by something else")
    return int(text or "0")


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
