"""What one seed's world is like, drawn from the seed: how many agents and offices, how long their leases, which faults."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tenure.clock import NS_PER_S
from tenure.defaults import DRIFT
from tenure.office.timing import Timing

FAULT_AT_LEAST_EVERY_S = 36
StoreKind = Literal["embedded", "etcd", "early etcd"]
"""A store that ends no lease before its time; one whose leases outlive a change of its leader, but whose former leader
answers renewals for a moment; and one whose former leader may end leases before their time, too.
"""

TTLS_S = (3, 6, 10, 15, 20, 30, 60)


@dataclass(frozen=True, slots=True)
class Weather:
    """What messages and mirrors suffer: chances for each message, lengths in nanoseconds."""

    lost: float = 0.0
    late: float = 0.0
    doubled: float = 0.0
    refused: float = 0.0
    """Not taken at all, and told so at once: the one failure that is sure."""
    mirror_late: float = 0.0
    late_ns: int = 0
    """How late the late ones are, at most."""


FINE = Weather()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One world. `weights`: how often each kind of fault and of operator's wish comes, against the others."""

    seed: int
    agents: int
    hosts: int
    offices: tuple[tuple[str, ...], ...]
    """The offices of each application; the first is its leader."""
    timings: tuple[Timing, ...]
    """The lease of each application."""
    rates: tuple[float, ...]
    """Each host's clock against real time; the last is the store's."""
    weather: Weather
    fault_every_ns: int
    hook_every_ns: int
    ask_every_ns: int
    epoch_ns: int
    """How long faults go on before all is healed, and progress is asked for."""
    weights: dict[str, float]
    dies: float
    """The chance of an agent to be killed between two decisions where that may matter."""
    freezes: float
    """The chance of an agent to be stopped there."""
    store: StoreKind
    guarded: bool
    """What runs on the terms of offices other than a leader's has a guard."""
    ends_late: bool
    answers_longer: bool

    @property
    def may_end_early(self) -> bool:
        """A lease may end before its time."""
        return self.store == "early etcd"

    @property
    def confirm_renewals(self) -> bool:
        """A renewal counts only once a read has confirmed it."""
        return self.store != "embedded"

    @property
    def ttl_ns(self) -> int:
        """The longest lease."""
        return max(timing.ttl_ns for timing in self.timings)


FAULTS = {
    "cut off": 2.0,
    "requests cut off": 1.5,
    "answers cut off": 1.5,
    "store silent": 1.0,
    "store stalled": 1.0,
    "agent stopped": 2.0,
    "agent killed": 3.0,
    "agent killed thrice": 0.3,
    "older folder put back": 0.3,
    "host rebooted": 0.5,
    "host asleep": 1.0,
    "clock slewed": 1.5,
    "mirror stalled": 1.5,
    "guard killed": 0.5,
    "guard stopped": 0.5,
    "storm": 0.7,
}
CHANGES = {"leader of the store changes": 2.0}
"""Only where the store has members."""
EARLY = {"lease ended early": 1.0}
"""Only where the store may do so."""
WISHES = {
    "transfer": 3.0,
    "transfer at once": 0.4,
    "transfer to one that goes": 0.5,
    "release": 1.5,
    "release at once": 0.4,
    "SIGTERM": 1.2,
    "unit removed": 0.8,
    "key deleted by hand": 0.15,
}


def draw(seed: int, store: StoreKind | None = None) -> Scenario:
    """The world of a seed, on this kind of store or on one that is drawn, too.

    Most worlds lack some kinds of faults, so that what others would hide shows in them.
    """
    if store is None:
        kinds: tuple[StoreKind, ...] = ("embedded", "etcd", "early etcd")
        store = random.Random(seed ^ 0x0E7CD).choices(kinds, (5, 3, 2))[0]
    dice = random.Random(seed ^ 0x7E4012E)
    ttl_s = dice.choices(TTLS_S, (1, 2, 6, 6, 6, 6, 6))[0]
    applications = 2 if ttl_s >= 30 and dice.random() < 0.5 else 1
    agents = dice.choice((2, 3, 3, 4) if ttl_s >= 15 else (2, 3) if ttl_s >= 6 else (2,))
    agents += 2 * (ttl_s == 60 and dice.random() < 0.3)
    hosts = agents - 1 if agents > 2 and dice.random() < 0.25 else agents
    offices = tuple(
        (f"{name}/leader", f"{name}/cron") if dice.random() < 0.5 else (f"{name}/leader",)
        for name in ("web", "db")[:applications]
    )
    timings = []
    for _ in range(applications):
        timing = Timing.for_lease(ttl_s)
        if dice.random() < 0.3:
            least, most = timing.renew_every_ns / NS_PER_S, timing.sure_ns(ttl_s) / NS_PER_S - ttl_s / 7
            timing = Timing.for_lease(ttl_s, round(least + (most - least) * (0.1 + 0.75 * dice.random()), 3))
        timings.append(timing)
    skew = [dice.choice((-1.0, 1.0, 2 * dice.random() - 1)) for _ in range(hosts + 1)]
    rates = FAULTS | WISHES | (EARLY if store == "early etcd" else {}) | (CHANGES if store != "embedded" else {})
    weights = {kind: weight * dice.choice((0.0, 0.5, 1.0, 1.0, 2.0)) for kind, weight in rates.items()}
    weights["agent killed"] += 0.5
    calm = dice.random() < 0.2
    weather = (
        FINE
        if calm
        else Weather(
            lost=dice.choice((0.0, 0.01, 0.05)),
            late=dice.choice((0.0, 0.02, 0.06)),
            doubled=dice.choice((0.0, 0.02, 0.05)),
            refused=dice.choice((0.0, 0.01)),
            mirror_late=dice.choice((0.0, 0.1, 0.3)),
            late_ns=int(ttl_s * NS_PER_S * dice.choice((0.1, 0.5, 1.5))),
        )
    )
    return Scenario(
        seed=seed,
        agents=agents,
        hosts=hosts,
        offices=offices,
        timings=tuple(timings),
        rates=tuple(1.0 + part * DRIFT / 2 for part in skew),
        weather=weather,
        fault_every_ns=int(min(ttl_s * dice.choice((0.5, 1.0, 2.0)), FAULT_AT_LEAST_EVERY_S) * NS_PER_S),
        hook_every_ns=int(max(2, ttl_s * dice.choice((0.2, 0.5, 1.0))) * NS_PER_S),
        ask_every_ns=int(max(2, ttl_s * dice.choice((0.15, 0.4, 2.0))) * NS_PER_S),
        epoch_ns=600 * NS_PER_S,
        weights=weights,
        dies=dice.choice((0.0, 0.01, 0.04)),
        freezes=dice.choice((0.0, 0.01, 0.03)),
        store=store,
        ends_late=dice.random() < 0.2,
        answers_longer=dice.random() < 0.15,
        guarded=dice.random() < 0.6,
    )
