"""The embedded store: SQLite, for the processes of one machine.

Invariants: only the store's thread touches its connection; every commit and checkpoint is under the writer's lock;
the clock is read under it; no file of SQLite's own is opened here, for closing it would drop SQLite's locks.
"""

from tenure.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
