"""What leadership on etcd costs: hand-over against etcdctl's own election, crashes, an idle machine, many candidates."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import tenure
from bench.figure import Figure
from bench.idle import processor_s, resident_mb
from bench.world import World, charm, leader, until, world
from tenure.alarm import Alarm
from tenure.api.unit import Unit
from tenure.clock import KernelClock, boot_id
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.offices import office_keys, office_view
from tenure.office.driver import Candidate, Desk, Timing
from tenure.store import open_store
from tenure.store.api import Put
from tenure.store.etcd.versions import SETTLES_S
from tests.etcd import EtcdCluster

MACHINES = ("m0", "m1", "m2")
LEASE_S = 6
ROUNDS = 9
CRASHES = 3
WATCHED_S = 30.0
OFFICES = 1000
CANDIDATES = 1000
UNITS = 100


def measure() -> Iterator[Figure]:
    """The figures of this part, on three members of the newest etcd that is here, on this host."""
    with EtcdCluster(members=3) as cluster:
        with world() as made:
            made.url = made.environment["TENURE_STORE"] = cluster.url
            made.start(*MACHINES)
            made.tenure(
                "deploy",
                charm(made, install=""),
                "web",
                "-n",
                "3",
                "--to",
                ",".join(MACHINES),
                "--lease",
                f"{LEASE_S}s",
            )
            made.all_idle(3)
            yield from idle(made, cluster)
            yield crash(made)
            # Last: etcdctl leaves leases behind, whose ends are entries in etcd's log.
            yield from hand_over(made, cluster)
        yield asyncio.run(many_offices(cluster.url))
        yield from asyncio.run(many_candidates(cluster))
        yield asyncio.run(settings(cluster.url))


def hand_over(made: World, cluster: EtcdCluster) -> Iterator[Figure]:
    """SIGTERM of the leader's agent until another unit knows that it leads; and of `etcdctl elect` until the other one does."""
    ours, theirs = [], []
    for turn in range(ROUNDS):
        ours.append(terminated(made))
        theirs.append(elected(cluster, turn))
    floor = asyncio.run(put_until_seen(cluster.url))
    yield Figure(
        "etcd: SIGTERM of the leader's agent until another unit knows (median)",
        statistics.median(ours),
        "ms",
        statistics.median(theirs),
        "etcdctl elect, on the same etcd",
        1.0,
        "ratio at most",
        note=f"worst {max(ours):.1f} and {max(theirs):.1f} ms; a put until another's watch sees it: {floor:.1f} ms",
    )


def terminated(made: World) -> float:
    """In milliseconds, by the other agent's own record of the instant (CLOCK_BOOTTIME)."""
    units = made.units()
    unit = leader(units)
    machine = units[unit]["machine"]
    # A leader that has just been elected still owes what its hooks were told.
    until("nothing owed", lambda: owes_nothing(made) or None, every_s=0.1)
    began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    made.agents[machine].terminate()
    others = [name for name in MACHINES if name != machine]
    at = until("another leader", lambda: elected_at(made, others, began), every_s=0.005)
    made.agents[machine].wait()
    made.start(machine)
    made.all_idle(3)
    return (at - began) / 1e6


def owes_nothing(made: World) -> bool:
    """Whether the leader could hand over at once."""
    said = json.loads(made.tenure("is-leader", leader(made.units()), "--for", "0s", "--format", "json"))
    return not said.get("owed_s")


def elected_at(made: World, machines: list[str], after_ns: int) -> int | None:
    """When an agent of these has noted that a unit of its leads, after an instant."""
    for machine in machines:
        for line in (made.folder / machine / "log" / "agent.log").read_text().splitlines():
            event = json.loads(line) if '"elected"' in line else {}
            if event.get("event") == "elected" and event.get("boot_ns", 0) > after_ns:
                return int(event["boot_ns"])
    return None


def elected(cluster: EtcdCluster, turn: int) -> float:
    """The same for two `etcdctl elect`: from the first's SIGTERM until the second has printed that it leads."""
    command = [*cluster.ctl_command(), "elect", f"bench{turn}"]
    environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3"}
    first = subprocess.Popen([*command, "one"], env=environment, stdout=subprocess.PIPE)
    assert first.stdout is not None
    first.stdout.readline()
    second = subprocess.Popen([*command, "two"], env=environment, stdout=subprocess.PIPE)
    assert second.stdout is not None
    until(
        "two candidates",
        lambda: cluster.ctl("get", "--prefix", f"bench{turn}", "--keys-only").count("bench") == 2 or None,
    )
    began = time.perf_counter_ns()
    first.send_signal(signal.SIGTERM)
    second.stdout.readline()
    took = (time.perf_counter_ns() - began) / 1e6
    second.send_signal(signal.SIGTERM)
    for process in (first, second):
        process.communicate(timeout=20)
    return took


async def put_until_seen(url: str) -> float:
    """The floor: a put until the event of another connection's watch, the median."""
    one, other = await open_store(url), await open_store(url)
    watch = other.watch("/bench/floor", (await other.read("/bench/")).revision)
    times = []
    for _ in range(50):
        seen = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0.01)
        began = time.perf_counter_ns()
        await one.commit([], [Put("/bench/floor", b"")])
        await seen
        times.append((time.perf_counter_ns() - began) / 1e6)
    await one.close()
    await other.close()
    return statistics.median(times)


def crash(made: World) -> Figure:
    """SIGKILL of the leader's agent: from the store's ending of its lease until another unit knows that it leads."""
    times = []
    for _ in range(CRASHES):
        # An agent that has just started doesn't trust etcd's leases yet, and would wait the former term out.
        time.sleep(2 * SETTLES_S + 1)
        units = made.units()
        unit = leader(units)
        machine = units[unit]["machine"]
        began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        made.agents[machine].kill()
        made.agents[machine].wait()
        gone = asyncio.run(holder_gone(made.url))
        others = [name for name in MACHINES if name != machine]
        at = until("another leader", partial(elected_at, made, others, began), every_s=0.01)
        times.append((at - gone) / 1e6)
        made.start(machine)
        made.all_idle(3)
    return Figure(
        "etcd: SIGKILL of the leader's agent, from its lease's end until another unit knows (worst)",
        max(times),
        "ms",
        limit=200.0,
        note=f"median of {CRASHES}: {statistics.median(times):.1f} ms; the end as a watch of our own saw it",
    )


async def holder_gone(url: str) -> int:
    """Wait until web's holder key is gone, as a connection of our own sees it; when that was."""
    key = Layout("default").holder("web", "leader")
    store = await open_store(url)
    try:
        snapshot = await store.read(key)
        watch = store.watch(key, snapshot.revision)
        while snapshot.items:
            if any(change.item is None for change in (await anext(watch)).changes):
                break
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    finally:
        await store.close()


def idle(made: World, cluster: EtcdCluster) -> Iterator[Figure]:
    """What an idle machine asks of etcd, in a renewal interval, for each of its two sessions; and its memory."""
    timing = Timing.for_lease(LEASE_S)
    agent = Path("/proc") / str(made.agents["m0"].pid)
    for machine in MACHINES[1:]:
        made.agents[machine].terminate()
        made.agents[machine].wait()
    until(
        "one leader on m0",
        lambda: [unit for unit in made.units().values() if unit.get("leader") and unit["machine"] == "m0"] or None,
    )
    time.sleep(3)
    before, proposed, used = asked(cluster), proposals(cluster), processor_s(agent)
    time.sleep(WATCHED_S)
    after = asked(cluster)
    intervals = WATCHED_S / (timing.renew_every_ns / 1e9)
    machine_intervals = WATCHED_S / (Timing.for_lease(10).renew_every_ns / 1e9)
    for method, name in (("LeaseKeepAlive", "renewals"), ("Range", "confirming reads")):
        yield Figure(
            f"etcd: {name} of an idle machine with two sessions, for each renewal that is due",
            (after.get(method, 0) - before.get(method, 0)) / (intervals + machine_intervals),
            "",
            limit=1.1,
        )
    yield Figure("etcd: log entries of an idle machine in half a minute", proposals(cluster) - proposed, "", limit=0)
    yield Figure("etcd: an idle agent, resident", resident_mb(agent), "MB", limit=65.0)
    yield Figure("etcd: an idle agent, of one core", (processor_s(agent) - used) / WATCHED_S * 100, "%")
    made.start(*MACHINES[1:])
    made.all_idle(3)


def metrics(cluster: EtcdCluster) -> Iterator[str]:
    """Every line of every member's metrics."""
    for endpoint in cluster.endpoints:
        with urllib.request.urlopen(f"http://{endpoint}/metrics", timeout=5) as page:
            yield from page.read().decode().splitlines()


def asked(cluster: EtcdCluster) -> dict[str, float]:
    """How many messages the members have been sent, by call."""
    found: dict[str, float] = {}
    for line in metrics(cluster):
        if match := re.match(r'grpc_server_msg_received_total\{grpc_method="(\w+)".*\} (\S+)', line):
            found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def proposals(cluster: EtcdCluster) -> float:
    """How many entries the log has."""
    return max(
        float(line.split()[1]) for line in metrics(cluster) if line.startswith("etcd_server_proposals_committed_total ")
    )


async def many_offices(url: str) -> Figure:
    """A thousand offices that one process holds: what it takes to keep them."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(tenure.connect(url, model="offices"))
        offices = [connection.office(f"o{number}", lease_s=30) for number in range(OFFICES)]
        for part in range(0, OFFICES, 50):
            await asyncio.gather(*(stack.enter_async_context(one.hold()) for one in offices[part : part + 50]))
        await asyncio.sleep(2)
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(15)
        share = (time.process_time() - used) / (time.monotonic() - began) * 100
        return Figure(f"etcd: {OFFICES:,} offices held by one process, of one core", share, "%", limit=20.0)


async def many_candidates(cluster: EtcdCluster) -> Iterator[Figure]:
    """A thousand candidates in one process for one office that falls vacant."""
    store, clock, layout = await open_store(cluster.url), KernelClock(), Layout("candidates")
    office = "one"
    folder = Path(tempfile.mkdtemp(prefix="tenure-bench-"))
    desk = Desk(store, clock, Alarm(clock), folder, "m0", boot_id(), lambda *_, **__: None)
    session = await desk.session("office", Timing.for_lease(30))
    mirror = Mirror(store, layout.free_office(office))
    await mirror.start()
    held: asyncio.Queue[Candidate] = asyncio.Queue()
    candidates: list[Candidate] = []

    def changed(number: int) -> None:
        if candidates[number].term is not None:
            held.put_nowait(candidates[number])

    for number in range(CANDIDATES):
        keys = office_keys(layout, office, f"m0/{number}")
        candidates.append(desk.candidate(session, keys, f"m0/{number}", on_change=partial(changed, number)))

    async def follow() -> None:
        async for snapshot in mirror.after(-1):
            view = office_view(snapshot, layout, office)
            for candidate in candidates:
                candidate.saw(view)

    following = asyncio.create_task(follow())
    for candidate in candidates:
        candidate.begin()
    holder = await asyncio.wait_for(held.get(), 60)
    async for snapshot in mirror.after(-1):
        if len(snapshot.under(layout.free_candidates(office))) == CANDIDATES:
            break
    await asyncio.sleep(3)
    claims, times = [], []
    for _ in range(3):
        before = await asyncio.to_thread(asked, cluster)
        began = time.perf_counter()
        leaving = asyncio.create_task(holder.release())
        holder = await asyncio.wait_for(held.get(), 60)
        times.append(time.perf_counter() - began)
        await leaving
        await asyncio.sleep(1)
        claims.append((await asyncio.to_thread(asked, cluster)).get("Txn", 0) - before.get("Txn", 0) - 1)
    following.cancel()
    await mirror.close()
    await desk.close(hand_over=False)
    await store.close()
    return iter(
        [
            Figure(
                f"etcd: claims for an office with {CANDIDATES:,} candidates that falls vacant",
                max(claims),
                "",
                limit=20,
            ),
            Figure("etcd: until one of them knows that it holds it (worst of 3)", max(times), "s", limit=1.0),
        ]
    )


async def settings(url: str) -> Figure:
    """The leader of a hundred units writes its settings: until each of the others has seen them."""
    async with AsyncExitStack() as stack:
        units = []
        for _ in range(UNITS):
            connection = await stack.enter_async_context(tenure.connect(url, model="settings"))
            units.append(await stack.enter_async_context(connection.join("web", lease_s=30)))
        await stack.enter_async_context(units[0].hold())
        medians = []
        for turn in range(5):
            watching = [asyncio.create_task(seen_at(unit, str(turn))) for unit in units[1:]]
            await asyncio.sleep(0.2)
            began = time.perf_counter()
            await units[0].write_settings({"v": str(turn)})
            medians.append(statistics.median([await task - began for task in watching]) * 1000)
        return Figure(
            f"etcd: leader settings until {UNITS} units have seen them (median)",
            statistics.median(medians),
            "ms",
            limit=300.0,
        )


async def seen_at(unit: Unit, wanted: str) -> float:
    """When the unit has seen this value."""
    async for current in unit.settings.changes():
        if current.get("v") == wanted:
            break
    return time.perf_counter()
