"""relation-ids, relation-list, relation-get, relation-set, relation-model-get, to the letter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenure.agent.hook import Hook
from tenure.model.records import Databag, Endpoint, Relation, Unit
from tenure.names import UnitName
from tenure.store.api import Delete
from tests.agent.tools.unit_world import LAYOUT, PEERS, UNIT, UnitWorld, failure, printed, run

PEER = UnitName("web", 1)


def of_peers(kind: str, **more: str) -> Hook:
    return Hook(kind=kind, relation=PEERS, endpoint="peers", remote_application="web", **more)  # type: ignore[arg-type]


CREATED = of_peers("relation-created")
JOINED = of_peers("relation-joined", remote_unit="web/1")
CHANGED = of_peers("relation-changed", remote_unit="web/1")
APPLICATION_CHANGED = of_peers("relation-changed")
DEPARTED = of_peers("relation-departed", remote_unit="web/1", departing_unit="web/1")


async def related(world: UnitWorld, number: int = 7, life: str = "alive") -> None:
    """A relation `db:<number>` to the application db, of which db/0 and db/1 are in scope and db/2 isn't."""
    ends = (
        Endpoint(application="web", name="db", role="requirer", interface="sql"),
        Endpoint(application="db", name="sql", role="provider", interface="sql"),
    )
    await world.put(LAYOUT.unit_bag(number, UNIT), Databag())
    for unit in (0, 1):
        await world.put(LAYOUT.unit_bag(number, UnitName("db", unit)), Databag(values={"host": f"db{unit}"}))
    await world.put(LAYOUT.application_bag(number, "db"), Databag(values={"name": "shared"}))
    await world.put(LAYOUT.application_bag(number, "web"), Databag(values={"want": "all"}))
    await world.put(LAYOUT.relation_info(number), Relation(endpoints=ends, life=life))  # type: ignore[arg-type]


async def test_relation_ids_are_those_that_the_unit_has_been_told_of(world: UnitWorld) -> None:
    assert await printed(world.context(), "relation-ids", "peers") == "peers:0\n"
    assert await printed(world.context(), "relation-ids", "peers", "--format=json") == '["peers:0"]\n'
    assert await printed(world.context(told={}), "relation-ids", "peers") == ""
    assert await printed(world.context(told={}), "relation-ids", "peers", "--format=json") == "[]\n"
    assert await printed(world.context(CREATED, told={}), "relation-ids") == "peers:0\n"


async def test_relation_ids_sort_as_text(world: UnitWorld) -> None:
    await related(world, 2)
    await related(world, 10)
    context = world.context(told={2: ["db/0"], 10: ["db/0"], PEERS: []})
    assert await printed(context, "relation-ids", "db") == "db:10\ndb:2\n"


async def test_a_dying_relation_that_everybody_has_left_is_not_listed_and_is_readable(world: UnitWorld) -> None:
    await related(world, life="dying")
    assert await printed(world.context(told={7: ["db/0"]}), "relation-ids", "db") == "db:7\n"
    assert await printed(world.context(told={7: []}), "relation-ids", "db") == ""
    assert await printed(world.context(told={7: []}), "relation-get", "-r", "db:7", "host", "db/0") == "db0\n"


async def test_relation_ids_of_an_unknown_endpoint_and_without_one(world: UnitWorld) -> None:
    assert await printed(world.context(), "relation-ids", "unheard-of") == ""
    assert await printed(world.context(), "relation-ids", "unheard-of", "--format=json") == "[]\n"
    assert await failure(world.context(), "relation-ids") == (2, "ERROR no endpoint name specified\n")
    assert await failure(world.context(), "relation-ids", "a", "b") == (2, 'ERROR unrecognized args: ["b"]\n')


@pytest.mark.parametrize(
    ("hook", "told", "listed"),
    [
        (None, ["web/1", "web/2"], ["web/1", "web/2"]),
        (CREATED, [], []),
        (JOINED, [], ["web/1"]),
        (JOINED, ["web/2"], ["web/1", "web/2"]),
        (CHANGED, ["web/1"], ["web/1"]),
        (DEPARTED, ["web/1", "web/2"], ["web/2"]),
        (None, ["web/2", "web/10", "web/0"], ["web/10", "web/2"]),
    ],
)
async def test_relation_list_is_as_of_the_hook(
    world: UnitWorld, hook: Hook | None, told: list[str], listed: list[str]
) -> None:
    context = world.context(hook, told={PEERS: told})
    assert await printed(context, "relation-list", "-r", "peers:0") == "".join(f"{unit}\n" for unit in listed)


async def test_relation_list_of_the_application(world: UnitWorld) -> None:
    await related(world)
    assert await printed(world.context(told={7: []}), "relation-list", "--app", "-r7") == "db\n"
    assert await printed(world.context(), "relation-list", "--app", "-r", "0", "--format=json") == '"web"\n'


@pytest.mark.parametrize("tool", ["relation-list", "relation-get", "relation-set", "relation-model-get"])
async def test_outside_of_a_relations_hook_a_relation_must_be_named(world: UnitWorld, tool: str) -> None:
    assert await failure(world.context(), tool) == (2, "ERROR no relation id specified\n")
    assert await failure(world.context(), tool, "-r", "99") == (
        2,
        'ERROR invalid value "99" for option -r: relation not found\n',
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "host: db0\n"),
        (["-"], "host: db0\n"),
        (["host"], "db0\n"),
        (["--format=json"], '{"host":"db0"}\n'),
        (["--format=json", "-", "db/1"], '{"host":"db1"}\n'),
        (["missing"], ""),
        (["missing", "--format=json"], "null\n"),
        (["--app"], "name: shared\n"),
        (["--app", "name", "db"], "shared\n"),
        (["--app", "name", "db/0"], "shared\n"),
        (["-", "web/0", "--format=json"], "{}\n"),
    ],
)
async def test_relation_get_reads_the_remote_unit_or_whom_it_names(
    world: UnitWorld, arguments: list[str], expected: str
) -> None:
    await related(world)
    hook = Hook(kind="relation-changed", relation=7, endpoint="db", remote_unit="db/0", remote_application="db")
    assert await printed(world.context(hook), "relation-get", *arguments) == expected


async def test_the_hooks_remote_unit_is_meant_on_whatever_relation(world: UnitWorld) -> None:
    await related(world)
    hook = Hook(kind="relation-changed", relation=7, endpoint="db", remote_unit="db/0", remote_application="db")
    assert await failure(world.context(hook), "relation-get", "-r", "0") == (1, "ERROR permission denied\n")


async def test_without_a_remote_unit_the_remote_application_is_meant(world: UnitWorld) -> None:
    await related(world)
    hook = Hook(kind="relation-created", relation=7, endpoint="db", remote_application="db")
    assert await printed(world.context(hook), "relation-get", "name") == "shared\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-r", "7"], 2, "no unit or application specified"),
        (["-r", "7", "-", "db"], 2, 'expected unit name, got application name "db"'),
        (["-r", "7", "-", "db/x"], 2, 'invalid unit name "db/x"'),
        (["-r", "7", "-", "other/0"], 1, "permission denied"),
        (["-r", "7", "--app", "-", "other"], 1, "permission denied"),
        (["-r", "7", "--app", "-", "web"], 1, "permission denied"),
        (["-r", "7", "-", "web/1"], 1, "permission denied"),
        (
            ["-r", "7", "-", "db/2"],
            1,
            'cannot read settings for unit "db/2" in relation "db:7": unit "db/2": settings not found',
        ),
        (["-r", "7", "a", "db/0", "c"], 2, 'unrecognized args: ["c"]'),
    ],
)
async def test_relation_get_says_what_it_may_not_read(
    world: UnitWorld, arguments: list[str], code: int, message: str
) -> None:
    await related(world)
    assert await failure(world.context(told={7: ["db/0"]}), "relation-get", *arguments) == (code, f"ERROR {message}\n")


async def test_the_leader_alone_reads_its_applications_bag_but_on_a_peer_relation(world: UnitWorld) -> None:
    await related(world)
    await world.put(LAYOUT.application_bag(PEERS, "web"), Databag(values={"goal": "x"}))
    minion = world.context(told={7: [], PEERS: []})
    assert await printed(minion, "relation-get", "-r", "0", "--app", "goal", "web") == "x\n"
    await world.elect()
    leader = world.context(told={7: [], PEERS: []})
    assert await printed(leader, "relation-get", "-r", "7", "--app", "want", "web") == "all\n"


async def test_a_remote_bag_is_what_it_was_when_the_hook_began(world: UnitWorld) -> None:
    context = world.context(CHANGED)
    await world.put(LAYOUT.unit_bag(PEERS, PEER), Databag(values={"late": "yes"}))
    assert await printed(context, "relation-get", "late") == ""
    assert await printed(world.context(CHANGED), "relation-get", "late") == "yes\n"


async def test_a_unit_that_has_left_stays_readable(world: UnitWorld) -> None:
    await world.store.commit([], [Delete(LAYOUT.unit_bag(PEERS, PEER))])
    await world.mirror.wait_until(lambda snapshot: snapshot.get(LAYOUT.unit_bag(PEERS, PEER)) is None)
    assert await printed(world.context(DEPARTED), "relation-get", "--format=json") == "{}\n", "no error, if forgotten"
    assert (await failure(world.context(), "relation-get", "-r", "0", "-", "web/1"))[0] == 1
    world.place = replace(world.place, last_bag=lambda relation, unit: {"said": f"{unit} on {relation}"})
    for hook in (DEPARTED, None):
        assert await printed(world.context(hook), "relation-get", "-r", "0", "said", "web/1") == "web/1 on 0\n"


async def test_what_a_hook_has_set_it_sees_and_nobody_else_until_the_flush(world: UnitWorld) -> None:
    context = world.context(CHANGED)
    assert await printed(context, "relation-set", "a=1", "ingress-address=") == ""
    assert await printed(context, "relation-get", "--format=json", "-", "web/0") == '{"a":"1"}\n'
    assert (await world.stored(LAYOUT.unit_bag(PEERS, UNIT), Databag)).values == {"ingress-address": "10.0.0.1"}
    await context.flush()
    assert (await world.stored(LAYOUT.unit_bag(PEERS, UNIT), Databag)).values == {"a": "1"}


async def test_the_leader_sees_what_it_has_set_for_its_application(world: UnitWorld) -> None:
    await world.elect()
    context = world.context(APPLICATION_CHANGED)
    assert await printed(context, "relation-set", "--app", "goal=x") == ""
    assert await printed(context, "relation-get", "goal") == "x\n"
    assert await printed(context, "relation-set", "--app", "goal=") == ""
    assert await printed(context, "relation-get", "goal") == ""


async def test_a_minion_may_not_set_its_applications_bag(world: UnitWorld) -> None:
    context = world.context(CHANGED)
    assert await failure(context, "relation-set", "--app", "a=1") == (1, "ERROR cannot write relation settings\n")


async def test_relation_set_takes_a_file_and_reads_it_at_the_call(world: UnitWorld) -> None:
    context = world.context(CHANGED)
    files = {"f": b"a: true\nb: 010\nc: null\n"}
    assert await printed(context, "relation-set", "-r", "peers:0", "--file", "f", "b=won", files=files) == ""
    assert {"a": "true", "b": "won"}.items() <= context.own_bag(PEERS).items()
    assert "c" not in context.own_bag(PEERS)
    assert await failure(context, "relation-set", "--file", "f", files={"f": b"a: [1]"}) == (
        1,
        'ERROR f: the value of "a" is not a scalar\n',
    )


async def test_relation_set_of_nothing_is_done(world: UnitWorld) -> None:
    assert await printed(world.context(CHANGED), "relation-set") == ""


async def test_a_format_for_relation_set_is_ignored_with_a_warning(world: UnitWorld) -> None:
    result = await run(world.context(CHANGED), "relation-set", "--format", "json", "a=1")
    assert (result.code, result.stdout) == (0, b"")
    assert result.stderr == b'--format flag deprecated for command "relation-set"\n'


async def test_the_model_of_a_related_application_is_this_one(world: UnitWorld) -> None:
    assert await printed(world.context(CHANGED), "relation-model-get") == "uuid: a1b2\n"
    assert await printed(world.context(CHANGED), "relation-model-get", "--format=json") == '{"uuid":"a1b2"}\n'


async def test_a_relation_that_does_not_concern_the_application_is_not_found(world: UnitWorld) -> None:
    ends = (Endpoint(application="other", name="peers", role="peer", interface="x"),)
    await world.put(LAYOUT.relation_info(8), Relation(endpoints=ends))
    assert await failure(world.context(), "relation-list", "-r", "8") == (
        2,
        'ERROR invalid value "8" for option -r: relation not found\n',
    )


async def test_a_unit_that_has_no_record_any_more_does_not_break_relation_get(world: UnitWorld) -> None:
    await world.put(LAYOUT.unit_info(PEER), Unit(life="dying"))
    assert "ingress-address" in await printed(world.context(CHANGED), "relation-get")
