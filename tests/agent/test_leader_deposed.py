"""leader-deposed: each term that began ends with it, in time, whatever becomes of the agent, of a hook, of the guard (promise 4)."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.agent.world import World, alive
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_S = 4.0

# Each run leaves a line: when it began on CLOCK_BOOTTIME, which term, its deadline, and what is-leader says.
NOW = "python3 -ISc 'import time; print(time.clock_gettime_ns(time.CLOCK_BOOTTIME))'"
SAYS = f'echo "$({NOW}) $TENURE_TERM $TENURE_DEADLINE_NS $TENURE_SECONDS_LEFT $(is-leader)" >>../deposed'


def two(world: World, **hooks: str) -> tuple[str, str]:
    """Two idle units on m0 and m1; returns the leader's machine and the other."""
    for machine in ("m0", "m1"):
        world.start(machine)
    charm = world.charm(True, **{"leader_elected": "true", "leader_deposed": SAYS, **hooks})
    world.tenure("deploy", charm, "-n", "2", "--to", "m0,m1", "--lease", f"{LEASE_S:g}s")
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    leader = "m0" if world.tenure("leader", "web").strip() == "web/0" else "m1"
    world.event(leader, event="hook-ended", hook="leader-elected")
    return leader, "m1" if leader == "m0" else "m0"


def unit_folder(world: World, machine: str) -> Path:
    return world.folder / machine / "agents" / f"unit-web-{machine[1]}"


def runs(world: World, machine: str) -> list[list[str]]:
    """What each leader-deposed of the machine's unit has said, in order."""
    path = unit_folder(world, machine) / "deposed"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def guards(world: World) -> list[int]:
    """The pids of the guards of this test's units."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.startswith(f"hook={world.folder}/".encode()) for word in words):
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


def elected_ns(world: World, machine: str) -> int:
    return int(world.event(machine, event="elected")["boot_ns"])


def test_it_runs_once_before_an_agent_that_ends_has_handed_over(world: World) -> None:
    leader, minion = two(world)
    term = str(world.event(leader, event="elected")["term"])
    assert world.end(leader) == 0
    ((began, said_term, deadline, left, led),) = runs(world, leader)
    assert (said_term, led) == (term, "False")
    assert int(began) < int(deadline)
    assert 0 < float(left) < LEASE_S
    assert int(began) < elected_ns(world, minion)
    assert world.event(leader, event="hook-ended", hook="leader-deposed")["how"] == "succeeded"
    until(lambda: len(guards(world)) == 1, what="the other's guard alone")


def test_it_runs_in_the_transfer_of_leadership(world: World) -> None:
    leader, minion = two(world)
    world.tenure("transfer", f"web/{minion[1]}", "--now")
    ((began, *_),) = runs(world, leader)
    assert int(began) < elected_ns(world, minion)
    assert runs(world, minion) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_runs_in_time_also_when_the_agent_is_killed_or_hangs(world: World, number: int) -> None:
    leader, minion = two(world)
    pid = world.agents[leader].pid
    if number == signal.SIGSTOP:
        stop(pid)
    else:
        os.kill(pid, number)
    until(lambda: runs(world, leader), within_s=2 * LEASE_S)
    ((began, _, deadline, _, led),) = runs(world, leader)
    assert led == "False"
    assert int(began) < int(deadline) < elected_ns(world, minion)
    os.kill(pid, signal.SIGCONT)
    if number == signal.SIGSTOP:
        # Awake again, it finds its term over, and is told of nothing twice.
        world.event(leader, event="term-over")
        assert len(runs(world, leader)) == 1


def test_it_runs_beside_a_hook_that_hangs(world: World) -> None:
    leader, minion = two(world, config_changed='[ "$(config-get color)" = red ] || exec sleep 1000')
    world.tenure("config", "web", "color=blue")
    until(lambda: world.hooks(leader, f"web/{leader[1]}").count("config-changed") == 2)
    world.tenure("transfer", f"web/{minion[1]}", "--now")
    assert len(runs(world, leader)) == 1
    assert not world.events(leader, event="hook-ended", hook="config-changed")[1:]


def test_what_is_left_of_it_at_the_deadline_is_killed(world: World) -> None:
    hangs = f"{SAYS}; trap '' TERM; setsid sleep 1003 & echo $! $$ >../pids; sleep 1004"
    leader, minion = two(world, leader_deposed=hangs)
    world.kill(leader)
    said = unit_folder(world, leader) / "pids"
    pids = until(lambda: said.read_text().split() if said.exists() else [], within_s=2 * LEASE_S)
    world.event(minion, event="elected", within_s=2 * LEASE_S)
    assert [pid for pid in pids if alive(int(pid))] == []


def test_when_the_guard_is_killed_a_second_one_runs_it_and_the_term_ends(world: World) -> None:
    leader, _ = two(world)
    term = int(world.event(leader, event="elected")["term"])
    (guard,) = guards(world)
    os.kill(guard, signal.SIGKILL)
    until(lambda: runs(world, leader))
    assert runs(world, leader)[0][1] == str(term)
    until(lambda: any(int(line["term"]) > term for m in ("m0", "m1") for line in world.events(m, event="elected")))


def test_when_guard_and_agent_are_killed_the_agent_that_comes_back_has_it_run(world: World) -> None:
    leader, _ = two(world)
    term = int(world.event(leader, event="elected")["term"])
    world.kill(leader)
    (guard,) = guards(world)
    os.kill(guard, signal.SIGKILL)
    world.start(leader)
    until(lambda: runs(world, leader))
    assert [run[1] for run in runs(world, leader)] == [str(term)]
    until(lambda: any(int(line["term"]) > term for m in ("m0", "m1") for line in world.events(m, event="elected")))


def test_an_agent_that_is_back_within_its_lease_finds_its_guard_and_goes_on_with_its_term(world: World) -> None:
    leader, minion = two(world)
    (guard,) = guards(world)
    world.kill(leader)
    world.start(leader)
    world.event(leader, event="elected", number=2)
    until(lambda: world.tenure("is-leader", f"web/{leader[1]}", "--for", "1s") is not None)
    assert guards(world) == [guard]
    since = time.monotonic()
    until(lambda: time.monotonic() - since > LEASE_S)  # its guard is extended again: nothing ends
    assert guards(world) == [guard]
    assert runs(world, leader) == []
    assert not world.events(minion, event="elected")
    assert world.hooks(leader, f"web/{leader[1]}").count("leader-elected") == 1


def test_an_agent_that_comes_back_to_a_guard_that_is_stopped_kills_it_and_has_leader_deposed_run(world: World) -> None:
    leader, _ = two(world)
    (guard,) = guards(world)
    world.kill(leader)
    os.kill(guard, signal.SIGSTOP)
    world.start(leader)
    until(lambda: runs(world, leader))
    assert len(runs(world, leader)) == 1
    until(lambda: not alive(guard))


def test_a_leader_that_is_removed_has_it_as_its_last_hook(world: World) -> None:
    leader, minion = two(world, leader_deposed="true", stop="true", remove="true")
    world.tenure("remove-unit", f"web/{leader[1]}", "--wait")
    hooks = world.hooks(leader, f"web/{leader[1]}")
    assert hooks[-3:] == ["stop", "remove", "leader-deposed"]
    world.event(minion, event="elected")


def test_a_charm_without_the_hook_has_no_guard(world: World) -> None:
    world.start("m0")
    world.tenure("deploy", world.charm(leader_elected="true"), "--to", "m0", "--lease", "4s")
    world.event("m0", event="hook-ended", hook="leader-elected")
    children = Path(f"/proc/{world.agents['m0'].pid}/task/{world.agents['m0'].pid}/children").read_text()
    assert children == ""


def test_its_tools_say_what_they_can_without_an_agent(world: World) -> None:
    body = "is-leader --format json >../said; juju-log hello 2>>../said; leader-set a=1 2>>../said || echo refused >>../said"
    leader, _ = two(world, leader_deposed=body)
    world.kill(leader)
    said = unit_folder(world, leader) / "said"
    until(lambda: said.exists() and "refused" in said.read_text(), within_s=2 * LEASE_S)
    first, *rest = said.read_text().splitlines()
    assert json.loads(first) is False
    assert any("hello" in line for line in rest)
