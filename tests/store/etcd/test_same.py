"""An etcd that is put back to an older state while it is in use: whoever uses it is told, at once and for good."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from tenure.errors import StoreReplaced
from tenure.store.api import Committed, Put
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.same import Same
from tenure.store.etcd.store import EtcdStore, open_etcd
from tests.cli.test_store_snapshots import restored
from tests.etcd import EtcdCluster


def header(cluster: int, revision: int) -> pb.ResponseHeader:
    return pb.ResponseHeader(cluster_id=cluster, revision=revision)


def test_answers_that_overtake_each_other_are_of_one_store() -> None:
    same = Same("etcd://h/")
    since = same.revision
    same.note(header(1, 9), since)
    same.note(header(1, 7), since)  # it was asked before the other's answer came
    same.check()
    assert same.revision == 9


def test_a_revision_that_is_lower_than_was_known_before_the_question_is_of_an_older_state() -> None:
    same = Same("etcd://h/")
    same.note(header(1, 9), 0)
    same.note(header(1, 8), same.revision)
    for _ in range(2):
        with pytest.raises(StoreReplaced, match="from revision 9 to 8"):
            same.check()


def test_another_clusters_answer_tells_at_whatever_revision() -> None:
    same = Same("etcd://h/")
    same.note_cluster(header(1, 9))
    same.note_cluster(header(2, 10))
    with pytest.raises(StoreReplaced, match="another etcd"):
        same.check()


@pytest.mark.slow
@pytest.mark.parametrize("token", ["the same", "another"])
async def test_who_watches_and_who_renews_are_told_that_it_was_restored(tmp_path: Path, token: str) -> None:
    with EtcdCluster() as cluster:
        store = await open_etcd(cluster.url)
        try:
            lease = (await store.grant(60)).lease
            first = await store.commit([], [Put("/a", b"1", lease)])
            assert isinstance(first, Committed)
            cluster.ctl("snapshot", "save", str(tmp_path / "snapshot"))
            for _ in range(3):
                last = await store.commit([], [Put("/a", b"2", lease)])
            assert isinstance(last, Committed)
            watching = asyncio.create_task(watched(store, last.revision))
            flags = [f"--initial-cluster-token={cluster.folder.name}"] if token == "the same" else []
            restored(cluster, tmp_path / "snapshot", *flags)
            async with asyncio.timeout(20):
                with pytest.raises(StoreReplaced):
                    await watching
            with pytest.raises(StoreReplaced):
                await store.read("/a")
            with pytest.raises(StoreReplaced):
                await store.renew(lease)
        finally:
            await store.close()


async def watched(store: EtcdStore, after: int) -> None:
    async with contextlib.aclosing(store.watch("/a", after)) as batches:  # type: ignore[type-var]
        async for _ in batches:
            pass
