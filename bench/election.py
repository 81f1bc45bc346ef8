"""How soon the next leader is there: after a SIGKILL, a SIGTERM and a transfer, with three agents on this host."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator

from bench.figure import Figure
from bench.world import World, bare_start_ms, charm, leader, until, world
from tenure.model import requests
from tenure.model.layout import Layout
from tenure.model.view import read_model
from tenure.names import UnitName
from tenure.store import open_store

MACHINES = ("m0", "m1", "m2")
LEASE_S = 4
ROUNDS = 5
AFTER_LEASE_LIMIT_MS = 300.0
HAND_OVER_LIMIT_MS = 150.0


def measure() -> Iterator[Figure]:
    """The figures of this part; each is the worst of its rounds, with the median in the note."""
    with world() as made:
        made.start(*MACHINES)
        folder = charm(made, leader_elected="", leader_settings_changed="")
        made.tenure("deploy", folder, "web", "-n", "3", "--to", ",".join(MACHINES), "--lease", f"{LEASE_S}s")
        made.all_idle(3)
        yield worst("leader-elected after SIGKILL, from the lease's end", made, killed, AFTER_LEASE_LIMIT_MS)
        yield worst("leader-elected after SIGTERM of the leader's agent", made, terminated, HAND_OVER_LIMIT_MS)
        yield worst("leader-elected after a transfer was asked for", made, transferred, HAND_OVER_LIMIT_MS)


def worst(name: str, made: World, once: Callable[[World], float], limit_ms: float) -> Figure:
    """The worst of some rounds."""
    times = [once(made) for _ in range(ROUNDS)]
    floor = bare_start_ms(made, "leader-elected")
    note = f"worst of {ROUNDS}; median {statistics.median(times):.0f} ms"
    return Figure(name, max(times), "ms", floor, "the hook started bare", limit_ms, note=note)


def killed(made: World) -> float:
    """Kill the leader's agent; from the end of its lease, as the store has it, to leader-elected on another unit."""
    _, machine = leading(made)
    made.agents[machine].send_signal(signal.SIGKILL)
    made.agents[machine].wait()
    since = time.time_ns()
    ends = lease_ends_ns(made)
    at = made.stamp("leader-elected", since)
    made.start(machine)
    made.all_idle(3)
    return (at - ends) / 1e6


def terminated(made: World) -> float:
    """End the leader's agent in good order; from the signal to leader-elected on another unit."""
    _, machine = leading(made)
    since = time.time_ns()
    made.agents[machine].terminate()
    at = made.stamp("leader-elected", since)
    made.agents[machine].wait()
    made.start(machine)
    made.all_idle(3)
    return (at - since) / 1e6


def transferred(made: World) -> float:
    """Ask for a transfer to another unit, as the command does once it has started; until leader-elected there."""
    first, _ = leading(made)
    successor = next(unit for unit in sorted(made.units()) if unit != first)
    since = asyncio.run(ask_for_transfer(made, successor))
    at = made.stamp("leader-elected", since, successor)
    made.all_idle(3)
    return (at - since) / 1e6


async def ask_for_transfer(made: World, successor: str) -> int:
    """Put the request into the store; when that began, in ns of the wall clock."""
    layout, unit = Layout("default"), UnitName.parse(successor)
    store = await open_store(made.url)
    try:
        view = await read_model(store, layout)
        since = time.time_ns()
        asked = await requests.ask(store, view, unit, "transfer", {"now": False})
        await asyncio.to_thread(made.stamp, "leader-elected", since, successor)
        await requests.withdraw(store, layout, unit, asked)
    finally:
        await store.close()
    return since


def leading(made: World) -> tuple[str, str]:
    """The leader and its machine."""
    units = made.units()
    unit = leader(units)
    return unit, units[unit]["machine"]


def lease_ends_ns(made: World) -> int:
    """When the lease of web's leader ends, on the wall clock's time line: the store's own figure is one of CLOCK_BOOTTIME."""
    with contextlib.closing(sqlite3.connect(f"file:{made.folder / 'tenure.db'}?mode=ro", uri=True)) as database:
        rows = until(
            "the leader's lease in the store",
            lambda: database.execute(
                "SELECT ends_ns FROM leases JOIN items ON items.lease = leases.id WHERE key LIKE '%/apps/web/offices/leader/holder'"
            ).fetchone(),
        )
    return int(rows[0]) - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + time.time_ns()
