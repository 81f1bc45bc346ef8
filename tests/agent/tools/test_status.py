"""status-set, status-get, application-version-set, to the letter."""

from __future__ import annotations

import json

import pytest

from tenure.model.records import ApplicationStatus, Said, Unit, UnitStatus
from tenure.names import UnitName
from tenure.store.api import Delete
from tests.agent.tools.unit_world import LAYOUT, PEERS, UnitWorld, failure, printed


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["active"], "active", ""),
        (["waiting", "for leader"], "waiting", "for leader"),
        (["--application=False", "active", "--", "ready"], "active", "ready"),
        (["maintenance", ""], "maintenance", ""),
        (["blocked", "--", "--odd"], "blocked", "--odd"),
    ],
)
async def test_status_set_says_it_at_once(world: UnitWorld, arguments: list[str], status: str, message: str) -> None:
    assert await printed(world.context(), "status-set", *arguments) == ""
    assert (world.spoken.said.status, world.spoken.said.message) == (status, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "invalid args, require <status> [message]"),
        (["active", "a", "b"], "invalid args, require <status> [message]"),
        (["foo"], 'invalid status "foo", expected one of [maintenance blocked waiting active]'),
        (["unknown"], 'invalid status "unknown", expected one of [maintenance blocked waiting active]'),
        (["active", "\udcff"], "the message is not valid UTF-8; encode it, as base64 say"),
    ],
)
async def test_status_set_refuses_bad_arguments(world: UnitWorld, arguments: list[str], message: str) -> None:
    before = world.spoken.said
    assert await failure(world.context(), "status-set", *arguments) == (2, f"ERROR {message}\n")
    assert world.spoken.said == before


async def test_the_leader_alone_says_how_the_application_is(world: UnitWorld) -> None:
    arguments = ["--application", "active", "all is well"]
    assert await failure(world.context(), "status-set", *arguments) == (1, "ERROR this unit is not the leader\n")
    await world.elect()
    assert await printed(world.context(), "status-set", *arguments) == ""
    said = (await world.stored(LAYOUT.application_status("web"), ApplicationStatus)).said
    assert (said.status, said.message) == ("active", "all is well")


async def test_a_deposed_leaders_word_on_its_application_never_lands(world: UnitWorld) -> None:
    term = await world.elect()
    context = world.context()
    await printed(context, "is-leader")
    await world.depose()
    world.leadership.term = term
    assert await failure(context, "status-set", "--application", "active") == (1, "ERROR this unit is not the leader\n")
    assert await world.stored(LAYOUT.application_status("web"), ApplicationStatus) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "waiting\n"),
        (["--format=json"], '{"status":"waiting"}\n'),
        (["--format=yaml"], "status: waiting\n"),
        (["--include-data", "--format=json"], '{"message":"agent initialising","status":"waiting","status-data":{}}\n'),
        (["--include-data"], "message: agent initialising\nstatus: waiting\nstatus-data: {}\n"),
    ],
)
async def test_status_get_prints_the_units(world: UnitWorld, arguments: list[str], expected: str) -> None:
    assert await printed(world.context(), "status-get", *arguments) == expected


async def test_the_first_answer_is_kept_for_the_hook(world: UnitWorld) -> None:
    context = world.context()
    await printed(context, "status-get")
    await printed(context, "status-set", "active")
    assert await printed(context, "status-get") == "waiting\n"
    assert await printed(world.context(), "status-get") == "active\n"


async def application_status(world: UnitWorld) -> dict[str, object]:
    found = json.loads(await printed(world.context(), "status-get", "--application", "--format=json"))
    assert list(found) == ["application-status"]
    inner = found["application-status"]
    assert isinstance(inner, dict)
    return inner


async def test_the_application_is_shown_with_each_of_its_members(world: UnitWorld) -> None:
    await world.elect()
    said = Said(status="active", message="ready")
    await world.put(LAYOUT.unit_status(UnitName("web", 1)), UnitStatus(workload=said, agent=Said(status="idle")))
    found = await application_status(world)
    assert found["units"] == {
        "web/0": {"message": "agent initialising", "status": "waiting", "status-data": {}},
        "web/1": {"message": "ready", "status": "active", "status-data": {}},
        "web/2": {"message": "agent initialising", "status": "waiting", "status-data": {}},
    }
    assert (found["status"], found["message"], found["status-data"]) == ("waiting", "agent initialising", {})
    await printed(world.context(), "status-set", "--application", "blocked", "by hand")
    await world.mirror.wait_until(lambda snapshot: snapshot.get(LAYOUT.application_status("web")) is not None)
    assert (await application_status(world))["status"] == "blocked"
    assert await printed(world.context(), "status-get", "--application") == "blocked\n"


async def test_members_are_those_that_are_there_now(world: UnitWorld) -> None:
    await world.elect()
    await world.put(LAYOUT.unit_info(UnitName("web", 3)), Unit())
    await world.put(LAYOUT.unit_info(UnitName("web", 2)), Unit(machine="m0", life="dying"))
    assert list((await application_status(world))["units"]) == ["web/0", "web/1", "web/2", "web/3"]  # type: ignore[call-overload]
    gone = LAYOUT.unit_bag(PEERS, UnitName("web", 2))
    await world.store.commit([], [Delete(gone)])
    await world.mirror.wait_until(lambda snapshot: snapshot.get(gone) is None)
    assert list((await application_status(world))["units"]) == ["web/0", "web/1", "web/3"]  # type: ignore[call-overload]


async def test_a_minion_may_not_ask_for_the_application(world: UnitWorld) -> None:
    assert await failure(world.context(), "status-get", "--application") == (
        1,
        "ERROR finding application status: this unit is not the leader\n",
    )


async def test_the_workloads_version_is_set_and_cleared(world: UnitWorld) -> None:
    assert await printed(world.context(), "application-version-set", "1.2") == ""
    assert world.spoken.version == "1.2"
    assert await printed(world.context(), "application-version-set", "") == ""
    assert world.spoken.version == ""
    assert await failure(world.context(), "application-version-set") == (2, "ERROR no version specified\n")
    assert await failure(world.context(), "application-version-set", "1", "2") == (
        2,
        'ERROR unrecognized args: ["2"]\n',
    )
