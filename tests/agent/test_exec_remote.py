"""Commands for units whose agents can only be reached through the store: real agents, which may die, and askers who may, too."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure.store import open_store
from tenure.store.api import Item
from tests.agent.test_exec import JOINS, Done, start
from tests.agent.world import World, alive
from tests.waiting import until

pytestmark = pytest.mark.slow

DIED = "error: web/1: unknown: the agent died while it ran\n"
LOST = "error: web/1: the agent of m1 is lost: the outcome is unknown\n"
SLOW = 'if [ "$(config-get color)" = slow ]; then until [ -e go ]; do sleep 0.05; done; fi'


def deployed(world: World, lease: str = "15s", **hooks: str) -> Path:
    """web/0 on m0 and web/1 on m1, idle, one of them leads; the charm's folder of web/1."""
    world.start("m0")
    world.start("m1")
    world.tenure("deploy", world.charm(**{**JOINS, **hooks}), "-n", "2", "--to", "m0,m1", "--lease", lease)
    for machine in ("m0", "m1"):
        world.event(machine, event="hook-ended", hook="peers-relation-joined")
    world.tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "60s")
    return world.folder / "m1" / "agents" / "unit-web-1" / "charm"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two machines for what leaves them as they were."""
    world = World(tmp_path_factory.mktemp("two"))
    try:
        deployed(world, config_changed=SLOW)
        yield world
    finally:
        world.close()


def ask(world: World, *words: str) -> subprocess.Popen[str]:
    return start(world, "--through", "store", *words)


def run(world: World, *words: str) -> Done:
    return Done(ask(world, *words))


def tenure(world: World, *words: str) -> Done:
    return Done(
        subprocess.Popen(
            [sys.executable, "-m", "tenure", *words], env=world.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
    )  # fmt: skip


def vouched(world: World, unit: str, span: str) -> dict[str, Any]:
    """A yes; asked again where a busy host has made it come too late."""

    def ask_once() -> dict[str, Any] | None:
        done = tenure(world, "is-leader", unit, "--through", "store", "--for", span, "--format", "json")
        found: dict[str, Any] = json.loads(done.out)
        assert (done.code, found["verdict"]) in ((0, "yes"), (3, "unknown"))
        return None if done.code else found

    answer = until(ask_once, within_s=30)
    assert answer is not None
    return answer


def explained(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.tenure("explain", "web", "--through", "store", "--format", "json"))[
        "units"
    ]
    return found


async def in_the_store(world: World, prefix: str) -> list[Item]:
    store = await open_store(world.url)
    try:
        return list((await store.read(prefix)).items.values())
    finally:
        await store.close()


async def requests(world: World) -> list[Item]:
    return [item for item in await in_the_store(world, "/tenure/") if "/requests/" in item.key]


def test_they_have_a_hooks_context_and_their_own_exit_code(shared: World) -> None:
    done = run(shared, "--unit", "web/1", "--", "echo $JUJU_UNIT_NAME; is-leader; echo err >&2; exit 7")
    assert (done.out.splitlines()[0], done.err, done.code) == ("web/1", "err\n", 7)
    assert done.out.splitlines()[1] in ("True", "False")


async def test_nothing_of_it_stays_in_the_store(shared: World) -> None:
    run(shared, "--all", "--", "echo this")
    assert await in_the_store(shared, "/tenure.tasks/") == []
    assert await requests(shared) == []


def test_several_units_as_json_are_as_by_their_sockets(shared: World) -> None:
    words = ("--all", "--parallel", "--format", "json", "--", "echo out; echo err >&2; exit 3")
    found, local = run(shared, *words), Done(start(shared, *words))
    assert (found.code, local.code) == (3, 3)
    assert {unit: task["results"] for unit, task in json.loads(found.out).items()} == {
        unit: task["results"] for unit, task in json.loads(local.out).items()
    }


def test_output_comes_as_it_is_written(shared: World, tmp_path: Path) -> None:
    process = ask(
        shared, "--unit", "web/1", "--", f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo last"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    (tmp_path / "go").touch()
    assert process.communicate(timeout=20)[0] == "last\n"


def test_much_output_arrives_whole(shared: World) -> None:
    done = run(shared, "--unit", "web/1", "--", "seq 200000; seq 3 >&2")
    assert done.out == "".join(f"{number}\n" for number in range(1, 200001))
    assert done.err == "1\n2\n3\n"


def test_a_daemon_that_they_leave_holds_nobody_up(shared: World) -> None:
    done = run(shared, "--unit", "web/1", "--", "sleep 300 & echo $!")
    subprocess.run(["kill", "-9", done.out.strip()], check=True)


def test_they_wait_for_the_hook_that_runs_and_no_longer_than_they_may(shared: World, tmp_path: Path) -> None:
    charm = shared.folder / "m1" / "agents" / "unit-web-1" / "charm"
    before = len(shared.events("m1", event="hook-started", hook="config-changed"))
    shared.tenure("config", "web", "color=slow")
    shared.event("m1", event="hook-started", hook="config-changed", number=before + 1)
    late = run(shared, "--unit", "web/1", "--timeout", "0.3s", "--", f"touch {tmp_path}/never")
    assert (late.code, (tmp_path / "never").exists()) == (124, False)
    # What never waits behind a hook, through the store neither.
    until(lambda: tenure(shared, "is-leader", "web/1", "--through", "store").code in (0, 1), within_s=30)
    shared.tenure("config", "web", "color=blue")
    for unit in ("web/0", "web/1"):
        (charm.parents[3] / f"m{unit[-1]}" / "agents" / f"unit-web-{unit[-1]}" / "charm" / "go").touch()
    shared.tenure("wait", "web", "--for", "idle", "--timeout", "20s")


def test_is_leader_is_answered_through_the_store_with_what_is_left_of_it(shared: World) -> None:
    leader = shared.tenure("leader", "web").strip()
    answer = vouched(shared, leader, "1s")
    assert answer["owed_s"] >= 1
    owed = json.loads(shared.tenure("explain", "web", "--format", "json"))["units"][leader]["candidacy"]["owed_s"]
    assert owed > 0, "a late yes is a debt, too"
    until(lambda: explained(shared).get(leader, {}).get("candidacy", {}).get("state") == "holding", within_s=30)
    other = "web/1" if leader == "web/0" else "web/0"
    assert tenure(shared, "is-leader", other, "--through", "store").code == 1
    assert tenure(shared, "is-leader", leader, "--through", "store", "--for", "14.999s").code == 2


async def test_where_the_socket_is_not_to_be_seen_the_store_is_the_way(shared: World) -> None:
    socket = Path(json.loads((await in_the_store(shared, "/tenure/default/machines/m1"))[0].value)["socket"])
    hidden = socket.with_name("hidden")
    socket.rename(hidden)
    try:
        done = Done(start(shared, "--unit", "web/1", "--", "echo all the same"))
        told = Done(start(shared, "--through", "socket", "--unit", "web/1", "--", "true"))
    finally:
        hidden.rename(socket)
    assert (done.code, done.out) == (0, "all the same\n")
    assert (told.code, "out of its socket's reach: nothing was run" in told.err) == (125, True)


def test_a_command_begun_when_its_agent_dies_is_never_run_again(world: World) -> None:
    charm = deployed(world)
    count = world.folder / "count"
    process = ask(world, "--unit", "web/1", "--", f"echo run >>{count}; echo $$ >pid; exec sleep 300")
    pid = int(until(lambda: (charm / "pid").exists() and (charm / "pid").read_text().strip(), within_s=20))
    world.kill("m1")
    world.start("m1")
    done = Done(process)
    assert done.code == 125
    # The new agent says it, unless that took longer than the dead one's machine was taken to live.
    assert done.err in (DIED, LOST)
    until(lambda: not alive(pid), within_s=20)
    assert run(world, "--unit", "web/1", "--", "echo next").out == "next\n"
    assert count.read_text() == "run\n"
    # One whose agent stays away, too; and what nobody can run is said at once.
    process = ask(world, "--unit", "web/1", "--", f"echo run >>{count}; echo $$ >pid2; exec sleep 300")
    pid = int(until(lambda: (charm / "pid2").exists() and (charm / "pid2").read_text().strip(), within_s=20))
    world.kill("m1")
    done = Done(process)
    assert (done.code, done.err) == (125, LOST)
    subprocess.run(["kill", "-9", str(pid)], check=True)
    done = run(world, "--unit", "web/1", "--", "true")
    assert (done.code, done.err) == (125, "error: web/1: the agent of m1 is lost: nothing was run\n")
    assert tenure(world, "is-leader", "web/1", "--through", "store").code in (1, 3)


async def test_a_command_that_waits_when_its_agent_dies_is_run_by_the_next_one(world: World) -> None:
    charm = deployed(world, config_changed=SLOW)
    world.tenure("config", "web", "color=slow")
    world.event("m1", event="hook-started", hook="config-changed", number=2)
    process = ask(world, "--unit", "web/1", "--", f"echo run >>{world.folder}/count; echo ran")
    while not await requests(world):
        assert process.poll() is None
    world.kill("m1")
    (charm / "go").touch()
    (world.folder / "m0" / "agents" / "unit-web-0" / "charm" / "go").touch()
    world.start("m1")
    done = Done(process)
    if done.code:  # the new agent was too late
        assert done.err == "error: web/1: the agent of m1 is lost: nothing was run\n"
        assert not (world.folder / "count").exists()
    else:
        assert done.out == "ran\n"
        assert (world.folder / "count").read_text() == "run\n"


def test_ctrl_c_ends_them_at_once(world: World) -> None:
    charm = deployed(world)
    process = ask(world, "--unit", "web/1", "--", "echo $$ >pid; exec sleep 300")
    pid = int(until(lambda: (charm / "pid").exists() and (charm / "pid").read_text().strip(), within_s=20))
    process.send_signal(signal.SIGINT)
    assert Done(process).code == 130
    until(lambda: not alive(pid), within_s=10)
    # A unit that is gone meanwhile, and an agent that ends, answer for what they ran.
    process = ask(world, "--unit", "web/1", "--", "echo $$ >pid2; exec sleep 300")
    until(lambda: (charm / "pid2").exists() and (charm / "pid2").read_text().strip(), within_s=20)
    assert world.end("m1") == 0
    done = Done(process)
    assert (done.code, done.err) == (125, "error: web/1: the commands were ended: the agent or the unit ends\n")


def test_they_run_in_error_and_a_unit_that_is_dying_says_so(world: World) -> None:
    world.start("m0")
    world.tenure(
        "deploy", world.charm(start="exit 1", stop=f"until [ -e {world.folder}/go ]; do sleep 0.05; done"), "--to", "m0"
    )
    until(lambda: world.unit("web/0")["workload-status"]["current"] == "error", within_s=20)
    assert run(world, "--unit", "web/0", "--", "echo still").out == "still\n"
    assert run(world, "--unit", "web/0", "--", "exec /no/such/command").code == 127
    assert run(world, "--unit", "web/0", "--", "/etc/passwd").code == 126
    process = ask(world, "--unit", "web/0", "--", "echo $$ >pid; exec sleep 300")
    until((world.folder / "m0" / "agents" / "unit-web-0" / "charm" / "pid").exists, within_s=20)
    world.tenure("remove-unit", "web/0", "--force", "--timeout", "30s")
    done = Done(process)
    assert done.code == 125
    assert done.err in (
        "error: web/0: the commands were ended: the agent or the unit ends\n",
        "error: web/0: web/0 is gone: the outcome is unknown\n",
    )
