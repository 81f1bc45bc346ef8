"""The store: whether it answers and how fast, what its engine promises of leases, and how full it is."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time

from tenure.cli.doctor.findings import Finding
from tenure.model.layout import Layout
from tenure.store.api import Store

_READS = 9
_SLOW_S = 0.1
_FREE_LEAST = 64 * 1024 * 1024


async def engine(store: Store, layout: Layout, seconds: float) -> list[Finding]:
    """All that there is to say of the store itself. `seconds`: for how long clocks are compared. Raises Unsure's kinds."""
    findings = [await _latency(store, layout), _leases(store)]
    if store.url.startswith("sqlite:"):
        findings += sqlite(store.url)
    elif store.url.startswith("etcd:"):
        from tenure.cli.doctor.etcd import etcd
        from tenure.store.etcd.store import EtcdStore

        assert isinstance(store, EtcdStore)
        findings += await etcd(store, seconds)
    return findings


async def _latency(store: Store, layout: Layout) -> Finding:
    took = []
    for _ in range(_READS):
        begun = time.perf_counter()
        await store.read(layout.info)
        took.append(time.perf_counter() - begun)
    says = (
        f"{store.url} answers; a read takes {statistics.median(took) * 1000:.1f} ms (at most {max(took) * 1000:.1f} ms)"
    )
    if statistics.median(took) < _SLOW_S:
        return Finding("store", "ok", says)
    return Finding("store", "warning", says, "look at its disk and at the network between: renewals take as long")


def _leases(store: Store) -> Finding:
    traits = store.traits
    says = f"{traits.name}: leases of {traits.least_ttl_s} s to {traits.most_ttl_s} s"
    return Finding("leases", "ok", says if traits.confirm_renewals else f"{says}, none ends before its time")


def sqlite(url: str) -> list[Finding]:
    """The file: its size, the room on its disk, and who holds it just now."""
    from tenure.store.sqlite.locks import holder_of, name_of, state_of
    from tenure.store.sqlite.place import parse

    place = parse(url)
    size = sum(os.stat(path).st_size for path in (place.path, f"{place.path}-wal") if os.path.exists(path))
    about = os.statvfs(place.path)
    free = about.f_bavail * about.f_frsize
    says = f"{place.path}: {size / 2**20:.1f} MB, {free / 2**20:.0f} MB free beside it; SQLite {sqlite3.sqlite_version}"
    if free < _FREE_LEAST:
        findings = [Finding("file", "wrong", says, "free some space: a full disk ends every term in time")]
    else:
        findings = [Finding("file", "ok", says)]
    if (pid := holder_of(os.stat(place.lock_path))) and (state := state_of(pid)) != "running":
        findings.append(
            Finding(
                "writer",
                "wrong",
                f"process {pid} ({name_of(pid)}) holds the file and is {state}",
                f"`kill -CONT {pid}`, or end it",
            )
        )
    return findings
