"""etcd's own snapshots: restored from one, an etcd would hand term numbers out again, unless it is moved on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tenure.model.layout import Layout
from tenure.office.records import Last
from tenure.office.records import encode as encode_office
from tenure.store import open_store
from tenure.store.api import Committed, Put
from tests.cli.conftest import Tenure
from tests.etcd import EtcdCluster, versions

pytestmark = pytest.mark.slow

BRIEF = ("--seconds", "0.2", "--format", "json")


async def newer_term(url: str) -> int:
    """A term that begins now; returns its number."""
    store = await open_store(url)
    try:
        last = Last(unit="web/0", machine="m0", ttl_s=6)
        landed = await store.commit([], [Put(Layout("default").last("web", "leader"), encode_office(last))])
        assert isinstance(landed, Committed)
        return landed.revision
    finally:
        await store.close()


def restored(cluster: EtcdCluster, snapshot: Path, *flags: str) -> None:
    """The cluster on the snapshot's data."""
    [member] = cluster.members
    member.kill()
    shutil.rmtree(member.data)
    arguments = ["--data-dir", str(member.data), "--name", member.name, "--initial-cluster", cluster.initial_cluster]
    cluster.ctl("snapshot", "restore", str(snapshot), *arguments, "--initial-advertise-peer-urls", member.peer, *flags)
    cluster.restart(member)


@pytest.mark.parametrize("version", versions() or [None])
async def test_an_etcd_restored_from_its_snapshot_is_moved_on_before_it_hands_numbers_out_again(
    version: str | None, tenure: Tenure, charm: Path, tmp_path: Path
) -> None:
    with EtcdCluster(version) as cluster:
        known: dict[str, Any] = {"TENURE_STORE": cluster.url}
        tenure("deploy", charm, **known)
        cluster.ctl("snapshot", "save", str(tmp_path / "snapshot"))
        for _ in range(3):
            number = await newer_term(cluster.url)
        tenure("store", "backup", "whole", **known)

        restored(cluster, tmp_path / "snapshot")
        assert await newer_term(cluster.url) < number, "what a forgotten step would lead to"
        tenure("store", "raise-terms", str(number + 1000), **known)
        assert await newer_term(cluster.url) > number + 1000

        if "--bump-revision" in cluster.run_ctl("snapshot", "restore", "--help").stdout:
            restored(cluster, tmp_path / "snapshot", "--bump-revision", "1000", "--mark-compacted")
            assert await newer_term(cluster.url) > number


@pytest.mark.parametrize("version", versions()[-1:] or [None])
async def test_a_model_moves_from_sqlite_to_etcd_and_back(version: str | None, tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm, "-n", "2")
    number = await newer_term(tenure.url)
    tenure("store", "backup", "there")
    with EtcdCluster(version) as cluster:
        known: dict[str, Any] = {"TENURE_STORE": cluster.url}
        tenure("store", "restore", "there", "--beyond", "300", **known)
        assert await newer_term(cluster.url) > number + 300
        findings = tenure("doctor", *BRIEF, **known).json["findings"]
        assert {one["what"]: one["state"] for one in findings}["terms"] == "ok"
        tenure("store", "backup", "back", **known)
    back = f"sqlite://{tenure.folder}/back.db"
    tenure("store", "restore", "back", TENURE_STORE=back)
    was, now = (json.loads(tenure("status", "--format", "json", TENURE_STORE=url).out) for url in (tenure.url, back))
    assert was["applications"] == now["applications"]
