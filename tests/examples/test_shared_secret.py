"""The example charms, hook by hook, with hook tools that need no agent."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.fake_tools import FakeTools

CHARMS = ("shared-secret", "shared-secret-python")


@pytest.fixture(params=CHARMS)
def charm(request: pytest.FixtureRequest, root: Path) -> Path:
    return root / "examples" / request.param


@pytest.fixture
def tools(tmp_path: Path) -> FakeTools:
    fake = FakeTools(tmp_path / "tools")
    fake.answer(config={"bytes": 32})
    return fake


def run(charm: Path, tools: FakeTools, hook: str) -> None:
    """A hook as an agent starts it: by its path, in the charm's folder, with nothing inherited."""
    environment = {
        "PATH": f"{tools.bin}:{os.environ['PATH']}",
        "CHARM_DIR": str(charm),
        "JUJU_UNIT_NAME": "web/0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    subprocess.run([charm / "hooks" / hook], cwd=charm, env=environment, check=True, stdin=subprocess.DEVNULL)


def statuses(tools: FakeTools) -> list[list[str]]:
    return [[word for word in call["arguments"] if word != "--"] for call in tools.told("status-set")]


def test_the_leader_makes_the_secret_once_and_shows_its_fingerprint(charm, tools):
    hook = "leader-elected"
    tools.answer(leader=True)
    run(charm, tools, hook)
    secret = tools.settings["secret"]
    assert len(bytes.fromhex(secret)) == 32
    run(charm, tools, hook)
    assert tools.settings["secret"] == secret
    assert statuses(tools) == [["active", f"secret {hashlib.sha256(secret.encode()).hexdigest()[:12]}"]] * 2


@pytest.mark.parametrize("hook", ["install", "config-changed", "leader-settings-changed"])
def test_a_minion_waits_for_the_leader_and_then_shows_the_same_fingerprint(charm, tools, hook):
    run(charm, tools, hook)
    assert statuses(tools) == [["waiting", "for leader"]]
    tools.answer(settings={"secret": "s3cret"})
    run(charm, tools, hook)
    assert statuses(tools)[1] == ["active", f"secret {hashlib.sha256(b's3cret').hexdigest()[:12]}"]


def test_the_python_charm_makes_it_in_install_already(root, tools):
    tools.answer(leader=True)
    run(root / "examples" / "shared-secret-python", tools, "install")
    assert tools.settings["secret"]


def test_the_secret_reaches_no_status_and_no_log(charm, tools):
    tools.answer(leader=True)
    for hook in ("install", "leader-elected", "config-changed"):
        run(charm, tools, hook)
    secret = tools.settings["secret"]
    said = [word for tool in ("status-set", "juju-log") for call in tools.told(tool) for word in call["arguments"]]
    assert said
    assert all(secret not in word for word in said)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("examples/*/metadata.yaml")))
def test_each_charm_is_whole(root, name):
    charm = root / "examples" / name
    assert yaml.safe_load((charm / "metadata.yaml").read_text())["name"] == name
    assert all(os.access(hook, os.X_OK) for hook in charm.glob("hooks/*"))


def test_every_copy_of_the_charm_library_is_the_library(root):
    library = (root / "src/tenure/charm.py").read_bytes()
    copies = sorted(root.glob("examples/*/lib/charm.py"))
    assert copies
    assert [copy for copy in copies if copy.read_bytes() != library] == []
