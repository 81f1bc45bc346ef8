"""What happens to the tables inside one transaction: comparisons, writes, leases, the change log and its upkeep.

All of it runs between BEGIN IMMEDIATE and COMMIT, under the writer's lock. Every method checks before it writes, so
that one which raises has changed nothing.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence

from tenure.clock import NS_PER_S
from tenure.errors import LeaseLost
from tenure.store.api import Committed, Compare, Delete, Grant, Item, Put, Refused, Write
from tenure.store.checks import check_revision
from tenure.store.sqlite.history import key_range
from tenure.store.world import holds

KEEP_REVISIONS = 8192
"""History that is kept at the least, in revisions, while it is no larger than `KEEP_BYTES`: hours of a busy model's."""

KEEP_BYTES = 32 * 1024 * 1024
"""And in bytes. A watcher that is further behind reads a snapshot, which is smaller."""

_AT_ONCE = 256
"""Revisions that are forgotten together: about a millisecond's work, once in as many commits."""

_ITEM = "SELECT key, value, create_revision, mod_revision, version, lease FROM items WHERE key = ?"


class Transaction:
    """One transaction on `connection`, begun by the caller and ended by it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection.execute
        row = self._sql("SELECT revision, forgotten, log_bytes FROM state").fetchone()
        self.revision: int = row[0]
        self._forgotten: int = row[1]
        self._log_bytes: int = row[2]
        self._before = row

    def commit(self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write]) -> Committed | Refused:
        """Compare and write. Raises LeaseLost."""
        items = {compare.key: self._item(compare.key) for compare in when}
        if all(holds(compare, items[compare.key]) for compare in when):
            return Committed(self._write(then))
        return Refused(self._write(otherwise), items)

    def grant(self, ttl_s: int, now_ns: int) -> Grant:
        """A new lease."""
        cursor = self._sql("INSERT INTO leases (ttl_s, ends_ns) VALUES (?, ?)", (ttl_s, now_ns + ttl_s * NS_PER_S))
        assert cursor.lastrowid is not None
        return Grant(cursor.lastrowid, ttl_s)

    def renew(self, lease: int, now_ns: int) -> int:
        """The lease's time begins anew. Raises LeaseLost."""
        row = self._sql("SELECT ttl_s FROM leases WHERE id = ?", (lease,)).fetchone()
        if row is None:
            raise LeaseLost
        self._sql("UPDATE leases SET ends_ns = ? WHERE id = ?", (now_ns + row[0] * NS_PER_S, lease))
        return int(row[0])

    def revoke(self, lease: int) -> None:
        """End the lease and its keys in one revision."""
        keys = self._sql("SELECT key FROM items WHERE lease = ? AND lease <> 0 ORDER BY key", (lease,)).fetchall()
        self._land([Delete(key) for (key,) in keys])
        self._sql("DELETE FROM leases WHERE id = ?", (lease,))

    def expire(self, now_ns: int) -> None:
        """End every lease whose time has come, the earliest first, each in a revision of its own."""
        due = self._sql("SELECT id FROM leases WHERE ends_ns <= ? ORDER BY ends_ns, id", (now_ns,)).fetchall()
        for (lease,) in due:
            self.revoke(lease)

    def take_over(self, boot: str, machine: str) -> None:
        """End every lease: they were counted by the clock of another boot."""
        for (lease,) in self._sql("SELECT id FROM leases ORDER BY id").fetchall():
            self.revoke(lease)
        self._sql("UPDATE state SET boot = ?, machine = ?", (boot, machine))

    def compact(self, revision: int) -> None:
        """Forget the history before `revision`. Raises BadInput when there is no such revision yet."""
        check_revision(revision, self.revision)
        self._forget(revision - 1)

    def advance(self, revision: int) -> None:
        """Skip to `revision` if the store isn't there yet, and have later leases' numbers begin where nobody has had one."""
        self.revision = max(self.revision, revision)
        (newest,) = self._sql("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'leases'").fetchone()
        self._sql("DELETE FROM sqlite_sequence WHERE name = 'leases'")
        # An agent may have saved a lease of the store that this one is a copy of: it must not find it to be another's.
        fresh = max(newest, secrets.randbelow(2**60))
        self._sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('leases', ?)", (fresh,))

    def finish(self) -> None:
        """Forget what need not be kept, and write down how far the store has come."""
        if self.revision - self._forgotten >= KEEP_REVISIONS + _AT_ONCE:
            self._forget(self.revision - KEEP_REVISIONS)
        elif self._log_bytes > KEEP_BYTES:
            self._forget_bytes()
        row = (self.revision, self._forgotten, self._log_bytes)
        if row != self._before:
            self._sql("UPDATE state SET revision = ?, forgotten = ?, log_bytes = ?", row)

    def _item(self, key: str) -> Item | None:
        row = self._sql(_ITEM, (key,)).fetchone()
        return None if row is None else Item(*row)

    def _write(self, writes: Sequence[Write]) -> int:
        landing: list[Put | Delete] = []
        for write in writes:
            if isinstance(write, Put):
                if write.lease and not self._sql("SELECT 1 FROM leases WHERE id = ?", (write.lease,)).fetchone():
                    raise LeaseLost
                landing.append(write)
            elif isinstance(write, Delete):
                if self._sql("SELECT 1 FROM items WHERE key = ?", (write.key,)).fetchone():
                    landing.append(write)
            else:
                keys = self._sql("SELECT key FROM items WHERE key >= ? AND key < ?", key_range(write.prefix))
                landing.extend(Delete(key) for (key,) in keys.fetchall())
        self._land(landing)
        return self.revision

    def _land(self, writes: Sequence[Put | Delete]) -> None:
        if not writes:
            return
        self.revision += 1
        for write in writes:
            if isinstance(write, Put):
                self._put(write)
            else:
                self._sql("DELETE FROM items WHERE key = ?", (write.key,))
                self._sql("INSERT INTO log VALUES (?, ?, 0, 0, 0, NULL)", (self.revision, write.key))
            self._log_bytes += len(write.key.encode())

    def _put(self, put: Put) -> None:
        revision = self.revision
        old = self._sql("SELECT create_revision, version FROM items WHERE key = ?", (put.key,)).fetchone()
        created, version = (old[0], old[1] + 1) if old else (revision, 1)
        self._sql(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)",
            (put.key, created, revision, version, put.lease, put.value),
        )
        self._sql(
            "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", (revision, put.key, created, version, put.lease, put.value)
        )
        self._log_bytes += len(put.value)

    def _forget(self, upto: int) -> None:
        if upto <= self._forgotten:
            return
        size = "sum(length(CAST(key AS BLOB)) + ifnull(length(value), 0))"
        (freed,) = self._sql(f"SELECT {size} FROM log WHERE revision <= ?", (upto,)).fetchone()
        self._sql("DELETE FROM log WHERE revision <= ?", (upto,))
        self._forgotten = upto
        self._log_bytes -= freed or 0

    def _forget_bytes(self) -> None:
        sizes = self._sql("SELECT revision, sum(ifnull(length(value), 0)) FROM log GROUP BY revision ORDER BY revision")
        surplus = self._log_bytes - KEEP_BYTES * 3 // 4
        for revision, size in sizes:
            surplus -= size
            # The newest stays, however large: whoever watches from the revision before it must be shown it.
            if surplus <= 0 or revision == self.revision - 1:
                break
        sizes.close()
        self._forget(min(revision, self.revision - 1))
