"""The charms with acknowledged settings, hook by hook, with hook tools that need no agent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.examples.test_shared_secret import run, statuses
from tests.fake_tools import FakeTools

pytestmark = pytest.mark.slow

CHARMS = ("acknowledged-settings", "acknowledged-settings-python")


@pytest.fixture(params=CHARMS)
def charm(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Path:
    """A copy, for its hooks write into its folder."""
    copy = tmp_path / request.param
    shutil.copytree(root / "examples" / request.param, copy, symlinks=True)
    return copy


@pytest.fixture
def tools(tmp_path: Path) -> FakeTools:
    """The unit web/0 leads; web/1 has joined, has failed in a hook, is lost or is new: as a test says."""
    fake = FakeTools(tmp_path / "tools")
    fake.answer(
        leader=True, config={"colour": "red"}, relation_ids=["members:0"], bags={"web/0": {}, "web/1": {}},
        status_get=members({"message": "version {1}", "status": "active", "status-data": {}}),
    )  # fmt: skip
    return fake


def members(said: dict[str, object]) -> dict[str, object]:
    own = {"message": 'says "web/7":{}', "status": "active", "status-data": {}}
    return {"application-status": {"message": "", "status": "active", "units": {"web/0": own, "web/1": said}}}


def test_the_leader_publishes_applies_and_says_who_is_missing(charm, tools):
    run(charm, tools, "config-changed")
    assert (charm / "colour").read_text() == "red\n"
    assert (tools.settings["colour"], tools.settings["settings-version"]) == ("red", "1")
    assert tools.bags["web/0"] == {"settings-acknowledged": "1"}
    assert statuses(tools)[0] == ["active", "version 1"]
    said = statuses(tools)[1]
    assert said[:2] == ["--application", "waiting"]
    assert "web/1: acknowledged " in said[2]
    assert "web/7" not in said[2]
    run(charm, tools, "config-changed")
    assert tools.settings["settings-version"] == "1", "what is so already is no new version"
    tools.answer(config={"colour": "blue"})
    run(charm, tools, "config-changed")
    assert tools.settings["settings-version"] == "2"
    assert tools.bags["web/0"] == {"settings-acknowledged": "2"}


def test_the_leader_says_when_it_is_everywhere(charm, tools):
    tools.answer(bags={"web/0": {}, "web/1": {"settings-acknowledged": "1"}})
    run(charm, tools, "config-changed")
    assert statuses(tools)[-1] == ["--application", "active", "version 1 is everywhere"]


@pytest.mark.parametrize(
    ("said", "bags", "why"),
    [
        ({"message": "agent lost, see x", "status": "unknown", "status-data": {}}, {"web/0": {}}, "agent lost"),
        ({"message": "hook failed", "status": "error", "status-data": {"hook": "start"}}, {"web/0": {}}, "in error: start"),
        ({"message": "", "status": "waiting", "status-data": {}}, {"web/0": {}}, "hasn't joined"),
    ],
)  # fmt: skip
def test_the_reason_is_said(charm, tools, said, bags, why):
    tools.answer(status_get=members(said), bags=bags)
    run(charm, tools, "leader-elected")
    assert f"web/1: {why}" in statuses(tools)[-1][2]


def test_a_minion_applies_and_acknowledges_and_says_nothing_of_the_application(charm, tools):
    tools.answer(leader=False, settings={"colour": "red", "settings-version": "3"})
    run(charm, tools, "leader-settings-changed")
    assert tools.bags["web/0"] == {"settings-acknowledged": "3"}
    assert statuses(tools) == [["active", "version 3"]]


def test_a_minion_waits_where_nothing_is_published(charm, tools):
    tools.answer(leader=False)
    run(charm, tools, "leader-settings-changed")
    assert statuses(tools) == [["waiting", "for leader"]]
    assert tools.bags["web/0"] == {}
