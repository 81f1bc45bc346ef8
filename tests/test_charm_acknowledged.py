"""`tenure.charm.AcknowledgedSettings`: what it promises to a charm's author, with hook tools that need no agent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tenure import charm
from tenure.howto import acknowledged as read_side
from tests.fake_tools import FakeTools

LOST = {"status": "unknown", "message": "agent lost, see 'tenure debug-log' on m2", "status-data": {"lost-for-s": 40}}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """The leader web/0 of an application whose other members have joined and acknowledged nothing."""
    fake = FakeTools(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("JUJU_UNIT_NAME", "web/0")
    charm._offers_file.cache_clear()
    fake.answer(leader=True, relation_ids=["members:0"], bags={"web/0": {}, "web/1": {}}, **members("web/0", "web/1"))
    return fake


def members(*units: str, **said: dict[str, Any]) -> dict[str, Any]:
    """What status-get says of an application with these units."""
    return {"status_get": {"application-status": {"units": {unit: said.get(unit[-1], {}) for unit in units}}}}


def rollout() -> charm.AcknowledgedSettings:
    return charm.AcknowledgedSettings("members")


def test_each_change_is_a_new_version_and_what_is_so_already_is_none(tools):
    assert rollout().publish(color="red") == 1
    assert rollout().publish(color="red") == 1
    assert rollout().publish({"color": "blue"}) == 2
    assert rollout().publish(color=None) == 3
    assert rollout().publish(color=None) == 3
    assert tools.settings["settings-version"] == "3"


def test_the_values_and_their_version_are_written_by_one_call(tools):
    rollout().publish(color="red")
    (call,) = tools.told("leader-set")
    assert call["arguments"][1:3] == ["color=red", "settings-version=1"]


def test_a_minion_publishes_nothing(tools):
    tools.answer(leader=False)
    with pytest.raises(charm.NotLeader):
        rollout().publish(color="red")
    assert tools.settings == {}


def test_a_leader_that_is_deposed_before_it_writes_leaves_nothing(tools):
    tools.answer(may_write=False)
    with pytest.raises(charm.NotLeader):
        rollout().publish(color="red")
    assert tools.settings == {}


def test_its_own_keys_are_refused(tools):
    with pytest.raises(ValueError, match="settings-version"):
        rollout().publish({"settings-version": "7"})


def test_a_version_is_applied_once_and_then_acknowledged(tools):
    rollout().publish(color="red")
    applied: list[dict[str, str]] = []
    assert rollout().apply(applied.append) is True
    assert rollout().apply(applied.append) is True
    assert applied == [{"color": "red"}]
    assert tools.bags["web/0"] == {"settings-acknowledged": "1"}
    rollout().publish(color="blue")
    assert rollout().apply(applied.append) is True
    assert applied[1] == {"color": "blue"}


def test_what_fails_to_be_applied_is_not_acknowledged(tools):
    rollout().publish(color="red")
    with pytest.raises(ZeroDivisionError):
        rollout().apply(lambda settings: 1 / 0)
    assert tools.bags["web/0"] == {}


def test_nothing_is_applied_before_something_is_published(tools):
    assert rollout().apply(lambda settings: 1 / 0) is False
    assert rollout().missing() == []


def test_before_the_relation_is_there_it_is_applied_and_not_acknowledged(tools):
    rollout().publish(color="red")
    tools.answer(relation_ids=[])
    applied: list[dict[str, str]] = []
    assert rollout().apply(applied.append) is False
    assert applied == [{"color": "red"}]
    assert [one.why for one in rollout().missing()] == ["hasn't joined", "hasn't joined"]


def test_who_is_missing_is_told_with_the_reason_by_number(tools):
    tools.answer(
        settings={"settings-version": "4", "settings-published": "2026-01-01T00:00:00Z"},
        bags={
            "web/0": {"settings-acknowledged": "4"},
            "web/2": {"settings-acknowledged": "3"},
            "web/3": {},
            "web/4": {},
            "web/5": {"settings-acknowledged": "9"},
        },
        **members(
            "web/10", "web/0", "web/2", "web/3", "web/4", "web/5",
            **{"3": {"status": "error", "message": "hook failed", "status-data": {"hook": "config-changed"}}, "4": LOST},
        ),
    )  # fmt: skip
    assert [(one.unit, one.why, one.acknowledged) for one in rollout().missing()] == [
        ("web/2", "acknowledged version 3 of 4", 3),
        ("web/3", "in error: config-changed", 0),
        ("web/4", "agent lost for 40 s", 0),
        ("web/5", "acknowledged version 9, which was never published", 9),
        ("web/10", "hasn't joined", 0),
    ]
    assert {one.since for one in rollout().missing()} == {"2026-01-01T00:00:00Z"}


def test_a_unit_that_has_left_is_missed_no_more_whatever_its_databag_says(tools):
    rollout().publish(color="red")
    rollout().apply(lambda settings: None)
    assert [one.unit for one in rollout().missing()] == ["web/1"]
    tools.answer(**members("web/0"))
    assert rollout().missing() == []


def test_only_the_leader_learns_who_is_missing(tools):
    tools.answer(leader=False, status_get=None)
    with pytest.raises(charm.NotLeader):
        rollout().missing()


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_version_that_was_never_published_cannot_be_acknowledged(tools, version):
    rollout().publish(color="red")
    with pytest.raises(ValueError, match="never published; the newest is 1"):
        rollout().acknowledge(version)
    rollout().acknowledge(1)
    assert tools.bags["web/0"] == {"settings-acknowledged": "1"}


def test_charms_and_commands_know_the_same_keys():
    for name in ("SETTINGS_VERSION", "SETTINGS_PUBLISHED", "SETTINGS_ACKNOWLEDGED"):
        assert getattr(charm, name) == getattr(read_side, name)
