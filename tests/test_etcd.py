"""The etcd that tests start: real, quick to be there, and gone with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.etcd import EtcdCluster, newest, versions
from tests.waiting import until


@pytest.mark.parametrize("version", versions() or [""])
def test_one_member_serves_in_each_version_that_is_here(version: str) -> None:
    with EtcdCluster(version or None) as etcd:
        etcd.ctl("put", "a", "1")
        assert etcd.ctl("get", "a", "--print-value-only") == "1\n"
        folder = etcd.folder
    assert not folder.exists()


@pytest.mark.slow
def test_three_members_outlive_a_dead_one_a_restarted_one_and_a_replaced_one() -> None:
    with EtcdCluster(newest(), members=3) as etcd:
        first = etcd.leader()
        etcd.ctl("put", "a", "1")
        first.kill()
        second = etcd.leader()
        assert second is not first
        etcd.restart(first)
        new = etcd.replace(first)
        assert etcd.ctl("get", "a", "--print-value-only", at=[new]) == "1\n"


@pytest.mark.slow
def test_nothing_runs_on_when_the_test_itself_is_killed(root: Path) -> None:
    newest()
    script = (
        "import time\nfrom tests.etcd import EtcdCluster\n"
        "with EtcdCluster(members=1) as etcd:\n    print(etcd.members[0].process.pid, flush=True)\n    time.sleep(60)\n"
    )
    test = subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True)
    assert test.stdout is not None
    server = int(test.stdout.readline())
    os.kill(test.pid, signal.SIGKILL)
    test.wait(10)
    test.stdout.close()
    until(lambda: not Path(f"/proc/{server}/exe").exists(), what="etcd is gone")
    with EtcdCluster() as etcd:
        assert [left for left in etcd.folder.parent.glob("tenure-etcd-*") if f"-{test.pid}-" in left.name] == []
