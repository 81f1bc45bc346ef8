"""What etcd refuses: a full database, a request that is too large, a transaction of too many parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tenure.errors import BadInput, StoreBroken
from tenure.store.api import Put, absent
from tenure.store.etcd.members import members
from tenure.store.etcd.store import open_etcd
from tests.etcd import EtcdCluster, versions
from tests.store.engines import put
from tests.store.etcd.engine import PATIENT_S

pytestmark = pytest.mark.slow

QUOTA = 24 * 2**20


@pytest.fixture(params=versions() or [""])
def etcd(request: pytest.FixtureRequest) -> Iterator[EtcdCluster]:
    with EtcdCluster(request.param or None, flags=[f"--quota-backend-bytes={QUOTA}"]) as cluster:
        yield cluster


async def test_what_is_too_large_is_bad_input_and_a_full_etcd_says_so_until_it_is_mended(etcd: EtcdCluster) -> None:
    store = await open_etcd(etcd.url, call_s=PATIENT_S)
    granted = await store.grant(10)
    with pytest.raises(BadInput, match="more than etcd takes"):
        await put(store, "/large", b"x" * 2 * 2**20)
    with pytest.raises(BadInput, match=r"at most|more than etcd takes"):
        await store.commit([absent(f"/{n}") for n in range(100)], [], [Put(f"/{n}", b"") for n in range(100)])
    with pytest.raises(StoreBroken, match="out of space"):
        for _ in range(100):
            await put(store, "/full", b"x" * 2**20)
    with pytest.raises(StoreBroken, match="out of space") as full:
        await put(store, "/small")
    assert "alarm disarm" in str(full.value.hint)
    assert [one.alarms for one in await members(store.client, alarms=True)] == [("NOSPACE",)]
    # The leases that are there go on, others are not granted; what is there can be read.
    await store.renew(granted.lease)
    with pytest.raises(StoreBroken, match="out of space"):
        await store.grant(10)
    revision = (await store.read("/")).revision
    await store.compact(revision)
    etcd.ctl("defrag")
    etcd.ctl("alarm", "disarm")
    assert await put(store, "/small") == revision + 1
    await store.close()
