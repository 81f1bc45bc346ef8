"""Pauses, drains and priorities, with real agents: what operators do before they touch a host, and what it must not break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tenure
from tests.cli.test_with_agents import Agents
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_S = 8
"""Long enough that no term ends by itself on a machine at full load: who leads must not change but by what is tried."""


@pytest.fixture
def agents(tenure: Tenure, charm: Path) -> Iterator[Agents]:
    """Agents m0 and m1, each with a unit of web, which has a singleton "ticker"."""
    (charm / "tenure.yaml").write_text("singletons:\n  ticker:\n    command: [sleep, infinity]\n")
    agents = Agents(tenure)
    for machine in ("m0", "m1"):
        agents.start(machine)
    tenure("deploy", charm, "web", "-n", "2", "--to", "m0,m1", "--lease", f"{LEASE_S}s")
    tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "25s")
    yield agents
    agents.close()


def web(tenure: Tenure) -> dict[str, Any]:
    found: dict[str, Any] = tenure("status", "web", "--format", "json").json["applications"]["web"]
    return found


def ticker(tenure: Tenure) -> str:
    """The unit that runs the singleton, once its process runs."""

    def running() -> dict[str, Any] | None:
        found: dict[str, Any] = web(tenure)["singletons"]["ticker"]
        return found if found["state"] == "running" else None

    found = until(running, within_s=40, what="the ticker")
    assert found is not None
    return str(found["unit"])


def other(unit: str) -> str:
    return {"web/0": "web/1", "web/1": "web/0"}[unit]


def machine_of(tenure: Tenure, unit: str) -> str:
    return str(web(tenure)["units"][unit]["machine"])


def test_while_an_application_is_paused_its_leader_stays_and_a_vacancy_isnt_filled(
    tenure: Tenure, agents: Agents
) -> None:
    leader = tenure("leader", "web").out.strip()
    term = web(tenure)["units"][leader]["term"]
    tenure("pause", "web", "--reason", "the database moves")
    assert "web is paused since" in tenure("status").out
    assert "(the database moves)" in tenure("status").out
    assert tenure("is-leader", leader, "--for", "4s", "--format", "json").json["term"] == term
    agents.kill(machine_of(tenure, leader))
    until(lambda: tenure("leader", "web", code=None).code == 1, within_s=40, what="the lease's end")
    tenure("wait", "web", "--for", "leader", "--timeout", "1s", code=124)
    tenure("resume", "web")
    tenure("wait", "web", "--for", "leader", "--timeout", "25s")
    assert tenure("leader", "web").out.strip() == other(leader)


def test_a_drained_machine_gives_every_office_up_and_takes_none_until_it_is_undrained(
    tenure: Tenure, agents: Agents
) -> None:
    running = ticker(tenure)
    leader = tenure("leader", "web").out.strip()
    if running != leader:
        tenure("transfer", running)
        leader = running
    machine = machine_of(tenure, leader)
    done = tenure("drain", machine, "--timeout", "25s", "--format", "json")
    assert {one["office"]: one["to"] for one in done.json["offices"]} == {
        "web/leader": other(leader),
        "web/ticker": other(leader),
    }
    assert web(tenure)["units"][other(leader)]["leader"] is True
    assert ticker(tenure) == other(leader)
    history = tenure("history", "web", "--format", "json").json["terms"]
    assert history[-2]["how"] == "transferred", "handed over, with no moment in which nobody led"
    assert f"{machine} is drained" in tenure("status").out
    assert "not present" in tenure("transfer", leader, code=1).err
    placed = tenure("add-unit", "web").out.strip()
    assert machine_of(tenure, placed) != machine
    assert tenure("drain", machine).err == f"{machine} is drained already\n"
    tenure("undrain", machine)
    until(lambda: tenure("transfer", leader, code=None).code == 0, within_s=30)
    assert tenure("leader", "web").out.strip() == leader


def test_a_drain_goes_on_after_a_restart_of_the_agent_and_of_its_only_candidate_the_office_is_vacant(
    tenure: Tenure, agents: Agents, charm: Path
) -> None:
    tenure("deploy", charm, "solo", "--to", "m0", "--lease", f"{LEASE_S}s")
    tenure("wait", "solo", "--for", "idle", "--for", "leader", "--timeout", "25s")
    agents.kill("m0")
    late = tenure("drain", "m0", "--timeout", "0.2s", code=124)
    assert "solo/0 holds solo/leader yet" in late.err
    assert "m0 stays drained" in late.err
    agents.start("m0")
    done = tenure("drain", "m0", "--timeout", "25s", "--format", "json")
    assert tenure("leader", "solo", code=1).out == ""
    assert all(one["to"] != "solo/0" for one in done.json["offices"])
    tenure("undrain", "m0")
    tenure("wait", "solo", "--for", "leader", "--timeout", "25s")


def test_what_is_owed_is_waited_for_before_a_drained_machine_hands_over(tenure: Tenure, agents: Agents) -> None:
    leader = tenure("leader", "web").out.strip()
    assert tenure("is-leader", leader, "--for", "2s", "--format", "json").json["verdict"] == "yes"
    assert tenure("is-leader", leader, "--for", "0s", "--format", "json").json["owed_s"] >= 0
    tenure("drain", machine_of(tenure, leader), "--timeout", "25s")
    assert tenure("leader", "web").out.strip() == other(leader)


def test_the_unit_of_the_greatest_priority_comes_first_and_takes_the_office_from_nobody(
    tenure: Tenure, agents: Agents
) -> None:
    leader = tenure("leader", "web").out.strip()
    third = tenure(
        "add-unit", "web", "--to", "m0" if machine_of(tenure, leader) == "m1" else "m1", "--priority", "10"
    ).out.strip()
    tenure("wait", "web", "--for", "idle", "--timeout", "25s")
    assert tenure("priority", third).out == "10\n"
    assert tenure("priority", other(leader), "--", "-5").out == "-5\n"
    assert tenure("leader", "web").out.strip() == leader
    [row] = [line for line in tenure("status", "web").out.splitlines() if line.startswith(third)]
    assert row.split()[4] == "10"
    tenure("remove-unit", leader, "--wait", "--timeout", "25s")
    tenure("wait", "web", "--for", "leader", "--timeout", "25s")
    assert tenure("leader", "web").out.strip() == third


def test_an_office_without_an_application_is_shown_paused_and_drained_with_its_host(
    tenure: Tenure, agents: Agents, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    job = ("sh", "-c", f"echo $TENURE_TERM >> {ran}; exec sleep 60")
    tenure("pause", "--office", "cron")
    assert tenure("hold", "cron", "--no-wait", "--lease", f"{LEASE_S}s", "--", *job, code=1).out == ""
    holding = tenure.start("hold", "cron", "--lease", f"{LEASE_S}s", "--", *job)
    office = until(lambda: tenure("status", "--format", "json").json["offices"].get("cron"), within_s=40)
    until(lambda: tenure("status", "--format", "json").json["offices"]["cron"]["candidates"], within_s=40)
    assert (office["holder"], "paused" in office) == (None, True)
    assert not ran.exists()
    tenure("resume", "--office", "cron")
    until(ran.exists, within_s=40)
    [row] = [line for line in tenure("status").out.splitlines() if line.startswith("cron ")]
    assert row.split()[2] == ran.read_text().strip()
    done = tenure("drain", "m0", "--timeout", "25s", "--format", "json").json
    assert "cron" in {one["office"] for one in done["offices"]}
    assert "cron" not in tenure("status", "--format", "json").json["offices"], "nobody holds it, nobody wants it"
    assert holding.poll() is None
    tenure("undrain", "m0")
    until(lambda: len(ran.read_text().split()) == 2, within_s=40)
    holding.terminate()
    _, err = holding.communicate(timeout=20)
    assert "this host is drained" in err


def test_what_isnt_there_is_named_and_nothing_is_changed(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm, "web", "--to", "m0")
    before = tenure("status", "--format", "json").json
    for arguments, says in [
        (["pause"], "name an application, or an office"),
        (["resume", "web", "--office", "cron"], "name an application, or an office"),
        (["pause", "wbe"], 'no application "wbe"'),
        (["resume", "--office", "corn"], 'no office "corn"'),
        (["drain", "m7"], 'no machine "m7"'),
        (["undrain", "m/0"], "not a machine's name"),
        (["priority", "web/7", "1"], 'no unit "web/7"'),
        (["priority", "web/0", "9999999"], "a priority of 9999999 is none"),
        (["priority", "web/0", "high"], "not a valid integer"),
    ]:
        assert says in tenure(*arguments, code=2).err
    assert tenure("status", "--format", "json").json == before
