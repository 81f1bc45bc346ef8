"""Singletons: a charm's process runs on exactly one unit, with its children gone before its term can end (promise 5)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tenure.defaults import SAME_SIGNAL_S
from tenure.model.layout import Layout
from tenure.store import open_store
from tests.agent.world import World, alive, boot_ns
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_S = 4.0
"""For tests that wait for its end. In the others no starved host is to lose a lease: there it is long."""

# Holds a lock while anything of it is left, so two at once would be seen; leaves a line for each run.
RUNS = """#!/bin/sh
exec 9>>"$WITNESS"
flock -n 9 || { echo overlap >>"$WITNESS"; exit 99; }
echo "$TENURE_TERM $TENURE_OFFICE $JUJU_UNIT_NAME $$" >>"$WITNESS"
echo "hello from $JUJU_UNIT_NAME"
"""
RECOVERS = RUNS.replace("exec 9", 'rm -f "$WITNESS.ill"\nexec 9') + "exec sleep 1000\n"
STAYS = RUNS + "setsid sleep 1000 &\nsleep 1001 &\nwait\n"


class Charm:
    """A world whose charm has one singleton, `counter`."""

    def __init__(self, world: World, script: str = STAYS, /, **said: Any) -> None:
        self.world = world
        self.witness = world.folder / "witness"
        charm = world.charm(True, start="true")
        runs = charm / "runs"
        runs.write_text(script)
        runs.chmod(0o755)
        document = {
            "command": "./runs",
            "lease": "30s",
            "environment": {"WITNESS": str(self.witness)},
            **said,
        }
        (charm / "tenure.yaml").write_text(json.dumps({"singletons": {"counter": document}}))
        self.folder = charm

    def deploy(self, units: int = 2) -> Charm:
        machines = [f"m{number}" for number in range(units)]
        for machine in machines:
            self.world.start(machine)
        self.world.tenure("deploy", self.folder, "-n", str(units), "--to", ",".join(machines), "--lease", "6s")
        return self

    def runs(self) -> list[tuple[int, str, int]]:
        """The term, unit and pid (in its own namespace) of each run, in order."""
        text = self.witness.read_text() if self.witness.exists() else ""
        assert "overlap" not in text
        words = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [(int(term), unit, int(pid)) for term, _, unit, pid in words]

    def run(self, number: int = 1, within_s: float = 20.0) -> tuple[int, str, int]:
        """Wait for that run."""
        return until(lambda: self.runs()[number - 1 : number], within_s=within_s, what=f"run {number}")[0]

    def is_running(self) -> bool:
        """Whether anything of any run is left."""
        return bool(processes_with(f"WITNESS={self.witness}"))

    def status(self) -> dict[str, Any]:
        status = json.loads(self.world.tenure("status", "--format", "json"))
        found: dict[str, Any] = status["applications"]["web"]["singletons"]["counter"]
        return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def processes_with(variable: str) -> list[int]:
    """The living processes that were started with this in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if variable.encode() in environment and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def guards(charm: Charm) -> list[int]:
    """The pids of its guards: they and their keepers have one command line, and a keeper is the guard's child."""
    found = [
        pid for pid in processes_with(f"WITNESS={charm.witness}") if "/guard/__main__.py term=" in command_line(pid)
    ]
    return [pid for pid in found if int(stat(pid)[1]) not in found]


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def sleeper(charm: Charm) -> int:
    """The process itself, once it has become a `sleep`; 0: it hasn't yet."""
    found = [pid for pid in processes_with(f"WITNESS={charm.witness}") if command_line(pid).startswith("sleep")]
    return found[0] if found else 0


def machine_of(unit: str) -> str:
    return f"m{unit.rpartition('/')[2]}"


def ended_ns(world: World, machine: str) -> int:
    return int(world.event(machine, event="singleton-ended")["boot_ns"])


def started_ns(world: World, machine: str, number: int = 1) -> int:
    return int(world.event(machine, event="singleton-started", number=number)["boot_ns"])


# ---- where it runs


def test_it_runs_on_one_unit_with_its_term_and_its_output_goes_to_the_units_log(world: World) -> None:
    charm = Charm(world).deploy(3)
    term, unit, _ = charm.run()
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    until(lambda: charm.status()["state"] == "running")
    found = charm.status()
    assert (found["unit"], found["term"], found["restarts"]) == (unit, term, 0)
    assert found["machine"] == machine_of(unit)
    assert found["since"]
    assert "a PID namespace" in found["enclosed-by"] or "its process tree" in found["enclosed-by"]
    world.event(machine_of(unit), logger=f"unit.{unit}.counter", message=f"hello from {unit}")
    row = next(line for line in world.tenure("status").splitlines() if line.startswith("web/counter"))
    assert row.split()[1:4] == ["running", unit, str(term)]
    assert world.tenure("leader", "web", "--office", "counter").strip() == unit
    assert len(charm.runs()) == 1


def test_an_agent_that_ends_hands_it_over_at_once(world: World) -> None:
    charm = Charm(world).deploy()
    first, unit, _ = charm.run()
    machine = machine_of(unit)
    assert world.end(machine) == 0
    second, other, _ = charm.run(2)
    assert other != unit
    assert second > first
    assert 0 < started_ns(world, machine_of(other)) - ended_ns(world, machine) < 1e9


def test_a_transfer_hands_it_over_and_the_history_tells(world: World) -> None:
    charm = Charm(world).deploy()
    first, unit, _ = charm.run()
    other = "web/1" if unit == "web/0" else "web/0"
    until(lambda: world.events(machine_of(other), event="hook-ended", hook="start"))
    world.tenure("transfer", other, "--office", "counter")
    second, now, _ = charm.run(2)
    assert now == other
    terms = json.loads(world.tenure("history", "web", "--office", "counter", "--format", "json"))["terms"]
    assert [(one["term"], one["unit"], one["how"]) for one in terms] == [
        (first, unit, "transferred"),
        (second, other, ""),
    ]


def test_a_unit_that_is_removed_has_it_stopped_before_its_stop_hook(world: World) -> None:
    charm = Charm(world)
    hook = charm.folder / "hooks" / "stop"
    hook.write_text(f"#!/bin/sh\nflock -n 9 9>>{charm.witness} && touch {world.folder}/was-free\n")
    hook.chmod(0o755)
    charm.deploy()
    _, unit, _ = charm.run()
    world.tenure("remove-unit", unit, "--wait")
    assert charm.run(2)[1] != unit
    assert (world.folder / "was-free").exists()


def test_the_preferred_unit_has_the_first_place_in_line(world: World) -> None:
    preferred: dict[str, Any] = {"preferred-unit": 1}
    charm = Charm(world, **preferred).deploy()
    charm.run()
    prefix = Layout("default").candidates("web", "counter")

    async def priorities() -> dict[str, int]:
        store = await open_store(world.url)
        try:
            items = (await store.read(prefix)).items
        finally:
            await store.close()
        return {key.removeprefix(prefix): json.loads(item.value).get("priority", 0) for key, item in items.items()}

    until(lambda: asyncio.run(priorities()) == {"0": 0, "1": 1})


# ---- whatever becomes of the agent, of the guard, of the process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_is_gone_before_another_starts_also_when_its_agent_is_killed_or_hangs(world: World, number: int) -> None:
    charm = Charm(world, lease=f"{LEASE_S:g}s").deploy()
    first, unit, _ = charm.run()
    pid = world.agents[machine_of(unit)].pid
    if number == signal.SIGSTOP:
        stop(pid)
    else:
        os.kill(pid, number)
    second, other, _ = charm.run(2, within_s=3 * LEASE_S)  # `runs` fails on an overlap
    assert other != unit
    assert second > first
    os.kill(pid, signal.SIGCONT)
    if number == signal.SIGSTOP:
        world.event(machine_of(unit), event="term-over", office="web/counter")
        assert len(charm.runs()) == 2


def test_an_agent_that_is_back_within_its_lease_finds_it_running_and_goes_on_untouched(world: World) -> None:
    charm = Charm(world).deploy()
    term, unit, pid = charm.run()
    machine = machine_of(unit)
    until(lambda: charm.status()["state"] == "running")
    (guard,) = guards(charm)
    world.kill(machine)
    world.start(machine)
    world.event(machine, event="elected", office="web/counter", number=2)
    looks_s: list[float] = []

    def is_extended() -> bool:
        looks_s.append(next_look_s(guard))
        return looks_s[-1] > min(looks_s) + 1

    until(is_extended, what="the guard to be extended again")
    assert guards(charm) == [guard]
    assert charm.runs() == [(term, unit, pid)]
    assert (charm.status()["term"], charm.status()["restarts"]) == (term, 0)


@pytest.mark.parametrize("left", ["an older note", "nothing"])
def test_it_is_found_again_whatever_has_become_of_what_was_written_of_it(world: World, left: str) -> None:
    charm = Charm(world).deploy()
    term, unit, pid = charm.run()
    machine = machine_of(unit)
    (guard,) = guards(charm)
    files = world.folder / machine / "agents" / f"unit-{unit.replace('/', '-')}" / "singletons"
    world.kill(machine)
    if left == "nothing":
        shutil.rmtree(files)
    else:
        note = json.loads((files / "counter" / "guard").read_text())
        (files / "counter" / "guard").write_text(json.dumps(note | {"term": note["term"] - 1}))
    world.start(machine)
    world.event(machine, event="elected", office="web/counter", number=2)
    until(lambda: charm.status()["state"] == "running")
    assert guards(charm) == [guard]
    assert charm.runs() == [(term, unit, pid)]


def next_look_s(guard: int) -> float:
    """In how long the guard looks whether its time has come, as the kernel says of its timer: more only by an extension."""
    for entry in Path(f"/proc/{guard}/fdinfo").iterdir():
        found = re.search(r"^it_value: \((\d+), (\d+)\)", entry.read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) + int(found[2]) / 1e9
    raise AssertionError("the guard has no timer")


def test_when_the_guard_is_killed_the_process_dies_and_a_new_run_is_a_new_term(world: World) -> None:
    charm = Charm(world).deploy()
    first, *_ = charm.run()
    (guard,) = guards(charm)
    os.kill(guard, signal.SIGKILL)
    second, *_ = charm.run(2)
    assert second > first


def test_without_a_namespace_what_a_killed_guard_has_left_is_ended_by_the_agent(world: World) -> None:
    charm = Charm(world, namespace=False).deploy(1)
    first, *_ = charm.run()
    until(lambda: charm.status()["state"] == "running")
    assert charm.status()["enclosed-by"].startswith("its process tree")
    (guard,) = guards(charm)
    os.kill(guard, signal.SIGKILL)
    second, *_ = charm.run(2)  # `runs` fails on an overlap
    assert second > first


def test_when_agent_and_guard_are_killed_the_agent_that_comes_back_ends_the_term(world: World) -> None:
    charm = Charm(world).deploy()
    first, unit, _ = charm.run()
    world.kill(machine_of(unit))
    (guard,) = guards(charm)
    os.kill(guard, signal.SIGKILL)
    world.start(machine_of(unit))
    second, *_ = charm.run(2)
    assert second > first


def test_a_process_that_is_killed_is_run_again_in_the_same_term(world: World) -> None:
    charm = Charm(world, RUNS + "exec sleep 1000\n").deploy(1)
    term, *_ = charm.run()
    os.kill(until(lambda: sleeper(charm)), signal.SIGKILL)
    again, *_ = charm.run(2)
    assert again == term
    until(lambda: charm.status().get("restarts") == 1)
    assert world.events("m0", event="singleton-ended", how="killed by signal 9")


def test_an_agent_that_is_told_twice_kills_what_does_not_stop(world: World) -> None:
    charm = Charm(world, RUNS + "trap '' TERM\nwhile :; do sleep 0.05; done\n", **long_stop).deploy(1)
    charm.run()
    agent = world.agents["m0"]
    agent.terminate()
    ends_ns = int(world.event("m0", event="term-ends", office="web/counter")["boot_ns"])
    # What comes sooner is the same signal.
    until(lambda: boot_ns() - ends_ns > 2e9 * SAME_SIGNAL_S)
    agent.terminate()
    assert agent.wait(20) == 128 + signal.SIGTERM
    until(lambda: not charm.is_running())


long_stop: dict[str, Any] = {"lease": "60s", "stop-timeout": "20s"}

FREEZER = Path("/sys/fs/cgroup/freezer")
"""Of the first version of control groups: a process that it has frozen can't be killed."""


@pytest.mark.skipif(
    not os.access(FREEZER / "cgroup.procs", os.W_OK), reason="no freezer to make a process unkillable with"
)
def test_one_that_the_kernel_cannot_end_keeps_its_office_and_the_status_says_so(world: World) -> None:
    charm = Charm(world, RUNS + "exec sleep 1000\n", lease=f"{LEASE_S:g}s").deploy()
    _, unit, _ = charm.run()
    other = "web/1" if unit == "web/0" else "web/0"
    world.event(machine_of(other), event="hook-ended", hook="start")
    work = until(lambda: sleeper(charm))
    frozen = FREEZER / f"tenure-test-{work}"
    frozen.mkdir()
    try:
        (frozen / "cgroup.procs").write_text(str(work))
        (frozen / "freezer.state").write_text("FROZEN")
        until(lambda: (frozen / "freezer.state").read_text() == "FROZEN\n")
        world.tenure("transfer", other, "--office", "counter", "--timeout", "100ms", code=124)
        # Longer than its lease: it is renewed for as long as the process is there.
        until(lambda: "the kernel can't end" in charm.status().get("message", ""))
        since = time.monotonic()
        until(lambda: time.monotonic() - since > LEASE_S)
        assert charm.status()["unit"] == unit
        assert len(charm.runs()) == 1
    finally:
        (frozen / "freezer.state").write_text("THAWED")
    assert charm.run(2)[1] == other
    until(lambda: not (frozen / "cgroup.procs").read_text())
    frozen.rmdir()


# ---- what fails


def test_one_that_fails_again_and_again_is_given_up_to_another_unit(world: World) -> None:
    script = RUNS + '[ "$JUJU_UNIT_NAME" = "$(cat $WITNESS.bad)" ] && exit 7\nexec sleep 1000\n'
    charm = Charm(world, script, **{"give-up": {"failures": 2, "within": "10m"}})
    Path(f"{charm.witness}.bad").write_text("")
    charm.deploy()
    first, unit, _ = charm.run()
    other = "web/1" if unit == "web/0" else "web/0"
    world.event(machine_of(other), event="hook-ended", hook="start")
    Path(f"{charm.witness}.bad").write_text(unit)
    os.kill(until(lambda: sleeper(charm)), signal.SIGKILL)
    until(lambda: charm.runs()[-1][1] == other)
    assert [(term == first, unit == one) for term, one, _ in charm.runs()] == [(True, True)] * 2 + [(False, False)]
    terms = json.loads(world.tenure("history", "web", "--office", "counter", "--format", "json"))["terms"]
    assert terms[0]["how"] == "given up"
    until(lambda: charm.status()["state"] == "running")
    assert charm.status()["failed-on"] == {unit: "exit status 7"}


def test_where_it_fails_everywhere_it_is_tried_ever_less_often(world: World) -> None:
    charm = Charm(world, RUNS + "exit 1\n", **{"give-up": {"failures": 2, "within": "10m"}}).deploy(1)
    charm.run(3, within_s=20)
    starts = [int(line["boot_ns"]) for line in world.events("m0", event="singleton-started")]
    assert starts[1] - starts[0] >= 1e9
    assert starts[2] - starts[1] >= 2e9
    assert len({term for term, *_ in charm.runs()}) == 2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"command": "/no/such/command"}, "tenure: /no/such/command: No such file or directory"),
        ({"command": "./tenure.yaml"}, "tenure: ./tenure.yaml: Permission denied"),
        ({"user": "no-such-user"}, "tenure: the user no-such-user: there is none on this host"),
    ],
)
def test_one_that_cannot_be_executed_fails_as_in_a_shell_and_the_log_says_why(
    world: World, said: dict[str, Any], message: str
) -> None:
    Charm(world, **said).deploy(1)
    world.event("m0", message=message)
    code = 127 if "no/such/command" in message else 126
    world.event("m0", event="singleton-ended", how=f"exit status {code}")


def test_one_that_is_done_keeps_its_office_and_is_not_run_again(world: World) -> None:
    charm = Charm(world, RUNS, restart="on-failure").deploy()
    term, unit, _ = charm.run()
    until(lambda: charm.status()["state"] == "done")
    assert charm.status()["term"] == term
    # Nor by an agent that comes back.
    world.kill(machine_of(unit))
    world.start(machine_of(unit))
    world.event(machine_of(unit), event="elected", office="web/counter", number=2)
    until(lambda: charm.status()["state"] == "done")
    assert len(charm.runs()) == 1
    # Should its holder go, it is another term's to run.
    world.end(machine_of(unit))
    assert charm.run(2)[0] > term


def test_one_whose_health_command_fails_is_run_again(world: World) -> None:
    health = {"command": ["sh", "-c", "! [ -e $WITNESS.ill ]"], "interval": "100ms", "failures": 2}
    charm = Charm(world, RECOVERS, health=health).deploy(1)
    term, *_ = charm.run()
    Path(f"{charm.witness}.ill").touch()
    assert charm.run(2)[0] == term
    assert world.events("m0", event="singleton-ended", how="its health command fails")


def test_a_health_command_that_hangs_counts_as_one_that_fails(world: World) -> None:
    command = ["sh", "-c", "[ -e $WITNESS.ill ] && sleep 1000; true"]
    health = {"command": command, "interval": "50ms", "timeout": "200ms", "failures": 1}
    charm = Charm(world, RECOVERS, health=health).deploy(1)
    charm.run()
    Path(f"{charm.witness}.ill").touch()
    charm.run(2)


def test_its_stop_command_is_asked_first(world: World) -> None:
    script = RUNS + "trap 'echo signalled >>$WITNESS.said; exit 0' TERM\nwhile :; do sleep 0.05; done\n"
    charm = Charm(world, script, **{"stop-command": ["sh", "-c", "echo asked >>$WITNESS.said"]}).deploy(1)
    charm.run()
    assert world.end("m0") == 0
    assert Path(f"{charm.witness}.said").read_text() == "asked\nsignalled\n"


# ---- what is refused at deploy


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ({"lease": "4s", "stop-timeout": "5s"}, "a lease of 4 s leaves 1.5 s to stop in", "lease: 11s would do"),
        ({"comand": "x"}, '"comand" is not known here', 'did you mean "command"?'),
    ],
)
def test_what_cannot_be_is_refused_at_deploy(world: World, said: dict[str, Any], message: str, hint: str) -> None:
    charm = Charm(world, **said)
    error = world.tenure("deploy", charm.folder, "-n", "1", "--to", "m0", code=2)
    assert f"{charm.folder}/tenure.yaml, line 1: " in error
    assert message in error
    assert hint in error
