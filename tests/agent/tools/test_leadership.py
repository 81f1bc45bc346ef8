"""is-leader, leader-get, leader-set, to the letter."""

from __future__ import annotations

import pytest

from tenure.agent.tools.base import Caller
from tenure.agent.tools.leadership import TOOLS
from tenure.defaults import VALUE_MAX
from tests.agent.tools.unit_world import UnitWorld, failure, printed, run

NOT_LEADER = (1, "ERROR cannot write leadership settings: cannot write settings: not the leader\n")


@pytest.mark.parametrize(
    ("arguments", "yes", "no"),
    [
        ([], "True\n", "False\n"),
        (["--format=smart"], "True\n", "False\n"),
        (["--format", "json"], "true\n", "false\n"),
        (["--format", "yaml"], "true\n", "false\n"),
    ],
)
async def test_is_leader_says_true_and_false_in_each_format(
    world: UnitWorld, arguments: list[str], yes: str, no: str
) -> None:
    assert await printed(world.context(), "is-leader", *arguments) == no
    await world.elect()
    assert await printed(world.context(), "is-leader", *arguments) == yes


async def test_a_true_may_be_printed_for_a_time_only_and_a_false_always(world: UnitWorld) -> None:
    assert (await run(world.context(), "is-leader")).print_until is None
    await world.elect()
    assert (await run(world.context(), "is-leader")).print_until is not None


async def test_is_leader_is_false_where_it_cannot_be_vouched_for_and_never_an_error(world: UnitWorld) -> None:
    await world.elect()
    world.leadership.verdict = "unknown"
    assert await printed(world.context(), "is-leader") == "False\n"


async def test_a_true_that_came_too_late_is_the_last_one(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    tool = next(tool for tool in TOOLS if tool.name == "is-leader")
    assert (await tool.call(context, [], Caller(too_late=True))).stdout == b"False\n"
    assert await printed(context, "is-leader") == "False\n"


async def test_is_leader_takes_no_arguments(world: UnitWorld) -> None:
    assert await failure(world.context(), "is-leader", "a", "b c") == (2, 'ERROR unrecognized args: ["a" "b c"]\n')


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], 'a: one\nb: "2"\n'),
        (["-"], 'a: one\nb: "2"\n'),
        (["--format=json"], '{"a":"one","b":"2"}\n'),
        (["-", "--format=json"], '{"a":"one","b":"2"}\n'),
        (["a"], "one\n"),
        (["a", "--format=json"], '"one"\n'),
        (["missing"], ""),
        (["missing", "--format=json"], "null\n"),
        (["missing", "--format=yaml"], ""),
    ],
)
async def test_leader_get_prints_all_or_one(world: UnitWorld, arguments: list[str], expected: str) -> None:
    await world.elect()
    await printed(world.context(), "leader-set", "a=one", "b=2")
    world.leadership.term = None
    await world.mirror.wait_until(lambda snapshot: snapshot.get("/tenure/tests/apps/web/settings") is not None)
    assert await printed(world.context(), "leader-get", *arguments) == expected


async def test_leader_get_of_settings_that_were_never_written(world: UnitWorld) -> None:
    assert await printed(world.context(), "leader-get") == "{}\n"
    assert await printed(world.context(), "leader-get", "--format=json") == "{}\n"
    assert await printed(world.context(), "leader-get", "a") == ""


async def test_leader_get_refuses_a_pair_and_a_second_key(world: UnitWorld) -> None:
    assert await failure(world.context(), "leader-get", "a=b") == (2, 'ERROR invalid key "a=b"\n')
    assert await failure(world.context(), "leader-get", "a", "b") == (2, 'ERROR unrecognized args: ["b"]\n')


async def test_leader_set_is_in_the_store_when_it_returns(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    assert await printed(context, "leader-set", "a=1", "b= x=y ", "c=") == ""
    assert await world.settings() == {"a": "1", "b": " x=y "}
    assert await printed(context, "leader-set", "a=") == ""
    assert await world.settings() == {"b": " x=y "}


async def test_a_leader_sees_what_it_has_just_set(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    assert await printed(context, "leader-get", "a") == ""
    await printed(context, "leader-set", "a=1")
    assert await printed(context, "leader-get", "a") == "1\n"


@pytest.mark.parametrize("arguments", [["a=1"], []])
async def test_a_minion_may_not_set_anything_not_even_nothing(world: UnitWorld, arguments: list[str]) -> None:
    assert await failure(world.context(), "leader-set", *arguments) == NOT_LEADER
    assert await world.settings() == {}


async def test_a_leader_may_set_nothing(world: UnitWorld) -> None:
    await world.elect()
    assert await printed(world.context(), "leader-set") == ""


async def test_a_deposed_leaders_write_never_lands_and_no_more_is_said_to_it(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    assert await printed(context, "is-leader") == "True\n"
    term = world.leadership.term
    await world.depose()
    world.leadership.term = term  # the unit hasn't noticed
    code, said = await failure(context, "leader-set", "a=1")
    assert code == 1
    assert said.startswith("ERROR cannot write leadership settings: cannot write settings: not the leader")
    assert await world.settings() == {}
    assert await printed(context, "is-leader") == "False\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], 'expected "key=value", got "x"'),
        (["=x"], 'expected "key=value", got "=x"'),
        (["a=1", "a=1"], 'key "a" specified more than once'),
        (["--format=json", "a=1"], "option provided but not defined: --format"),
    ],
)
async def test_leader_set_refuses_bad_arguments(world: UnitWorld, arguments: list[str], message: str) -> None:
    await world.elect()
    assert await failure(world.context(), "leader-set", *arguments) == (2, f"ERROR {message}\n")
    assert await world.settings() == {}


async def test_arguments_win_over_the_file(world: UnitWorld) -> None:
    await world.elect()
    files = {"-": b"a: from the file\nb: 1.0\n"}
    assert await printed(world.context(), "leader-set", "--file", "-", "a=argument", files=files) == ""
    assert await world.settings() == {"a": "argument", "b": "1.0"}


async def test_settings_that_no_key_can_hold_are_refused_whole(world: UnitWorld) -> None:
    await world.elect()
    files = {"f": b"a: " + b"x" * VALUE_MAX}
    code, said = await failure(world.context(), "leader-set", "--file", "f", "b=1", files=files)
    assert code == 1
    assert said.startswith("ERROR cannot write leadership settings: cannot write settings: a value of ")
    assert await world.settings() == {}
