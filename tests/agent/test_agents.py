"""Real agents, real hooks, one store: elections, settings, hand-overs, restarts (promises 1, 2 and 6)."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import time

import pytest

from tenure.defaults import SAME_SIGNAL_S
from tests.agent.world import World, boot_ns
from tests.waiting import until

pytestmark = pytest.mark.slow

LEADS = {
    "leader_elected": 'leader-set "term=$TENURE_TERM"\nstatus-set active leads',
    "leader_settings_changed": 'status-set active "told $(leader-get term)"',
    "install": "",
    "config_changed": "",
    "start": "",
    "stop": "is-leader >../stop-led",
    "remove": "",
    "peers_relation_created": "",
    "peers_relation_joined": "relation-set says=$JUJU_UNIT_NAME",
    "peers_relation_changed": "",
    "peers_relation_departed": 'relation-list >../left; relation-get - "$JUJU_REMOTE_UNIT" >../said',
}


def two(world: World, lease: str = "4s", **hooks: str) -> tuple[str, str]:
    """Two idle units on m0 and m1; returns the leader's machine and the other."""
    for machine in ("m0", "m1"):
        world.start(machine)
    world.tenure("deploy", world.charm(**{**LEADS, **hooks}), "-n", "2", "--to", "m0,m1", "--lease", lease)
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    leader = "m0" if world.tenure("leader", "web").strip() == "web/0" else "m1"
    minion = "m1" if leader == "m0" else "m0"
    world.event(leader, event="hook-ended", hook="leader-elected")
    term = str(world.event(leader, event="elected")["term"])
    until(lambda: world.unit(f"web/{minion[1]}")["workload-status"]["message"] == f"told {term}", within_s=20)
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    return leader, minion


def test_the_first_hooks_come_in_juju_s_order_and_settings_reach_the_minion(world: World) -> None:
    leader, minion = two(world)
    first = ["install", "peers-relation-created"]
    led, told = world.hooks(leader, f"web/{leader[1]}"), world.hooks(minion, f"web/{minion[1]}")
    assert led[:5] == [*first, "leader-elected", "config-changed", "start"]
    assert told[:3] == [*first, "leader-settings-changed"]
    assert [hook for hook in told if not hook.startswith(("leader-settings", "peers"))] == [
        "install",
        "config-changed",
        "start",
    ]
    assert led.count("leader-elected") == 1
    for hooks in (led, told):
        # Hooks that aren't the relation's own may come between the two.
        relations = [hook for hook in hooks if hook.startswith("peers")]
        assert relations[1:3] == ["peers-relation-joined", "peers-relation-changed"]


def test_settings_written_later_reach_the_minion_and_unchanged_ones_are_no_event(world: World) -> None:
    leader, minion = two(
        world, config_changed='if [ "$(is-leader)" = True ]; then leader-set "color=$(config-get color)"; fi'
    )
    told = world.hooks(minion, f"web/{minion[1]}").count("leader-settings-changed")
    world.tenure("config", "web", "color=blue")
    world.event(minion, event="hook-ended", hook="leader-settings-changed", number=told + 1)
    assert json.loads(world.tenure("settings", "web", "--format", "json"))["color"] == "blue"
    assert "leader-settings-changed" not in world.hooks(leader, f"web/{leader[1]}")


def test_when_the_leader_s_agent_is_killed_another_is_elected_as_the_lease_ends(world: World) -> None:
    leader, minion = two(world)
    term = world.event(leader, event="elected")["term"]
    killed_at = boot_ns()
    world.kill(leader)
    started = world.event(minion, event="hook-started", hook="leader-elected")
    assert started["term"] > term
    assert 1.0 < (started["boot_ns"] - killed_at) / 1e9 < 4.0 + 1.0, "not before the lease can end, and soon after"
    world.start(leader)
    world.event(leader, event="hook-ended", hook="leader-settings-changed", unit=f"web/{leader[1]}")
    assert len(world.events(leader, event="hook-started", hook="leader-elected")) == 1, "it is back as a minion"


def test_an_idle_leader_s_agent_hands_over_at_sigterm(world: World) -> None:
    leader, minion = two(world, lease="60s")
    begun = boot_ns()
    assert world.end(leader) == 0
    started = world.event(minion, event="hook-started", hook="leader-elected")
    assert (started["boot_ns"] - begun) / 1e9 < 2.0, "far sooner than any lease"
    history = json.loads(world.tenure("history", "web", "--format", "json"))
    assert "released" in json.dumps(history)


def test_a_transfer_goes_to_the_unit_that_was_named(world: World) -> None:
    leader, minion = two(world, lease="60s")
    world.tenure("transfer", f"web/{minion[1]}")
    assert world.tenure("leader", "web").strip() == f"web/{minion[1]}"
    world.event(minion, event="hook-ended", hook="leader-elected")
    world.event(leader, event="hook-ended", hook="leader-settings-changed", unit=f"web/{leader[1]}")


def test_a_transfer_to_a_unit_that_is_away_changes_nothing(world: World) -> None:
    leader, minion = two(world, lease="60s")
    world.end(minion)
    said = world.tenure("transfer", f"web/{minion[1]}", code=1)
    assert "not present" in said
    assert world.tenure("leader", "web").strip() == f"web/{leader[1]}"


def test_a_transfer_waits_for_what_was_promised_unless_it_is_told_not_to(world: World) -> None:
    leader, minion = two(world, lease="60s")
    unit = f"web/{leader[1]}"
    answer = json.loads(world.tenure("is-leader", unit, "--format", "json"))
    assert answer["verdict"] == "yes"
    assert answer["owed_s"] > 25
    world.tenure("transfer", f"web/{minion[1]}", "--timeout", "1s", code=124)
    assert world.events(minion, event="hook-started", hook="leader-elected") == []
    world.tenure("is-leader", unit, code=1)


def test_a_transfer_that_is_told_not_to_wait_breaks_what_was_promised_and_the_history_says_so(world: World) -> None:
    leader, minion = two(world, lease="60s")
    world.tenure("is-leader", f"web/{leader[1]}")
    world.tenure("transfer", f"web/{minion[1]}", "--now", "--timeout", "10s")
    assert world.tenure("leader", "web").strip() == f"web/{minion[1]}"
    assert "at once" in world.tenure("history", "web", "--format", "json")


def test_a_transfer_that_waits_is_cut_short_by_one_that_is_told_not_to(world: World) -> None:
    leader, minion = two(world, lease="60s")
    world.tenure("is-leader", f"web/{leader[1]}")
    world.tenure("transfer", f"web/{minion[1]}", "--timeout", "1s", code=124)
    world.tenure("transfer", f"web/{minion[1]}", "--now", "--timeout", "10s")
    assert world.tenure("leader", "web").strip() == f"web/{minion[1]}"
    assert "transferred at once" in world.tenure("history", "web", "--format", "json")


def test_a_hook_that_hangs_does_not_hold_a_transfer_up_beyond_its_debt(world: World) -> None:
    leader, minion = two(world, config_changed="is-leader; test $(config-get color) = red || exec sleep 60")
    world.tenure("config", "web", "color=blue")
    world.event(leader, event="hook-started", hook="config-changed", number=2)
    world.tenure("transfer", f"web/{minion[1]}", "--timeout", "10s")
    assert world.tenure("leader", "web").strip() == f"web/{minion[1]}"


def test_an_agent_that_is_back_within_its_lease_takes_its_term_up_again(world: World) -> None:
    leader, _ = two(world, lease="60s")
    unit = f"web/{leader[1]}"
    term = world.event(leader, event="elected")["term"]
    world.kill(leader)
    world.start(leader)
    assert world.event(leader, event="elected", number=2)["term"] == term
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    assert json.loads(world.tenure("is-leader", unit, "--format", "json"))["term"] == term
    assert world.hooks(leader, unit).count("leader-elected") == 1
    assert "leader-settings-changed" not in world.hooks(leader, unit)


def test_a_leader_whose_store_is_silent_is_deposed_in_time_and_somebody_leads_when_it_is_back(world: World) -> None:
    leader, minion = two(world)
    term = world.event(leader, event="elected")["term"]
    with (world.folder / "tenure.db-lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        silent_at = boot_ns()
        ends = world.event(leader, event="term-ends", within_s=10)
        assert ends["because"] == "renewal overdue"
        assert (ends["boot_ns"] - silent_at) / 1e9 < 2.1, "while the guarantee is still sure: 2 s of a lease of 4 s"
    machine = until(
        lambda: [one for one in (leader, minion) if world.events(one, event="hook-started", hook="leader-elected")[-1:]
                 and world.events(one, event="hook-started", hook="leader-elected")[-1]["term"] > term],
        within_s=20,
        what="the next leader",
    )[0]  # fmt: skip
    assert world.tenure("leader", "web").strip() == f"web/{machine[1]}"


def test_the_leader_that_is_removed_leads_to_its_last_hook(world: World) -> None:
    leader, minion = two(world, lease="60s")
    unit = f"web/{leader[1]}"
    world.event(leader, event="hook-ended", hook="peers-relation-changed")
    world.tenure("remove-unit", unit)
    world.event(leader, event="unit-gone", unit=unit)
    hooks = world.hooks(leader, unit)
    assert hooks[-3:] == ["peers-relation-departed", "stop", "remove"]
    assert (world.folder / leader / "agents").is_dir()
    assert not (world.folder / leader / "agents" / f"unit-web-{leader[1]}").exists()
    over = world.event(leader, event="term-over")
    ended = world.event(leader, event="hook-ended", hook="remove")
    assert over["boot_ns"] > ended["boot_ns"]
    world.event(minion, event="hook-ended", hook="leader-elected")
    departed = world.event(minion, event="hook-ended", hook="peers-relation-departed")
    assert departed["how"] == "succeeded"
    kept = world.folder / minion / "agents" / f"unit-web-{minion[1]}"
    assert (kept / "left").read_text() == ""
    assert f"says: {unit}" in (kept / "said").read_text(), "what a unit had said stays readable while it departs"


def test_an_application_that_is_removed_leaves_nothing_behind(world: World) -> None:
    two(world)
    world.tenure("remove-application", "web")
    for machine in ("m0", "m1"):
        world.event(machine, event="unit-gone")
        assert list((world.folder / machine / "agents").iterdir()) == []
    assert json.loads(world.tenure("status", "--format", "json"))["applications"] == {}
    world.tenure("deploy", world.folder / "charm", "--to", "m0", "--lease", "4s")
    world.event("m0", event="hook-ended", hook="start", unit="web/2")


def test_one_hook_runs_at_a_time_on_a_machine(world: World) -> None:
    world.start("m0")
    busy = "echo begins >>../../busy; test -e ../../busy; sleep 0.05; echo ends >>../../busy"
    charm = world.charm(install=busy, config_changed=busy, start=busy)
    world.tenure("deploy", charm, "-n", "3", "--to", "m0,m0,m0", "--lease", "60s")
    for number in range(3):
        world.event("m0", event="hook-ended", hook="start", unit=f"web/{number}")
    assert (world.folder / "m0" / "agents" / "busy").read_text().split() == ["begins", "ends"] * 9


def test_after_a_reboot_of_its_host_a_unit_starts_again(world: World) -> None:
    leader, _ = two(world)
    unit = f"web/{leader[1]}"
    world.end(leader)
    journal = world.folder / leader / "agents" / f"unit-web-{leader[1]}" / "journal"
    told = json.loads(journal.read_text())
    assert told["boot_id"]
    journal.write_text(json.dumps({**told, "boot_id": "another"}))
    before = world.hooks(leader, unit)
    world.start(leader)
    world.event(leader, event="hook-ended", hook="start", unit=unit, number=2)
    assert "install" not in world.hooks(leader, unit)[len(before) :]


def test_the_second_agent_with_a_machine_s_name_refuses_and_names_the_first(world: World) -> None:
    first = world.start("m0")
    second = world.start("m0", state=world.folder / "other")
    assert second.wait(20) == 1
    said = (world.folder / "m0.err").read_text()
    assert f'machine "m0" has an agent already: process {first.pid} on ' in said
    assert first.poll() is None


def test_the_second_agent_on_a_state_folder_refuses_and_names_the_first(world: World) -> None:
    first = world.start("m0")
    second = world.start("m1", state=world.folder / "m0")
    assert second.wait(20) == 1
    assert f"process {first.pid}" in (world.folder / "m1.err").read_text()
    assert first.poll() is None


def test_an_agent_on_a_copy_of_the_state_folder_is_refused_and_the_term_stays_with_the_first(world: World) -> None:
    leader, _ = two(world)
    first, unit = world.agents[leader], f"web/{leader[1:]}"
    copy = shutil.copytree(world.folder / leader, world.folder / "copy")
    second = world.start(leader, state=copy)
    assert second.wait(20) == 1
    assert f"has an agent already: process {first.pid} on " in (world.folder / f"{leader}.err").read_text()
    assert first.poll() is None
    assert world.tenure("leader", "web").strip() == unit


def test_a_state_folder_of_another_machine_is_refused_and_its_terms_run_out(world: World) -> None:
    leader, minion = two(world)
    world.kill(leader)
    assert world.start("m9", state=world.folder / leader).wait(20) == 2
    assert f'belongs to machine "{leader}"' in (world.folder / "m9.err").read_text()
    world.event(minion, event="hook-started", hook="leader-elected")


def test_a_state_folder_of_another_model_is_refused(world: World) -> None:
    world.start("m0")
    world.end("m0")
    (world.folder / "tenure.db").unlink()
    agent = world.start("m0")
    assert agent.wait(20) == 2
    assert "belongs to another model" in (world.folder / "m0.err").read_text()


def test_a_unit_that_waits_for_a_machine_is_taken_up_by_the_first_that_comes(world: World) -> None:
    world.tenure("deploy", world.charm(**LEADS), "--lease", "4s")
    world.start("m0")
    world.event("m0", event="hook-ended", hook="start", unit="web/0")
    assert world.unit("web/0")["machine"] == "m0"


def test_an_agent_that_can_not_save_what_it_must_remember_ends_and_its_lease_protects_the_rest(world: World) -> None:
    leader, minion = two(world)
    desk = world.folder / leader / "desk" / "desk.json"
    desk.unlink()
    (desk / "in-the-way").mkdir(parents=True)
    ended_at = boot_ns()
    assert world.end(leader) != 0
    said = (world.folder / f"{leader}.err").read_text()
    assert "desk.json can be neither written nor removed" in said
    assert "Traceback" not in said
    started = world.event(minion, event="hook-started", hook="leader-elected", within_s=10)
    assert (started["boot_ns"] - ended_at) / 1e9 > 1.0, "not before the lease has ended"


def test_the_second_signal_ends_the_agent_at_once(world: World) -> None:
    leader, _ = two(world, lease="60s")
    unit = f"web/{leader[1]}"
    world.tenure("is-leader", unit)
    agent = world.agents[leader]
    agent.terminate()
    world.event(leader, event="term-ends")
    counts_from = time.monotonic() + SAME_SIGNAL_S
    until(lambda: time.monotonic() > counts_from)
    agent.terminate()
    assert agent.wait(10) == 128 + signal.SIGTERM


def test_a_signal_that_comes_twice_at_once_is_one_request(world: World) -> None:
    leader, _ = two(world, lease="4s")
    world.tenure("is-leader", f"web/{leader[1]}")
    agent = world.agents[leader]
    for _ in range(50):
        agent.terminate()
    assert agent.wait(10) == 0
