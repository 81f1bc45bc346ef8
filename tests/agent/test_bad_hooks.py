"""Hooks that fail, hang, flood, or leave something behind, and agents that die in the middle of one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.agent.world import World, alive, boot_ns
from tests.waiting import until

pytestmark = pytest.mark.slow


def one(world: World, lease: str = "60s", **hooks: str) -> Path:
    """One unit on m0, whose hooks have begun; returns the charm's folder on the agent's side."""
    world.start("m0")
    world.tenure("deploy", world.charm(**hooks), "--to", "m0", "--lease", lease)
    return world.folder / "m0" / "agents" / "unit-web-0" / "charm"


def in_error(world: World, hook: str) -> None:
    until(
        lambda: world.unit("web/0")["workload-status"]["message"] == f'hook failed: "{hook}"',
        within_s=20,
        what="the unit in error",
    )


def test_a_hook_that_fails_puts_the_unit_in_error_until_it_is_resolved(world: World) -> None:
    charm = one(world, config_changed="test -e ../mended", start="")
    in_error(world, "config-changed")
    assert world.unit("web/0")["workload-status"]["current"] == "error"
    assert "start" not in world.hooks("m0", "web/0")
    (charm.parent / "mended").touch()
    world.tenure("resolved", "web/0")
    world.event("m0", event="hook-ended", hook="start")
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    assert "not in error" in world.tenure("resolved", "web/0", code=1)


def test_a_failed_hook_is_retried_by_itself_after_five_seconds(world: World) -> None:
    charm = one(world, config_changed="test -e ../mended", start="")
    failed = world.event("m0", event="hook-ended", hook="config-changed", how="failed")
    (charm.parent / "mended").touch()
    again = world.event("m0", event="hook-started", hook="config-changed", number=2)
    assert 5.0 <= (again["boot_ns"] - failed["boot_ns"]) / 1e9 < 7.0
    world.event("m0", event="hook-ended", hook="start")


def test_resolved_without_a_retry_counts_the_hook_as_done(world: World) -> None:
    one(world, config_changed="exit 3", start="")
    in_error(world, "config-changed")
    world.tenure("resolved", "web/0", "--no-retry")
    world.event("m0", event="hook-ended", hook="start")
    assert world.hooks("m0", "web/0") == ["config-changed", "start"]


def test_a_hook_that_fails_has_written_no_databag_but_its_settings(world: World) -> None:
    one(
        world,
        peers_relation_created="leader-set kept=yes\nrelation-set dropped=yes\nexit 1",
        update_status="",
    )
    in_error(world, "peers-relation-created")
    assert "kept" in world.tenure("settings", "web")
    world.tenure("resolved", "web/0", "--no-retry")
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")


def test_a_hook_without_its_run_bit_is_an_error_that_names_it(world: World) -> None:
    charm = world.charm(install="", start="")
    (charm / "hooks" / "start").chmod(0o644)
    world.start("m0")
    world.tenure("deploy", charm, "--to", "m0", "--lease", "60s")
    in_error(world, "start")
    assert any("hooks/start is not executable" in line["message"] for line in world.lines("m0"))
    (world.folder / "m0" / "agents" / "unit-web-0" / "charm" / "hooks" / "start").chmod(0o755)
    world.tenure("resolved", "web/0")
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")


def test_a_hook_that_prints_megabytes_is_logged_up_to_the_limit_and_succeeds(world: World) -> None:
    one(world, install="head -c 5000000 /dev/zero | tr '\\0' x", start="")
    world.event("m0", event="hook-ended", hook="start")
    assert any("more bytes of output were dropped" in line["message"] for line in world.lines("m0"))
    assert sum(path.stat().st_size for path in (world.folder / "m0" / "log").iterdir()) < 2_000_000


def test_a_hook_that_never_ends_is_ended_with_its_agent_and_runs_again(world: World) -> None:
    charm = one(world, install="test -e ../mended || sleep 600", start="")
    world.event("m0", event="hook-started", hook="install")
    assert world.end("m0") == 0
    (charm.parent / "mended").touch()
    world.start("m0")
    world.event("m0", event="hook-ended", hook="start")
    assert world.hooks("m0", "web/0") == ["install", "install", "start"], "it was no failure, so there was no wait"


def test_a_hook_that_was_told_true_has_as_long_as_nobody_else_may_lead(world: World) -> None:
    one(world, lease="4s", config_changed="is-leader\nsleep 600")
    world.event("m0", event="hook-started", hook="config-changed")
    until(lambda: [line for line in world.lines("m0") if line["message"] == "True"], within_s=10)
    begun = boot_ns()
    assert world.end("m0") == 0
    assert 1.0 < (boot_ns() - begun) / 1e9 < 5.0, "the guarantee is 2 s, and a True may be printed for 1 s"


def test_a_debt_ends_with_the_last_of_the_hook_s_processes(world: World) -> None:
    charm = one(world, config_changed="is-leader\nsetsid sleep 600 >/dev/null 2>&1 &\necho $! >../child", start="")
    world.event("m0", event="hook-ended", hook="start")
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    child = int((charm.parent / "child").read_text())
    assert alive(child), "children that outlive a finished hook are left alone"
    world.agents["m0"].terminate()
    world.event("m0", event="term-ends")
    assert world.events("m0", event="term-over") == [], "what the child was told is owed"
    os.kill(child, signal.SIGKILL)
    world.event("m0", event="term-over", within_s=5)
    assert world.agents["m0"].wait(10) == 0


def test_what_is_left_of_a_hook_is_ended_when_its_agent_died_and_the_hook_counts_as_failed(world: World) -> None:
    charm = one(world, install="echo $$ >../pid\ntest -e ../mended || sleep 600", start="")
    world.event("m0", event="hook-started", hook="install")
    pid = int(until(lambda: (charm.parent / "pid").exists() and (charm.parent / "pid").read_text()))
    world.kill("m0")
    assert alive(pid)
    (charm.parent / "mended").touch()
    world.start("m0")
    until(lambda: not alive(pid), what="the end of what is left")
    in_error(world, "install")
    world.tenure("resolved", "web/0")
    world.event("m0", event="hook-ended", hook="start")


def test_a_leader_elected_that_failed_is_run_again_by_an_agent_that_is_back_within_its_lease(world: World) -> None:
    charm = one(world, leader_elected="test -e ../mended", start="")
    in_error(world, "leader-elected")
    world.kill("m0")
    (charm.parent / "mended").touch()
    world.start("m0")
    world.event("m0", event="hook-ended", hook="start", within_s=15)
    terms = [line["term"] for line in world.events("m0", event="hook-started", hook="leader-elected")]
    assert len(terms) == 2
    assert terms[0] == terms[1]


def test_a_hook_that_was_killed_from_outside_runs_again_without_an_error(world: World) -> None:
    one(world, install="test -e ../again || { touch ../again; kill -KILL $$; }", start="")
    world.event("m0", event="hook-ended", hook="install", how="killed")
    world.event("m0", event="hook-ended", hook="start")
    assert world.hooks("m0", "web/0")[:2] == ["install", "install"]


def test_a_unit_that_is_removed_by_force_goes_whatever_its_hooks_do(world: World) -> None:
    one(world, lease="4s", install="sleep 600")
    world.event("m0", event="hook-started", hook="install")
    world.tenure("remove-unit", "web/0", "--force")
    world.event("m0", event="unit-gone", unit="web/0")
    assert "install" in world.hooks("m0", "web/0")


def test_a_dispatch_charm_gets_every_hook_by_its_one_file(world: World) -> None:
    charm = world.charm()
    dispatch = charm / "dispatch"
    dispatch.write_text('#!/bin/sh\necho "$JUJU_DISPATCH_PATH" >>../dispatched\n')
    dispatch.chmod(0o755)
    world.start("m0")
    world.tenure("deploy", charm, "--to", "m0", "--lease", "60s")
    world.event("m0", event="hook-ended", hook="start")
    assert (world.folder / "m0" / "agents" / "unit-web-0" / "dispatched").read_text().split() == [
        "hooks/install",
        "hooks/peers-relation-created",
        "hooks/leader-elected",
        "hooks/config-changed",
        "hooks/start",
    ]
