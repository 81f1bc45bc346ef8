"""config-get, unit-get, juju-log, and what all tools share, to the letter."""

from __future__ import annotations

import pytest

from tenure.agent.hook import Hook
from tenure.agent.tools import TOOLS
from tenure.model.records import Machine
from tenure.store.api import Delete
from tests.agent.tools.unit_world import LAYOUT, UnitWorld, failure, printed

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


@pytest.mark.parametrize("kind", ["private-address", "public-address"])
async def test_unit_get_prints_the_machines_address(world: UnitWorld, kind: str) -> None:
    assert await printed(world.context(), "unit-get", kind) == "10.0.0.1\n"
    assert await printed(world.context(), "unit-get", "--format=json", kind) == '"10.0.0.1"\n'


async def test_unit_get_says_what_it_does_not_know(world: UnitWorld) -> None:
    assert await failure(world.context(), "unit-get") == (2, "ERROR no setting specified\n")
    assert await failure(world.context(), "unit-get", "x") == (2, 'ERROR unknown setting "x"\n')
    bare = Machine(host="h", boot_id="b", identity="i", pid=1, socket="s", state_dir="d", started="t")
    await world.put(LAYOUT.machine("m0"), bare)
    assert await failure(world.context(), "unit-get", "public-address") == (1, "ERROR public address not found\n")
    await world.store.commit([], [Delete(LAYOUT.machine("m0"))])
    await world.mirror.wait_until(lambda snapshot: snapshot.get(LAYOUT.machine("m0")) is None)
    assert await failure(world.context(), "unit-get", "private-address") == (1, "ERROR private address not found\n")


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
    from tests.agent.tools.unit_world import run

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
