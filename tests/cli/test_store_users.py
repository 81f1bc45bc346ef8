"""Users of etcd's that may do what they are for: what an attacker with one machine's password can do, and what he can't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import World
from tests.etcd import EtcdCluster, versions
from tests.model.conftest import make_charm

pytestmark = pytest.mark.slow

NAMES = ("root", "anna", "m0", "m1")


class Guarded(World):
    """A world on an etcd that asks who is there; agents and commands say so by `user`."""

    def __init__(self, folder: Path, cluster: EtcdCluster) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.url = cluster.url
        self.user = ""
        for name in NAMES:
            (folder / f"{name}.pw").write_text(f"{name}-secret\n")
            (folder / f"{name}.pw").chmod(0o600)

    @property
    def environment(self) -> dict[str, str]:
        if not self.user:
            return super().environment
        password = str(self.folder / f"{self.user}.pw")
        return super().environment | {"TENURE_STORE_USER": self.user, "TENURE_STORE_PASSWORD_FILE": password}

    def as_user(self, user: str, *arguments: str | Path, code: int = 0) -> str:
        self.user = user
        return self.tenure(*arguments, code=code)

    def attack(self, *arguments: str) -> bool:
        """Whether etcd lets him who has the password of m0 do this."""
        done = self.cluster.run_ctl(*arguments, user="m0:m0-secret")
        if done.returncode:
            assert "permission denied" in done.stderr, done.stderr
        return done.returncode == 0


@pytest.fixture
def guarded(version: str | None, tmp_path: Path) -> Iterator[Guarded]:
    """Applications web and db, which anna looks after; m0 is to run web, m1 db."""
    with EtcdCluster(version) as cluster:
        world = Guarded(tmp_path, cluster)
        charm = make_charm(tmp_path / "charm")
        world.tenure("store", "init", "--root-password-file", tmp_path / "root.pw")
        world.as_user("root", "store", "user", "anna", "--password-file", tmp_path / "anna.pw", "--operator")
        for application, machine in (("web", "m0"), ("db", "m1")):
            world.as_user("anna", "deploy", charm, application, "--to", machine, "--lease", "6s")
            made_for = ["--machine", machine, "--application", application]
            world.as_user("root", "store", "user", machine, "--password-file", tmp_path / f"{machine}.pw", *made_for)
        yield world
        world.close()


@pytest.mark.parametrize("version", versions()[:1] + versions()[-1:] or [None])
def test_an_attacker_with_one_machines_password_can_hurt_its_own_applications_alone(guarded: Guarded) -> None:
    for machine in ("m0", "m1"):
        guarded.user = machine
        guarded.start(machine)
    for application in ("web", "db"):
        guarded.as_user("anna", "wait", application, "--for", "leader", "--timeout", "30s")
    holder = "/tenure/default/apps/{}/offices/leader/holder".format
    assert not guarded.attack("del", holder("db"))
    assert not guarded.attack("put", holder("db"), "me")
    assert not guarded.attack("put", "/tenure/default/apps/db/settings", "{}")
    assert not guarded.attack("put", "/tenure/default/machines/m1", "{}")
    assert not guarded.attack("put", "/tenure/default/drained/m1", "{}")
    assert not guarded.attack("get", "--prefix", "/tenure.tasks/default/db/")
    assert not guarded.attack("get", "--prefix", "/tenure/other/")
    assert not guarded.attack("put", "/tenure.charms/default/x/000001", "code")
    assert not guarded.attack("user", "list")
    lease = guarded.cluster.json("get", holder("db"), user="root:root-secret")["kvs"][0]["lease"]
    assert not guarded.attack("lease", "revoke", f"{lease:x}"), "db's terms are not his to end"
    # What he can do, as the page on securing a store says.
    assert guarded.attack("get", "/tenure/default/apps/db/settings")
    assert guarded.attack("get", "--prefix", "/tenure/default/")
    assert guarded.attack("put", "/tenure/default/apps/web/offices/leader/x", "me")
    # And m0's agent can do all that it must, to the end of its application.
    guarded.as_user("anna", "remove-application", "web")
    assert "web" not in json.loads(guarded.as_user("anna", "status", "--format", "json"))["applications"]


@pytest.mark.parametrize("version", versions()[-1:] or [None])
def test_a_user_without_a_purpose_a_wrong_password_and_none_are_told_so(guarded: Guarded) -> None:
    assert "what is he for?" in guarded.as_user("root", "store", "user", "x", code=2)
    assert "what is he for?" in guarded.as_user("root", "store", "user", "x", "--operator", "--machine", "m0", code=2)
    assert "has a password" in guarded.as_user("root", "store", "user", "x", "--operator", code=2)
    assert "does not permit" in guarded.as_user("m0", "store", "init", code=3)
    (guarded.folder / "m0.pw").write_text("another\n")
    assert "does not know this user with this password" in guarded.as_user("m0", "status", code=3)
    assert "asks who is there" in guarded.as_user("", "status", code=3)
    guarded.as_user("root", "store", "user", "m1", "--remove")
    assert 'no user "m1"' in guarded.as_user("root", "store", "user", "m1", "--remove", code=2)
