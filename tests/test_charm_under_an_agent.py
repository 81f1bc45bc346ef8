"""`tenure.charm` where it belongs: in the hooks of real agents, carried in the charm's `lib/`."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.world import World
from tests.waiting import until

pytestmark = pytest.mark.slow

VALUES = {
    "plain": "x",
    "lines": "two\nlines\n",
    "quotes": 'it\'s "quoted" = $HOME `x` \\n',
    "beyond ascii": "ä€😀\x7f\u2028",
    "long": "y" * 300_000,
}

# Calls everything there is, and writes down what came of it.
PROBE = f"""\
#!/usr/bin/env python3
import json, os, sys
sys.path.insert(0, os.path.join(os.environ["CHARM_DIR"], "lib"))
import charm

def failed(call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except charm.HookToolError as error:
        return [type(error).__name__, error.tool, error.message]

VALUES = {VALUES!r}
leader = charm.is_leader()
(peers,) = charm.relation_ids("peers")
found = {{"unit": charm.unit_name(), "leader": leader, "config": charm.config_get(), "color": charm.config_get("color")}}
if leader:
    charm.leader_set(VALUES, gone="soon")
    charm.leader_set(gone=None)
    charm.relation_set({{"from": "leader"}}, relation_id=peers, application=True)
    found["own bag"] = charm.relation_get(member="web", relation_id=peers, application=True)
    found["application"] = charm.status_get(application=True)
    charm.status_set("active", "all is well", application=True)
    found["settings"] = charm.leader_get()
    found["one"], found["none"] = charm.leader_get("plain"), charm.leader_get("none")
else:
    found["refused"] = failed(charm.leader_set, a="b")
    found["refused application"] = failed(charm.status_set, "active", "", application=True)
charm.relation_set(VALUES, relation_id=peers, extra=7)
found["said"] = charm.relation_get(member=charm.unit_name(), relation_id=peers)
charm.status_set("active", "probed")
charm.log("a line\\nand another", level="WARNING")
with open(os.path.join(os.environ["CHARM_DIR"], "found"), "w", encoding="utf-8") as file:
    json.dump(found, file)
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def charm_of(world: World, root: Path, **hooks: str) -> Path:
    folder = world.charm()
    for name, text in hooks.items():
        hook = folder / "hooks" / name
        hook.write_text(text)
        hook.chmod(0o755)
    (folder / "lib").mkdir()
    shutil.copy(root / "src" / "tenure" / "charm.py", folder / "lib")
    return folder


def found(world: World, machine: str) -> dict[str, Any]:
    """What the probe has written down on this machine."""
    path = world.folder / machine / "agents" / f"unit-web-{machine[1]}" / "charm" / "found"
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def test_every_function_does_what_it_says(world, root):
    for machine in ("m0", "m1"):
        world.start(machine)
    world.tenure("deploy", charm_of(world, root, start=PROBE), "-n", "2", "--to", "m0,m1", "--lease", "6s")
    world.tenure("wait", "web", "--for", "active", "--timeout", "20s")
    by_leadership = {each["leader"]: each for each in (found(world, "m0"), found(world, "m1"))}
    leader, minion = by_leadership[True], by_leadership[False]
    assert leader["config"] == {"color": "red"}
    assert leader["color"] == "red"
    assert leader["settings"] == VALUES
    assert (leader["one"], leader["none"]) == ("x", None)
    assert leader["own bag"] == {"from": "leader"}
    assert sorted(leader["application"]["units"]) == ["web/0", "web/1"]
    assert minion["refused"] == [
        "NotLeader",
        "leader-set",
        "cannot write leadership settings: cannot write settings: not the leader",
    ]
    assert minion["refused application"][0] == "NotLeader"
    for each in (leader, minion):
        said = {key: value for key, value in each["said"].items() if key in VALUES or key == "extra"}
        assert said == {**VALUES, "extra": "7"}
    assert json.loads(world.tenure("settings", "web", "--format", "json")) == VALUES
    logged = [line for line in world.lines("m0") if line["message"].startswith("a line")]
    assert logged[0]["level"] == "WARNING"


@pytest.mark.parametrize("example", ["shared-secret", "shared-secret-python"])
def test_the_example_charms_share_one_secret_which_no_log_and_no_status_holds(world, root, example):
    machines = ("m0", "m1", "m2")
    for machine in machines:
        world.start(machine)
    world.tenure("deploy", root / "examples" / example, "web", "-n", "3", "--to", ",".join(machines), "--lease", "6s")
    world.tenure("wait", "web", "--for", "active", "--timeout", "20s")
    secret = json.loads(world.tenure("settings", "web", "--format", "json"))["secret"]
    shown = {world.unit(f"web/{number}")["workload-status"]["message"] for number in range(3)}
    assert shown == {f"secret {hashlib.sha256(secret.encode()).hexdigest()[:12]}"}
    leader = world.tenure("leader", "web").strip()
    successor = next(unit for unit in ("web/0", "web/1") if unit != leader)
    world.tenure("transfer", successor)
    world.event(f"m{successor[-1]}", event="hook-ended", hook="leader-elected")
    until(lambda: world.tenure("leader", "web").strip() == successor)
    assert json.loads(world.tenure("settings", "web", "--format", "json"))["secret"] == secret
    written = [path.read_text() for path in world.folder.glob("m?*") if path.is_file()]
    written += [path.read_text() for path in world.folder.glob("m?/log/*")]
    assert written
    assert all(secret not in text for text in [*written, world.tenure("status", "--format", "json")])
