"""etcd as the conformance suite sees it: a server that many tests share, emptied before each; its time is everybody's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenure.store.api import DeletePrefix, Grant, Renewal, Store
from tenure.store.etcd.client import Method
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.store import EtcdStore, open_etcd
from tests.etcd import EtcdCluster, newest
from tests.waiting import until_async

# A call that Tenure itself has no use for. On the wire its messages are like those of others, as far as they are read here.
TIME_TO_LIVE = Method("/etcdserverpb.Lease/LeaseTimeToLive", pb.LeaseRevokeRequest, pb.LeaseKeepAliveResponse)

PATIENT_S = 20.0
"""What is not about deadlines is not to fail where the machine is busy."""

LARGE = "--max-request-bytes=16777216"
"""Tenure's own limits are above etcd's default: a value of 4 MiB, 8 MiB in a transaction."""


@contextmanager
def clusters() -> Iterator[dict[str, EtcdCluster]]:
    """Where `EtcdEngine.empty` keeps what it starts; all ends with it."""
    running: dict[str, EtcdCluster] = {}
    try:
        yield running
    finally:
        for cluster in running.values():
            cluster.close()


LEASE_LEASES = Method("/etcdserverpb.Lease/LeaseLeases", pb.LeaseLeasesRequest, pb.LeaseLeasesResponse)


class EtcdEngine:
    """A server of its own for one test after the other."""

    ttl_s = 2
    moment_s = 0.8

    def __init__(self, url: str) -> None:
        self.url = url
        self.stores: list[Any] = []
        self.ends: dict[int, float] = {}
        """When each lease ends at the latest, its lateness not reckoned."""

    @classmethod
    async def empty(cls, running: dict[str, EtcdCluster], version: str = "") -> EtcdEngine:
        """One without keys and leases. The newest version unless told; skips the test when it isn't here."""
        version = version or newest()
        if version not in running:
            running[version] = EtcdCluster(version, flags=[LARGE]).__enter__()
        engine = cls(running[version].url)
        store = await open_etcd(engine.url, least_ttl_s=1, call_s=PATIENT_S)
        for lease in (await store.client.call(LEASE_LEASES, pb.LeaseLeasesRequest())).leases:
            await store.revoke(lease.ID)
        for first in sorted({key[0] for key in (await store.read("")).items}):
            await store.commit([], [DeletePrefix(first)])
        await store.close()
        return engine

    async def open(self) -> Store:
        store = await open_etcd(self.url, least_ttl_s=1, call_s=PATIENT_S)
        self.stores.append(store)
        self._reckon(store)
        return store

    async def time_comes(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await until_async(lambda: time.monotonic() >= end, within_s=seconds + 10)

    async def passes(self, seconds: float) -> None:
        await self.time_comes(seconds)
        now = time.monotonic()
        for lease in [lease for lease, end in self.ends.items() if end <= now]:
            del self.ends[lease]
            while (await self._left_s(lease)) >= 0:
                assert time.monotonic() < now + 10, f"lease {lease} does not end"
                await self.time_comes(0.02)

    async def close(self) -> None:
        for store in self.stores:
            await store.close()

    async def _left_s(self, lease: int) -> int:
        answer = await self.stores[0].client.call(TIME_TO_LIVE, pb.LeaseRevokeRequest(ID=lease))
        return int(answer.TTL)

    def _reckon(self, store: EtcdStore) -> None:
        grant, renew = store.grant, store.renew

        async def granting(ttl_s: int) -> Grant:
            granted = await grant(ttl_s)
            self.ends[granted.lease] = time.monotonic() + granted.ttl_s
            return granted

        async def renewing(lease: int) -> Renewal:
            renewal = await renew(lease)
            self.ends[lease] = time.monotonic() + renewal.ttl_s
            return renewal

        store.grant, store.renew = granting, renewing  # type: ignore[method-assign]
