"""Commands through an etcd that asks who is there: its operator may run them, a machine only in units of its own applications."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.test_exec import Done, start
from tests.agent.test_exec_remote import DIED, LOST, vouched
from tests.cli.test_store_users import Guarded
from tests.etcd import EtcdCluster, versions
from tests.model.conftest import make_charm
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def guarded(version: str | None, tmp_path: Path) -> Iterator[Guarded]:
    """web/0 on m0, db/0 on m1; each machine is a user for its own application, anna looks after both."""
    with EtcdCluster(version) as cluster:
        world = Guarded(tmp_path, cluster)
        charm = make_charm(tmp_path / "charm")
        world.tenure("store", "init", "--root-password-file", tmp_path / "root.pw")
        world.as_user("root", "store", "user", "anna", "--password-file", tmp_path / "anna.pw", "--operator")
        for application, machine in (("web", "m0"), ("db", "m1")):
            world.as_user("anna", "deploy", charm, application, "--to", machine, "--lease", "15s")
            made_for = ["--machine", machine, "--application", application]
            world.as_user("root", "store", "user", machine, "--password-file", tmp_path / f"{machine}.pw", *made_for)
            world.user = machine
            world.start(machine)
        world.user = "anna"
        for application in ("web", "db"):
            world.tenure("wait", application, "--for", "leader", "--for", "idle", "--timeout", "60s")
        yield world
        world.close()


@pytest.mark.parametrize("version", versions()[:1] or [None])
def test_the_operator_runs_them_anywhere_and_a_machine_nowhere_but_in_its_own_applications(guarded: Guarded) -> None:
    done = Done(start(guarded, "--through", "store", "--all", "--parallel", "--format", "json", "--", "is-leader"))
    assert {unit: task["results"]["stdout"] for unit, task in json.loads(done.out).items()} == {
        "web/0": "True\n",
        "db/0": "True\n",
    }
    assert vouched(guarded, "db/0", "1s")["verdict"] == "yes"
    charm = guarded.folder / "m1" / "agents" / "unit-db-0" / "charm"
    process = start(guarded, "--through", "store", "--unit", "db/0", "--", "echo run >>ran; exec sleep 300")
    until((charm / "ran").exists, within_s=20)
    guarded.kill("m1")
    guarded.user = "m1"
    guarded.start("m1")
    done = Done(process)
    assert done.code == 125
    assert done.err in (DIED.replace("web/1", "db/0"), LOST.replace("web/1", "db/0"))
    assert (charm / "ran").read_text() == "run\n"
    guarded.user = "m0"
    assert Done(start(guarded, "--through", "store", "--unit", "web/0", "--", "echo own")).out == "own\n"
    denied = Done(start(guarded, "--through", "store", "--unit", "db/0", "--", "true"))
    assert (denied.code, "does not permit" in denied.err) == (125, True)
    assert (
        guarded.cluster.ctl("get", "--prefix", "/tenure.tasks/", "--keys-only", user="root:root-secret").strip() == ""
    )
