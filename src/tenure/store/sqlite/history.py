"""Reading: snapshots, and the change log from some revision on. None of it needs a lock; each call is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from tenure.errors import Compacted
from tenure.store.api import Batch, Change, Item, Snapshot

_CHUNK_CHANGES = 500
_CHUNK_BYTES = 4 * 1024 * 1024
_LAST = "\U0010ffff"


class Chunk(NamedTuple):
    """Some of the history: all of it up to revision `upto`; `whole` when that was the newest."""

    batches: list[Batch]
    upto: int
    whole: bool


class Look(NamedTuple):
    """How a store stands: its revision, what has been forgotten, when the next lease ends, and what is new."""

    revision: int
    forgotten: int
    ends_ns: int | None
    batches: list[Batch]


def key_range(prefix: str) -> tuple[str, str]:
    """From which key, and to below which, all keys are that begin with `prefix`: SQLite orders text as its UTF-8 bytes."""
    stem = prefix.rstrip(_LAST)
    if not stem:
        # Above every key: no UTF-8 text begins so. (An empty prefix means all keys.)
        return prefix, _LAST * 300
    last = ord(stem[-1]) + 1
    return prefix, stem[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)


def snapshot(connection: sqlite3.Connection, prefix: str) -> Snapshot:
    """All keys under `prefix` and the revision at which they stand so."""
    connection.execute("BEGIN")
    try:
        (revision,) = connection.execute("SELECT revision FROM state").fetchone()
        rows = connection.execute(
            "SELECT key, value, create_revision, mod_revision, version, lease FROM items"
            " WHERE key >= ? AND key < ? ORDER BY key",
            key_range(prefix),
        )
        return Snapshot(revision, {row[0]: Item(*row) for row in rows})
    finally:
        connection.execute("COMMIT")


def changes(connection: sqlite3.Connection, prefix: str, after: int) -> Chunk:
    """The next of the changes under `prefix` after revision `after`. Raises Compacted when they are forgotten."""
    connection.execute("BEGIN")
    try:
        revision, forgotten = connection.execute("SELECT revision, forgotten FROM state").fetchone()
        if after < forgotten:
            raise Compacted
        rows = connection.execute(
            "SELECT revision, key, create_revision, version, lease, value FROM log"
            " WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision, key",
            (after, *key_range(prefix)),
        )
        batches: list[Batch] = []
        count = size = 0
        for batch in _batches(rows):
            batches.append(batch)
            count += len(batch.changes)
            size += sum(len(change.item.value) for change in batch.changes if change.item)
            if count >= _CHUNK_CHANGES or size >= _CHUNK_BYTES:
                rows.close()
                return Chunk(batches, batch.revision, batch.revision == revision)
        return Chunk(batches, revision, True)
    finally:
        connection.execute("COMMIT")


def look(connection: sqlite3.Connection, seen: int | None, most: int) -> Look:
    """How the store stands, with the batches since revision `seen` unless they are forgotten or more than `most`."""
    connection.execute("BEGIN")
    try:
        revision, forgotten, ends_ns = connection.execute(
            "SELECT revision, forgotten, (SELECT min(ends_ns) FROM leases) FROM state"
        ).fetchone()
        batches: list[Batch] = []
        if seen is not None and forgotten <= seen < revision <= seen + most:
            rows = connection.execute(
                "SELECT revision, key, create_revision, version, lease, value FROM log"
                " WHERE revision > ? ORDER BY revision, key",
                (seen,),
            )
            batches = list(_batches(rows))
        return Look(revision, forgotten, ends_ns, batches)
    finally:
        connection.execute("COMMIT")


def _batches(rows: Iterable[tuple[int, str, int, int, int, bytes]]) -> Iterable[Batch]:
    for revision, group in groupby(rows, key=itemgetter(0)):
        yield Batch(revision, tuple(_change(*row) for row in group))


def _change(revision: int, key: str, created: int, version: int, lease: int, value: bytes) -> Change:
    return Change(key, Item(key, value, created, revision, version, lease) if version else None)
