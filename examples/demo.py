"""`make demo`: three agents on three machines, an election, a fail-over and a transfer, each step verified.

All of it happens on this host: the machines are three `tenure agent` processes on a fresh store in a temporary folder,
driven with the `tenure` command as anybody would. The store is SQLite, or three members of etcd on this host, too (`make demo
STORE=etcd`). Ends within a minute; exits with 1, and says why, if anything was not as promised.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from demo_etcd import later_s
from demo_run import expect, run
from demo_stage import PATIENCE_S, Picture, Stage, Watch, leader_of
from demo_world import MACHINES, NotAsPromised, World, boottime_ns

CHARM = Path(__file__).resolve().parent / "shared-secret"
UNITS = ("web/0", "web/1", "web/2")
FAILOVER_WITHIN_S = 0.3
HAND_OVER_WITHIN_S = 1.0
SECRET_SETTING = "secret"


def play(world: World, stage: Stage, watch: Watch, lease_s: int) -> None:
    """The steps, in order. Raises NotAsPromised."""
    stage.heading(f"1. shared-secret is deployed (lease: {lease_s} s), and the agents of its three machines start")
    world.tenure("deploy", str(CHARM), "web", "-n", "3", "--to", ",".join(MACHINES), "--lease", f"{lease_s}s")
    watch.start()
    watch.until("status shows three units", lambda units: len(units) == len(UNITS))
    began = time.monotonic()
    for agent in world.agents.values():
        agent.start()
    first = leader_of(watch.until("a leader is elected", lambda units: leader_of(units) is not None))
    assert first is not None
    stage.verify(f"a leader was elected: {first}", f"{time.monotonic() - began:.1f} s after the agents' start")
    units = watch.until("all three units show the secret's fingerprint", all_share_one)
    fingerprint = units[first].fingerprint
    waited = sorted(stage.ever_waited)
    stage.verify(
        f"all three units show the same fingerprint: {fingerprint}",
        f"{time.monotonic() - began:.1f} s" + (f"; {' and '.join(waited)} waited for the leader" if waited else ""),
    )
    secret = world.json("settings", "web").get(SECRET_SETTING)
    expect(bool(secret), "the leader settings hold the secret")
    watch.until("all units are idle", lambda units: all(unit.agent == "idle" for unit in units.values()))

    machine = units[first].machine
    stage.heading(f"2. SIGKILL for the agent of {first}, the leader: no warning, no goodbye")
    killed_at = world.agents[machine].kill()
    second = leader_of(
        watch.until(
            "another unit is elected", lambda units: leader_of(units) not in (None, first), lease_s + PATIENCE_S
        )
    )
    assert second is not None
    after_kill = elected_after_s(world, second, killed_at)
    over = after_kill - lease_s
    within_s = FAILOVER_WITHIN_S + later_s(world.url, lease_s)
    expect(
        over <= within_s, f"leader-elected started {within_s:.1f} s after the lease's end at the latest ({over:.2f} s)"
    )
    expect(
        after_kill >= lease_s * 5 / 7,
        f"nobody was elected before the dead leader's lease had ended ({after_kill:.2f} s)",
    )
    stage.verify(
        f"{second} was elected once the lease had ended",
        f"leader-elected began {after_kill:.2f} s after the kill; lease {lease_s} s, renewed until then",
    )
    expect(world.json("settings", "web").get(SECRET_SETTING) == secret, "the secret is the same")
    watch.until(
        "the others still show the fingerprint",
        lambda units: all(units[unit].fingerprint == fingerprint for unit in UNITS if unit != first),
    )
    stage.verify("the secret is the same", str(fingerprint))
    terms = [(term["unit"], term["how"]) for term in world.json("history", "web")["terms"]]
    expect(
        terms == [(first, "expired"), (second, "")], f"history has one term that expired and one that goes on ({terms})"
    )

    stage.heading(f"3. The agent of {first} comes back, once status says that it is lost")
    watch.until(f"status says that {first}'s agent is lost", lambda units: units[first].agent == "lost", 2 * PATIENCE_S)
    began = time.monotonic()
    world.agents[machine].start()
    watch.until(
        f"{first} is back as a minion with the same secret",
        lambda units: (
            units[first].agent == "idle" and units[first].fingerprint == fingerprint and leader_of(units) == second
        ),
    )
    stage.verify(f"{first} is back, as a minion, with the same fingerprint", f"{time.monotonic() - began:.1f} s")

    stage.heading(f"4. Leadership is transferred to {first}, by name")
    asked_at, began = boottime_ns(), time.monotonic()
    world.tenure("transfer", first)
    took = time.monotonic() - began
    watch.until(f"{first} leads", lambda units: leader_of(units) == first)
    handed_over = elected_after_s(world, first, asked_at)
    expect(
        handed_over <= took + HAND_OVER_WITHIN_S,
        f"leader-elected began {handed_over:.2f} s after `tenure transfer` did",
    )
    expect(world.tenure("leader", "web").strip() == first, f"`tenure leader web` says {first}")
    expect(world.json("settings", "web").get(SECRET_SETTING) == secret, "the secret is the same")
    stage.verify(
        f"{first} leads, and nobody had to wait for a lease", f"leader-elected began after {handed_over:.2f} s"
    )


def all_share_one(units: Picture) -> bool:
    """Every unit shows a fingerprint, and it is the same."""
    return (
        len(units) == len(UNITS)
        and None not in (prints := {u.fingerprint for u in units.values()})
        and len(prints) == 1
    )


def elected_after_s(world: World, unit: str, since_ns: int) -> float:
    """How long after an instant of CLOCK_BOOTTIME the unit's leader-elected began, by its agent's log."""
    machine = world.json("status")["applications"]["web"]["units"][unit]["machine"]
    wanted = {"event": "hook-started", "hook": "leader-elected", "unit": unit}
    end = time.monotonic() + PATIENCE_S
    # The office has its holder first, and the hook starts a moment later.
    while time.monotonic() < end:
        for line in world.agents[machine].events():
            if wanted.items() <= line.items() and line["boot_ns"] > since_ns:
                return float(line["boot_ns"] - since_ns) / 1e9
        time.sleep(0.05)
    raise NotAsPromised(f"the agent's log has no leader-elected of {unit}")


if __name__ == "__main__":
    sys.exit(run(__doc__, play, MACHINES))
