"""`tenure rolling` with real agents: one unit after another, and not one more after the first failure."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.test_exec import JOINS, Done
from tests.agent.world import World, alive
from tests.waiting import until

pytestmark = pytest.mark.slow

ON = "m0,m0,m1"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Three idle units on two machines; a command of theirs that runs beside another's leaves a mark."""
    world = World(tmp_path)
    world.start("m0")
    world.start("m1")
    world.tenure("deploy", world.charm(**JOINS), "-n", "3", "--to", ON, "--lease", "6s")
    for machine, unit in (("m0", "web/0"), ("m0", "web/1"), ("m1", "web/2")):
        world.event(machine, event="hook-ended", hook="peers-relation-joined", unit=unit, number=2)
    world.tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "20s")
    yield world
    world.close()


def start(world: World, *words: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", "tenure", "rolling", "web", *words],
        env=world.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def rolling(world: World, *words: str) -> Done:
    return Done(start(world, *words))


def order(done: Done, what: str = "done") -> list[str]:
    return re.findall(rf"^(web/\d): {what}", done.err, re.MULTILINE)


def alone(world: World) -> str:
    """A command that fails when another one of its kind runs."""
    return f"mkdir {world.folder}/at-it && sleep 0.1 && rmdir {world.folder}/at-it"


def test_one_after_another_the_leader_last(world: World) -> None:
    leader = world.tenure("leader", "web").strip()
    done = rolling(world, "--", alone(world))
    assert done.code == 0, done.err
    assert order(done) == [*sorted({"web/0", "web/1", "web/2"} - {leader}), leader]
    assert "(3 of 3)" in done.err


def test_at_the_first_failure_no_other_begins_and_the_hint_goes_on_from_there(world: World) -> None:
    leader = world.tenure("leader", "web").strip()
    first, second = sorted({"web/0", "web/1", "web/2"} - {leader})
    command = f"[ $JUJU_UNIT_NAME != {second} ] || [ -e {world.folder}/mended ] || exit 7"
    done = rolling(world, "--", command)
    assert done.code == 7
    assert f"stopped at {second}; done: {first}; not done: {second}, {leader}" in done.err
    assert leader not in order(done, "begins")
    hint = re.search(r"to go on, when it is mended: tenure rolling web (.*)", done.err)
    assert hint is not None
    (world.folder / "mended").touch()
    again = rolling(world, *shlex.split(hint[1]))
    assert (again.code, order(again)) == (0, [second, leader])
    assert rolling(world, "--continue").code == 1, "it is done everywhere"


def test_the_next_begins_when_the_check_has_said_yes(world: World) -> None:
    check = f"[ -e {world.folder}/healthy-${{JUJU_UNIT_NAME#*/}} ]"
    process = start(
        world, "--check", check, "--check-timeout", "30s", "--", f"touch {world.folder}/ran-${{JUJU_UNIT_NAME#*/}}"
    )
    for number in range(3):
        ran = until(lambda number=number: sorted(world.folder.glob("ran-*"))[number:], within_s=20)  # type: ignore[misc]
        assert len(ran) == 1
        begun = {path.name[-1] for path in world.folder.glob("ran-*")}
        for one in begun:
            (world.folder / f"healthy-{one}").touch()
    assert Done(process).code == 0


def test_a_unit_that_does_not_become_healthy_stops_it(world: World) -> None:
    done = rolling(world, "--check", "echo not yet >&2; false", "--check-timeout", "1.5s", "--", "true")
    assert done.code == 124
    assert "not healthy within 1.5 s: not yet" in done.err
    assert len(order(done, "begins")) == 1


def test_several_at_once(world: World) -> None:
    done = rolling(world, "--at-once", "2", "--format", "json", "--", "true")
    assert done.code == 0
    assert '"failed": {}, "not-done": []' in done.out


def test_a_change_of_leader_meanwhile_does_not_matter(world: World) -> None:
    leader = world.tenure("leader", "web").strip()
    first = min({"web/0", "web/1", "web/2"} - {leader})
    process = start(world, "--", f"touch {world.folder}/begun; until [ -e {world.folder}/go ]; do sleep 0.05; done")
    until((world.folder / "begun").exists, within_s=20)
    world.tenure("transfer", first)
    (world.folder / "go").touch()
    done = Done(process)
    assert (done.code, sorted(order(done))) == (0, ["web/0", "web/1", "web/2"])


def test_a_unit_that_is_gone_meanwhile_does_not_stop_it(world: World) -> None:
    process = start(world, "--", f"touch {world.folder}/begun; until [ -e {world.folder}/go ]; do sleep 0.05; done")
    until((world.folder / "begun").exists, within_s=20)
    world.tenure("remove-unit", "web/2", "--wait", "--timeout", "30s")
    (world.folder / "go").touch()
    done = Done(process)
    assert (done.code, sorted(order(done))) == (0, ["web/0", "web/1"])
    assert "web/2: is gone meanwhile" in done.err


def test_a_lost_agent_stops_it(world: World) -> None:
    world.kill("m1")
    done = rolling(world, "--only", "web/2", "--timeout", "5s", "--", "true")
    assert done.code == 125


def test_one_that_was_killed_is_taken_up_again_and_no_two_are_carried_out_at_once(world: World) -> None:
    """Through the store, as for units of other hosts: what a dead command has begun ends when its lease does."""
    leader = world.tenure("leader", "web").strip()
    first, second = sorted({"web/0", "web/1", "web/2"} - {leader})
    hold = f"until [ -e {world.folder}/go ]; do sleep 0.05; done"
    command = f"echo $JUJU_UNIT_NAME >>{world.folder}/ran; [ $JUJU_UNIT_NAME != {second} ] || {{ echo $$ >{world.folder}/pid; {hold}; }}"
    process = start(world, "--through", "store", "--", command)
    pid = int(
        until(lambda: (world.folder / "pid").exists() and (world.folder / "pid").read_text().strip(), within_s=20)
    )
    refused = rolling(world, "--", "true")
    assert (refused.code, "is being carried out by process" in refused.err) == (1, True)
    assert "1 done, 2 left" in refused.err
    process.kill()
    process.communicate()
    until(lambda: not alive(pid), within_s=30, what="the end of a command whose asker is dead")
    (world.folder / "go").touch()
    done = until(lambda: taken_up(world), within_s=30)
    assert done is not None
    assert (done.code, order(done)) == (0, [second, leader])
    assert f"{second} had begun, and is the first" in done.err
    assert (world.folder / "ran").read_text().split() == [first, second, second, leader]


def taken_up(world: World) -> Done | None:
    """The operation, continued, once the dead command's lease is over."""
    done = rolling(world, "--through", "store", "--continue")
    return None if "is being carried out" in done.err else done


def test_what_had_stopped_is_given_up_by_a_new_one_and_what_it_had_begun_comes_first(world: World) -> None:
    leader = world.tenure("leader", "web").strip()
    first, second = sorted({"web/0", "web/1", "web/2"} - {leader})
    assert rolling(world, "--", f"[ $JUJU_UNIT_NAME = {first} ]").code == 1
    done = rolling(world, "--", "true")
    assert (done.code, order(done)) == (0, [second, first, leader])
    assert f"given up is what had stopped: [ $JUJU_UNIT_NAME = {first} ]; not done: {second}, {leader}" in done.err
    assert rolling(world, "--continue").code == 1
    assert rolling(world, "--continue", "--", "true").code == 2


def test_wrong_usage_is_refused_before_anything_runs(world: World) -> None:
    assert rolling(world, "--only", "web/9", "--", "true").code == 2
    assert rolling(world, "--").code == 2


def test_ctrl_c_ends_the_command_and_says_how_to_go_on(world: World) -> None:
    process = start(world, "--", f"touch {world.folder}/begun; exec sleep 300")
    until((world.folder / "begun").exists, within_s=20)
    process.send_signal(signal.SIGINT)
    done = Done(process)
    assert done.code == 130
    assert "to go on" in done.err
