"""Commands in a unit's context, with real agents: what they find there, when they run, what becomes of what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent.world import World, alive
from tests.waiting import until

pytestmark = pytest.mark.slow


def one(world: World, lease: str = "6s", **hooks: Any) -> Path:
    """An idle unit web/0 on m0, which leads; its charm's folder."""
    world.start("m0")
    world.tenure("deploy", world.charm(**hooks), "--to", "m0", "--lease", lease)
    world.tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "20s")
    return world.folder / "m0" / "agents" / "unit-web-0" / "charm"


def two(world: World, **hooks: Any) -> None:
    """Idle units web/0 and web/1 of one application on one machine."""
    world.start("m0")
    world.tenure("deploy", world.charm(**hooks), "-n", "2", "--to", "m0,m0", "--lease", "60s")
    world.tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "20s")
    for unit in ("web/0", "web/1"):
        world.event("m0", event="hook-started", hook="peers-relation-joined", unit=unit)
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")


JOINS: dict[str, Any] = {"peers_relation_joined": "true"}


class Done:
    """A command that has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out, self.err = process.communicate(timeout=60)
        self.code = process.returncode
        assert "Traceback" not in self.err, self.err


def start(world: World, *words: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tenure", "exec", *map(str, words)],
        env=world.environment | environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(world: World, *words: str | Path) -> Done:
    return Done(start(world, *words))


def juju_exec(world: World, *words: str, name: str = "juju-exec", **environment: str) -> Done:
    process = subprocess.Popen(
        [world.folder / "m0" / "bin" / name, *words],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Done(process)


def test_commands_have_a_hooks_tools_folder_and_environment(world: World) -> None:
    charm = one(world)
    done = run(world, "--unit", "web/0", "--", "pwd; is-leader; env; echo to err >&2")
    lines = done.out.splitlines()
    assert lines[:2] == [str(charm), "True"]
    environment = dict(line.split("=", 1) for line in lines[2:] if "=" in line)
    assert environment["JUJU_HOOK_NAME"] == ""
    assert "JUJU_DISPATCH_PATH" not in environment
    assert "HOME" not in environment
    assert environment["JUJU_CONTEXT_ID"].startswith("web/0-run-commands-")
    assert (environment["JUJU_ACTION_NAME"], environment["JUJU_UNIT_NAME"]) == ("juju-exec", "web/0")
    assert (done.err, done.code) == ("to err\n", 0)


def test_the_commands_own_exit_code_is_passed_on(world: World) -> None:
    one(world)
    codes = {"exit 7": 7, "no-such-command": 127, "/etc/passwd": 126, "kill -TERM $$": 143, "true": 0}
    assert {command: run(world, "--unit", "web/0", "--", command).code for command in codes} == codes


def test_several_words_are_quoted_and_one_is_the_shells(world: World) -> None:
    one(world)
    assert run(world, "--unit", "web/0", "--", "echo", "a  b", "$HOME;x").out == "a  b $HOME;x\n"
    assert run(world, "--unit", "web/0", "--", "echo a  b; echo ${UNSET:-c}").out == "a b\nc\n"


def test_output_comes_as_it_is_written(world: World) -> None:
    charm = one(world)
    process = start(world, "--unit", "web/0", "--", "echo first; while [ ! -e go ]; do sleep 0.05; done; echo last")
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    (charm / "go").touch()
    assert process.communicate(timeout=20)[0] == "last\n"


def test_they_wait_for_the_hook_that_runs_and_hooks_wait_for_them(world: World) -> None:
    charm = one(
        world, config_changed='if [ "$(config-get color)" = slow ]; then until [ -e go ]; do sleep 0.05; done; fi'
    )
    world.tenure("config", "web", "color=slow")
    world.event("m0", event="hook-started", hook="config-changed", number=2)
    process = start(world, "--unit", "web/0", "--", "echo ran; touch began; until [ -e on ]; do sleep 0.05; done")
    late = run(world, "--unit", "web/0", "--timeout", "0.3s", "--", "touch never")
    assert (late.code, (charm / "never").exists()) == (124, False)
    assert "timed out" in late.err
    # What never waits behind a hook: the agent's own word.
    answer = json.loads(world.tenure("is-leader", "web/0", "--format", "json"))
    assert answer["verdict"] == "yes"
    assert answer["surely_left_s"] > 3
    assert answer["term"]
    assert answer["since"]
    (charm / "go").touch()
    until((charm / "began").exists, within_s=20)
    world.tenure("config", "web", "color=blue")
    assert len(world.events("m0", event="hook-started", hook="config-changed")) == 2
    (charm / "on").touch()
    assert process.communicate(timeout=20)[0] == "ran\n"
    world.event("m0", event="hook-started", hook="config-changed", number=3)


def test_a_true_that_they_were_told_is_owed_in_full(world: World) -> None:
    two(world, **JOINS)
    leader = world.tenure("leader", "web").strip()
    other = "web/1" if leader == "web/0" else "web/0"
    assert run(world, "--unit", "web/leader", "--", "is-leader").out == "True\n"
    assert json.loads(world.tenure("explain", "web", "--format", "json"))["units"][leader]["candidacy"]["owed_s"] > 20
    world.tenure("transfer", other, "--timeout", "1s", code=124)
    assert run(world, "--unit", leader, "--", "is-leader").out == "False\n"
    world.kill("m0")


def test_what_they_say_on_a_relation_counts_whatever_their_exit_code(world: World) -> None:
    two(world, **JOINS)
    done = run(world, "--unit", "web/0", "--", "relation-set -r $(relation-ids peers) said=this; exit 3")
    assert done.code == 3
    said = run(world, "--unit", "web/1", "--", "relation-get -r $(relation-ids peers) said web/0")
    assert said.out == "this\n"


def test_what_they_say_is_dropped_when_they_are_ended(world: World) -> None:
    two(world, **JOINS)
    done = run(
        world, "--unit", "web/0", "--timeout", "1s", "--", "relation-set -r $(relation-ids peers) said=this; sleep 60"
    )
    assert done.code == 124
    assert run(world, "--unit", "web/1", "--", "relation-get -r $(relation-ids peers) said web/0").out == ""


def test_what_they_say_as_leader_does_not_land_when_their_term_has_ended_meanwhile(world: World) -> None:
    two(world, **JOINS)
    leader = world.tenure("leader", "web").strip()
    charm = world.folder / "m0" / "agents" / f"unit-{leader.replace('/', '-')}" / "charm"
    process = start(
        world, "--unit", leader, "--format", "json", "--",
        "peers=$(relation-ids peers); relation-set --app -r $peers late=1; relation-set -r $peers late=1;"
        "touch began; until [ -e go ]; do sleep 0.05; done; leader-set late=1 || is-leader",
    )  # fmt: skip
    until((charm / "began").exists, within_s=20)
    world.tenure("transfer", "web/1" if leader == "web/0" else "web/0", "--now")
    (charm / "go").touch()
    done = Done(process)
    task = json.loads(done.out)[leader]
    assert task["results"]["stdout"] == "False\n"
    assert "not the leader" in task["results"]["stderr"]
    assert done.code == 125
    assert task["status"] == "failed"
    assert task["message"].startswith("committing requested changes failed: ")
    other = "web/1" if leader == "web/0" else "web/0"
    said = run(world, "--unit", other, "--", f"relation-get -r $(relation-ids peers) late {leader}; leader-get late")
    assert said.out == "", "all of it or nothing"
    world.kill("m0")


def test_several_units_one_after_another_or_at_once_as_json(world: World) -> None:
    two(world, **JOINS)
    assert run(world, "--application", "web", "--", "echo $JUJU_UNIT_NAME").out == "web/0: web/0\nweb/1: web/1\n"
    done = run(
        world, "--all", "--parallel", "--format", "json", "--", "echo out; echo err >&2; [ $JUJU_UNIT_NAME = web/0 ]"
    )
    found: dict[str, Any] = json.loads(done.out)
    assert done.code == 1
    assert found["web/0"]["results"] == {"return-code": 0, "stdout": "out\n", "stderr": "err\n"}
    assert (found["web/1"]["status"], found["web/1"]["results"]["return-code"]) == ("completed", 1)
    assert {"enqueued", "started", "completed"} == set(found["web/1"]["timing"])
    assert "ERROR the following task failed:\n" in done.err
    assert f' - id "{found["web/1"]["id"]}" with return code 1' in done.err


def test_they_run_while_a_hook_is_in_error(world: World) -> None:
    world.start("m0")
    world.tenure("deploy", world.charm(start="exit 1"), "--to", "m0", "--lease", "60s")
    until(lambda: world.unit("web/0")["workload-status"]["current"] == "error", within_s=20)
    assert run(world, "--unit", "web/0", "--", "echo still").out == "still\n"
    assert world.unit("web/0")["workload-status"]["current"] == "error"


def test_commands_whose_caller_goes_away_are_ended(world: World) -> None:
    charm = one(world)
    process = start(world, "--unit", "web/0", "--", "echo $$ >pid; exec sleep 300")
    pid = int(until(lambda: (charm / "pid").exists() and (charm / "pid").read_text().strip(), within_s=20))
    process.kill()
    process.communicate()
    until(lambda: not alive(pid), within_s=10)
    assert run(world, "--unit", "web/0", "--", "echo next").out == "next\n"


def test_a_hook_that_would_wait_for_its_own_end_is_refused(world: World) -> None:
    one(world)
    process = start(world, "--unit", "web/0", "--", "true", JUJU_CONTEXT_ID="web/0-start-1", JUJU_MACHINE_ID="m0")
    done = Done(process)
    assert (done.code, "would wait for its own end" in done.err) == (125, True)


def test_a_daemon_that_they_leave_holds_nobody_up(world: World) -> None:
    one(world)
    done = run(world, "--unit", "web/0", "--", "sleep 300 & echo $!")
    pid = int(done.out)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_of_a_lost_agent_an_unknown_unit_and_an_agent_that_dies_it_is_said(world: World) -> None:
    charm = one(world, lease="4s")
    assert run(world, "--unit", "web/9", "--", "true").code == 2
    assert run(world, "--", "true").code == 2
    process = start(world, "--unit", "web/0", "--", "echo $$ >pid; exec sleep 300")
    pid = int(until(lambda: (charm / "pid").exists() and (charm / "pid").read_text().strip(), within_s=20))
    world.kill("m0")
    done = Done(process)
    assert done.code == 125
    assert "does not answer" in done.err
    world.start("m0")
    until(lambda: not alive(pid), within_s=10, what="what the dead agent's commands have left is ended")
    world.kill("m0")
    until(lambda: world.unit("web/0")["juju-status"]["current"] == "lost", within_s=30)
    done = run(world, "--unit", "web/0", "--", "true")
    assert (done.code, "nothing was run" in done.err) == (125, True)


def test_an_agent_that_ends_gives_them_the_time_of_its_debts_and_then_ends_them(world: World) -> None:
    charm = one(world, lease="4s")
    process = start(world, "--unit", "web/0", "--", "is-leader; echo $$ >pid; exec sleep 300")
    until(lambda: (charm / "pid").exists() and (charm / "pid").read_text().strip(), within_s=20)
    assert world.end("m0") == 0
    done = Done(process)
    assert done.out == "True\n"
    assert done.code == 125


def test_on_the_units_host_juju_exec_and_juju_run_do_the_same(world: World) -> None:
    one(world)
    done = juju_exec(world, "web/0", "is-leader; echo $JUJU_CONTEXT_ID; echo err >&2; exit 5")
    assert done.out.startswith("True\nweb/0-juju-exec-")
    assert (done.err, done.code) == ("err\n", 5)
    assert juju_exec(world, "unit-web-0", "is-leader", name="juju-run").out == "True\n"
    assert juju_exec(world, "-u", "web/0", "echo it").out == "it\n"
    assert juju_exec(world, "echo the only one").out == "the only one\n"
    assert juju_exec(world, "--no-context", "echo ${JUJU_UNIT_NAME:-none}; exit 4").code == 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "missing unit-name"),
        (["web/0"], 2, "missing commands"),
        (["web/0", "true", "more"], 2, 'unrecognized args: ["more"]'),
        (["-u", "nonsense", "true"], 2, '"nonsense" is not a valid tag'),
        (["--nonsense", "web/0", "true"], 2, "option provided but not defined: --nonsense"),
        (["web/7", "true"], 1, 'unit "web/7" not found on this machine'),
        (["-r", "peers:x", "web/0", "true"], 1, "invalid relation id"),
        (["-r", "99", "web/0", "true"], 1, "unknown relation id: 99"),
        (["--remote-unit", "web/1", "web/0", "true"], 1, "remote unit: web/1, provided without a relation"),
        (["-r", "0", "--remote-unit", "db/0", "web/0", "true"], 1, "unknown remote unit db/0; possibilities are [web/1 web/2]"),
        (["-r", "0", "web/0", "true"], 1, "ambiguous remote unit; possibilities are [web/1 web/2]"),
    ],
)  # fmt: skip
def test_juju_execs_errors_are_jujus(three: World, words: list[str], code: int, message: str) -> None:
    done = juju_exec(three, *words)
    assert (done.code, done.err, done.out) == (code, f"ERROR {message}\n", "")


def test_without_a_context_they_run_between_two_hooks_all_the_same(world: World) -> None:
    charm = one(
        world, config_changed='if [ "$(config-get color)" = slow ]; then until [ -e go ]; do sleep 0.05; done; fi'
    )
    world.tenure("config", "web", "color=slow")
    world.event("m0", event="hook-started", hook="config-changed", number=2)
    process = subprocess.Popen(
        [world.folder / "m0" / "bin" / "juju-exec", "--no-context", "echo ran; echo ${JUJU_UNIT_NAME:-none} $OWN"],
        env={"PATH": os.environ["PATH"], "OWN": "mine"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    (charm / "go").touch()
    assert Done(process).out == "ran\nnone mine\n"
    world.tenure("config", "web", "color=blue")
    world.event("m0", event="hook-ended", hook="config-changed", number=3)


def test_a_relations_commands_have_its_variables(three: World) -> None:
    show = 'echo $JUJU_RELATION $JUJU_RELATION_ID $JUJU_REMOTE_UNIT $JUJU_REMOTE_APP "${JUJU_HOOK_NAME-unset}"'
    assert (
        juju_exec(three, "-r", "peers:0", "--remote-unit", "web/2", "web/0", show).out == "peers peers:0 web/2 web \n"
    )
    forced = juju_exec(three, "-r", "0", "--remote-unit", "web/9", "--force-remote-unit", "web/0", show)
    assert forced.out == "peers peers:0 web/9 web \n"
    listed = juju_exec(three, "-r", "0", "--remote-unit", "web/1", "web/0", "relation-list | sort")
    assert listed.out == "web/1\nweb/2\n"


def test_within_a_hook_it_is_refused(three: World) -> None:
    done = juju_exec(three, "web/0", "true", JUJU_CONTEXT_ID="web/0-start-1")
    assert (done.code, done.err) == (
        2,
        'ERROR juju-exec cannot be called from within a hook, have context "web/0-start-1"\n',
    )


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three units that know each other, on one machine."""
    world = World(tmp_path_factory.mktemp("three"))
    try:
        world.start("m0")
        world.tenure("deploy", world.charm(**JOINS), "-n", "3", "--to", "m0,m0,m0", "--lease", "60s")
        for unit in ("web/0", "web/1", "web/2"):
            world.event("m0", event="hook-ended", hook="peers-relation-joined", unit=unit, number=2)
        world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
        yield world
    finally:
        world.close()
