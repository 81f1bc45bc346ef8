"""The commands with real agents: what they ask of them, and what comes of it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Tenure
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_S = 3
STEADY_LEASE_S = 8
"""Of what nobody is to lose: a machine at full load may be late by a second."""


class Agents:
    """Agents of machines m0, m1, …, with state folders of the test's own."""

    def __init__(self, tenure: Tenure) -> None:
        self.tenure = tenure
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, machine: str) -> None:
        self.processes[machine] = self.tenure.start("agent", "--machine", machine, "--state-dir", f"state-{machine}")

    def kill(self, machine: str) -> None:
        self.processes[machine].kill()
        self.processes[machine].communicate(timeout=20)

    def close(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@pytest.fixture
def agents(tenure: Tenure, charm: Path) -> Iterator[Agents]:
    """Two agents, each with a unit of web; none of its hooks do anything."""
    agents = Agents(tenure)
    for machine in ("m0", "m1"):
        agents.start(machine)
    tenure("deploy", charm, "web", "-n", "2", "--to", "m0,m1", "--lease", f"{STEADY_LEASE_S}s")
    tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "30s")
    yield agents
    agents.close()


def leader_and_minion(tenure: Tenure) -> tuple[str, str]:
    leader = tenure("leader", "web").out.strip()
    return leader, {"web/0": "web/1", "web/1": "web/0"}[leader]


def test_the_holders_agent_vouches_for_it_and_says_what_is_owed(tenure: Tenure, agents: Agents) -> None:
    leader, minion = leader_and_minion(tenure)
    yes = tenure("is-leader", leader, "--for", "1s", "--format", "json").json
    assert yes["verdict"] == "yes"
    assert 1 < yes["surely_left_s"] <= STEADY_LEASE_S
    assert 0 < yes["owed_s"] <= 2
    assert tenure("is-leader", leader, "--for", "0s", "--format", "json").json["term"] == yes["term"]
    assert tenure("is-leader", minion, code=1).out == "no\n"


STANDS_ONCE = """
import os, time
if gate := os.environ.get("STANDS_ONCE"):
    from tenure.cli import asking
    real, asked = asking.ask_leader, []
    async def ask_leader(*given):
        answer = await real(*given)
        if not asked:
            asked.append(answer)
            open(gate, "x").close()
            while os.path.exists(gate):  # what other threads are at, they end: they may have locked the store
                time.sleep(0.005)
        return answer
    asking.ask_leader = ask_leader
"""
"""A host that does something else between the agent's answer and its being said."""


@pytest.mark.parametrize("way", ["socket", "store"])
def test_a_yes_that_comes_too_late_is_not_said(tenure: Tenure, agents: Agents, tmp_path: Path, way: str) -> None:
    leader, minion = leader_and_minion(tenure)
    (tmp_path / "sitecustomize.py").write_text(STANDS_ONCE)
    gate = tmp_path / "gate"
    asking = tenure.start(
        *("is-leader", leader, "--for", "1s", "--through", way), PYTHONPATH=str(tmp_path), STANDS_ONCE=str(gate)
    )
    until(gate.exists, within_s=20, what="it to stand still")
    tenure("transfer", minion)  # which waits for what the yes has owed
    gate.unlink()
    said, _ = asking.communicate(timeout=30)
    assert (said, asking.returncode) == ("no\n", 1)


def test_a_stopped_agent_makes_it_unknown(tenure: Tenure, agents: Agents) -> None:
    leader, _ = leader_and_minion(tenure)
    machine = tenure("leader", "web", "--format", "json").json["machine"]
    stop(agents.processes[machine].pid)
    asking = tenure.start("is-leader", leader)
    # Not answered while it is stopped; by then somebody else leads, or can't be known to.
    until(lambda: tenure("leader", "web", code=None).out.strip() not in ("", leader), within_s=20)
    agents.processes[machine].send_signal(signal.SIGCONT)
    asking.communicate(timeout=30)
    assert asking.returncode in (1, 3)
    assert tenure("is-leader", leader, code=1).out == "no\n"


def test_leadership_is_handed_over_there_and_back(tenure: Tenure, agents: Agents) -> None:
    leader, minion = leader_and_minion(tenure)
    tenure("transfer", minion)
    assert tenure("leader", "web").out.strip() == minion
    tenure("transfer", leader, "--now")
    assert tenure("leader", "web").out.strip() == leader
    terms = tenure("history", "web", "--format", "json").json["terms"]
    assert [term["unit"] for term in terms] == [leader, minion, leader]
    assert [term["how"].split(" ")[0].rstrip(",;:") for term in terms[:2]] == ["transferred", "transferred"]
    assert [term["term"] for term in terms] == sorted(term["term"] for term in terms)


def test_a_hook_that_fails_is_shown_waited_for_and_resolved(tenure: Tenure, agents: Agents, charm: Path) -> None:
    hook = charm / "hooks" / "config-changed"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    tenure("deploy", charm, "bad", "--to", "m0", "--lease", f"{LEASE_S}s")

    def message() -> str | None:
        units = tenure("status", "bad", "--format", "json").json["applications"]["bad"]["units"]
        status = units["bad/0"]["workload-status"]
        return str(status["message"]) if status["current"] == "error" else None

    assert until(message, within_s=20) == 'hook failed: "config-changed"'
    late = tenure("wait", "bad", "--for", "idle", "--timeout", "0.3s", code=124)
    assert 'hook failed: "config-changed"' in late.err
    tenure("resolved", "bad/0", "--no-retry")
    tenure("wait", "bad", "--for", "idle", "--timeout", "20s")
    assert "not in error" in tenure("resolved", "bad/0", code=1).err
    log = [json.loads(line) for line in tenure("debug-log", "--format", "json").out.splitlines()]
    assert any("config-changed" in line["logger"] for line in log)
    assert [line["time"] for line in log] == sorted(line["time"] for line in log)


def test_a_unit_goes_after_its_hooks_and_the_application_with_the_last(tenure: Tenure, agents: Agents) -> None:
    leader, minion = leader_and_minion(tenure)
    tenure("remove-unit", leader, "--wait", "--timeout", "20s")
    assert tenure("wait", "web", "--for", "leader", "--timeout", "20s").out == ""
    assert tenure("leader", "web").out.strip() == minion
    tenure("remove-application", "web", "--wait", "--timeout", "20s")
    assert tenure("status", "--format", "json").json["applications"] == {}


def test_by_force_a_killed_agents_unit_goes_when_its_lease_has_ended_and_not_before(
    tenure: Tenure, agents: Agents
) -> None:
    leader, _ = leader_and_minion(tenure)
    agents.kill(tenure("leader", "web", "--format", "json").json["machine"])
    tenure("remove-unit", leader, "--force", "--timeout", "30s")
    units = tenure("status", "--format", "json").json["applications"]["web"]["units"]
    assert leader not in units
    term = tenure("history", "web", "--format", "json").json["terms"][0]
    assert (term["unit"], term["how"]) == (leader, "expired")


def test_explain_says_why_each_unit_leads_or_does_not(tenure: Tenure, agents: Agents) -> None:
    leader, minion = leader_and_minion(tenure)
    units = tenure("explain", "web", "--format", "json").json["units"]
    assert units[leader]["candidacy"]["term"] == tenure("leader", "web", "--format", "json").json["term"]
    assert units[minion]["candidacy"]["term"] is None
    tenure("is-leader", leader, "--for", "1s")
    said = tenure("explain", "web").out
    for text in (
        f"{leader} leads web in term",
        "it was the first to claim it",
        "Its lease surely gives",
        f"{minion} doesn't lead: {leader} holds it; at the next vacancy it is number 1 of 1 in line.",
        "before a holder is deposed: lease x (1 - drift) - guarantee - renewal - request = 8 x 0.999 - 4 - 1.14 - 0.32.",
    ):
        assert text in said
    agents.kill(tenure("leader", "web", "--format", "json").json["machine"])
    lines = tenure("explain", "web").out.splitlines()
    [line] = [line for line in lines if line.startswith(leader)]
    assert " unknown " in line
