"""The store: everything that units share lives in one, and nothing above this floor knows which engine it is.

Opening one: `open_store(url)`. The engines' modules are imported only when their scheme is used.
"""

from __future__ import annotations

from tenure.alarm import Waiter
from tenure.clock import Clock
from tenure.errors import BadInput
from tenure.store.api import Store

SCHEMES = "sqlite:///absolute/path.db, etcd://host:2379,…/ or memory://NAME"


async def open_store(
    url: str, *, clock: Clock | None = None, waiter: Waiter | None = None, must_exist: bool = False
) -> Store:
    """A connection to the store that `url` names; whoever opens it closes it.

    `sqlite:///absolute/path.db` is made when it isn't there, unless `must_exist`; its folder must be there.
    `clock` and `waiter` are for tests that hold the time.
    Raises BadInput (the URL, the path), StoreBroken (what is there can't be used), StoreUnreachable (it is held).
    """
    scheme, separator, rest = url.partition("://")
    match scheme if separator else "":
        case "memory":
            from tenure.store.memory import MemoryStore, world_named

            return MemoryStore(world_named(rest), clock, waiter, url=url)
        case "sqlite":
            from tenure.store.sqlite import open_sqlite

            return await open_sqlite(url, clock=clock, waiter=waiter, must_exist=must_exist)
        case "etcd":
            from tenure.store.etcd import open_etcd

            return await open_etcd(url)
        case _:
            raise BadInput(f'"{url}" is not a store\'s URL', hint=SCHEMES)
