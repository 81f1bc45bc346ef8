"""state-get, state-set, state-delete: to the letter, and that what they keep lands with the hook or not at all."""

from __future__ import annotations

import pytest

from tenure.errors import No
from tenure.model.records import State
from tests.agent.tools.unit_world import LAYOUT, UNIT, UnitWorld, failure, printed

KEY = LAYOUT.unit_state(UNIT)


async def kept(world: UnitWorld) -> dict[str, str]:
    found = await world.stored(KEY, State)
    return dict(found.values) if found else {}


async def test_what_a_hook_sets_is_seen_by_itself_at_once_and_by_the_next_hook_once_it_has_succeeded(
    world: UnitWorld,
) -> None:
    first, beside = world.context(), world.context()
    await printed(first, "state-set", "a=1", "b=two words")
    assert await printed(first, "state-get", "a") == "1\n"
    assert await printed(first, "state-get", "--format=json") == '{"a":"1","b":"two words"}\n'
    assert await printed(beside, "state-get", "--format=json") == "{}\n"
    assert await kept(world) == {}
    first.close()
    await first.flush()
    await world.mirror.wait_until(lambda snapshot: snapshot.revision >= first.wrote_at)
    assert await kept(world) == {"a": "1", "b": "two words"}
    second = world.context()
    assert await printed(second, "state-get", "-") == 'a: "1"\nb: two words\n'
    await printed(second, "state-delete", "a")
    await printed(second, "state-delete", "never-set")
    await printed(second, "state-delete")
    assert await printed(second, "state-get", "a") == ""
    await second.flush()
    assert await kept(world) == {"b": "two words"}


async def test_what_a_failed_hook_has_set_is_dropped(world: UnitWorld) -> None:
    context = world.context()
    await printed(context, "state-set", "a=1")
    context.close()
    assert await kept(world) == {}
    assert await failure(context, "state-set", "a=2") == (1, "ERROR the hook has ended\n")


async def test_a_file_is_taken_as_ops_sends_it(world: UnitWorld) -> None:
    context = world.context()
    sent = b"'#notices#': '[]'\nStoredStateData[_stored]: |\n  {event_count: 1}\n"
    await printed(context, "state-set", "--file", "-", files={"-": sent})
    assert await printed(context, "state-get", "StoredStateData[_stored]") == "{event_count: 1}\n\n"
    assert await printed(context, "state-get", "#notices#") == "[]\n"


@pytest.mark.parametrize(("arguments", "said"), [([], ""), (["--format=json"], '""\n')])
async def test_a_missing_key_is_nothing_unless_asked_for_strictly(
    world: UnitWorld, arguments: list[str], said: str
) -> None:
    context = world.context()
    assert await printed(context, "state-get", *arguments, "a") == said
    assert await failure(context, "state-get", *arguments, "--strict", "a") == (1, 'ERROR "a" not found\n')


async def test_what_is_too_long_is_refused_before_anything_is_kept(world: UnitWorld) -> None:
    context = world.context()
    code, said = await failure(context, "state-set", "a=1", f"{'k' * 257}=1")
    assert (code, said.endswith("is longer than 256 bytes\n")) == (1, True)
    code, said = await failure(context, "state-set", f"a={'v' * 65537}")
    assert (code, said) == (1, 'ERROR the value of "a" is longer than 65536 bytes\n')
    assert await printed(context, "state-get", "--format=json") == "{}\n"


async def test_state_lands_with_the_hooks_databags_or_not_at_all(world: UnitWorld) -> None:
    context = world.context()
    await printed(context, "state-set", "a=1")
    await printed(context, "relation-set", "-r", "0", "b=2")
    await world.remove(LAYOUT.unit_bag(0, UNIT))
    with pytest.raises(No):
        await context.flush()
    assert await kept(world) == {}
