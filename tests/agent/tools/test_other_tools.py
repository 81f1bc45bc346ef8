"""config-get, juju-log, goal-state, and what all tools share, to the letter."""

from __future__ import annotations

import json

import pytest

from tenure.agent.hook import Hook
from tenure.agent.tools import TOOLS
from tenure.model.records import Application, Databag, Endpoint, Relation, Said, Unit, UnitStatus
from tenure.names import UnitName
from tests.agent.tools.unit_world import LAYOUT, UnitWorld, failure, printed, run

ALL = '{"debug":false,"extra":null,"name":"web","ratio":1,"size":5}\n'


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "debug: false\nname: web\nratio: 1\nsize: 5\n"),
        (["--format=json"], '{"debug":false,"name":"web","ratio":1,"size":5}\n'),
        (["--all", "--format=json"], ALL),
        (["-a", "--format=json"], ALL),
        (["name"], "web\n"),
        (["size"], "5\n"),
        (["size", "--format=json"], "5\n"),
        (["ratio"], "1\n"),
        (["debug"], "False\n"),
        (["debug", "--format=json"], "false\n"),
        (["extra"], ""),
        (["extra", "--format=json"], "null\n"),
        (["unheard-of"], ""),
        (["unheard-of", "--format=json"], "null\n"),
    ],
)
async def test_config_get_prints_typed_values(world: UnitWorld, arguments: list[str], expected: str) -> None:
    assert await printed(world.context(), "config-get", *arguments) == expected


async def test_config_get_refuses_a_key_with_all_and_a_second_key(world: UnitWorld) -> None:
    assert await failure(world.context(), "config-get", "--all", "size") == (
        2,
        'ERROR cannot use argument --all together with key "size"\n',
    )
    assert await failure(world.context(), "config-get", "a", "b") == (2, 'ERROR unrecognized args: ["b"]\n')


@pytest.mark.parametrize(
    ("arguments", "logged"),
    [
        (["a", "b  c"], [("INFO", "a b  c")]),
        (["--log-level", "WARNING", "--", "-x"], [("WARNING", "-x")]),
        (["-l", "debug", "m"], [("DEBUG", "m")]),
        (["-lerror", "m"], [("ERROR", "m")]),
        (["--debug", "m"], [("DEBUG", "m")]),
        (["--format=json", "m"], [("INFO", "m")]),
        (["-l", "loud", "m"], [("WARNING", 'log level "loud" is unknown: INFO is used'), ("INFO", "m")]),
    ],
)
async def test_juju_log_takes_levels_of_any_case(
    world: UnitWorld, arguments: list[str], logged: list[tuple[str, str]]
) -> None:
    result = await run(world.context(), "juju-log", *arguments)
    assert (result.code, result.stdout) == (0, b"")
    assert world.logged == logged


async def test_juju_log_names_the_relation_in_its_hooks(world: UnitWorld) -> None:
    await printed(world.context(Hook(kind="relation-created", relation=0, endpoint="peers")), "juju-log", "m")
    assert world.logged == [("INFO", "peers:0: m")]


async def test_juju_log_without_a_message(world: UnitWorld) -> None:
    assert await failure(world.context(), "juju-log") == (2, "ERROR no message specified\n")


@pytest.mark.parametrize("tool", TOOLS)
async def test_each_tool_explains_itself(world: UnitWorld, tool: str) -> None:
    usage = await printed(world.context(), tool, "--help")
    assert usage.startswith(f"Usage: {tool}")
    assert "\nSummary:\n" in usage
    assert await printed(world.context(), tool, "-h") == usage


@pytest.mark.parametrize("tool", TOOLS)
async def test_each_tool_refuses_an_option_that_it_does_not_have(world: UnitWorld, tool: str) -> None:
    await world.elect()
    assert await failure(world.context(), tool, "--foo") == (2, "ERROR option provided but not defined: --foo\n")


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS.values() if tool.output])
async def test_each_tool_with_output_refuses_an_unknown_format(world: UnitWorld, tool: str) -> None:
    assert await failure(world.context(), tool, "--format", "xml") == (
        2,
        'ERROR invalid value "xml" for option --format: unknown format "xml"\n',
    )
    assert await failure(world.context(), tool, "-o") == (2, "ERROR option needs an argument: -o\n")


async def test_goal_state_lists_what_is_planned(world: UnitWorld) -> None:
    said = Said(status="active", since="2026-05-01T12:00:00Z")
    await world.put(LAYOUT.unit_status(UnitName("web", 1)), UnitStatus(workload=said, agent=Said(status="idle")))
    await world.put(LAYOUT.unit_info(UnitName("web", 2)), Unit(machine="m0", life="dying"))
    found = json.loads(await printed(world.context(), "goal-state", "--format=json"))
    assert found == {
        "relations": {},
        "units": {
            "web/0": {"status": "waiting"},
            "web/1": {"status": "active", "since": "2026-05-01 12:00:00Z"},
            "web/2": {"status": "dying"},
        },
    }
    assert (await printed(world.context(), "goal-state")).startswith("relations: {}\nunits:\n  web/0:\n")


async def test_goal_state_has_no_smart_format(world: UnitWorld) -> None:
    assert await failure(world.context(), "goal-state", "--format", "smart") == (
        2,
        'ERROR invalid value "smart" for option --format: unknown format "smart"\n',
    )


async def test_goal_state_shows_related_units_by_the_own_endpoint(world: UnitWorld) -> None:
    ends = (
        Endpoint(application="web", name="db", role="requirer", interface="sql"),
        Endpoint(application="db", name="sql", role="provider", interface="sql"),
    )
    await world.put(LAYOUT.application_info("db"), Application(charm="1", charm_name="db", ttl_s=60, guarantee_s=30.0))
    await world.put(LAYOUT.unit_info(UnitName("db", 0)), Unit(machine="m0"))
    await world.put(LAYOUT.unit_info(UnitName("db", 1)), Unit(machine="m0"))
    await world.put(LAYOUT.unit_bag(7, UnitName("db", 0)), Databag())
    await world.put(LAYOUT.relation_info(7), Relation(endpoints=ends))
    found = json.loads(await printed(world.context(), "goal-state", "--format=json"))
    assert found["relations"] == {"db": {"db": {"status": "joined"}, "db/0": {"status": "waiting"}}}
