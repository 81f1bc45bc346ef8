"""Faults drawn at random on one machine, against three agents and three `tenure hold`: python -m tests.soak --minutes 30 --seed 1

A witness outside of Tenure sees every start and end of a workload, every hook, and what leaders were told of their
settings. Prints the faults by kind, terms, overlaps and the share of time with a holder; exits with 1 when a promise was
broken, and then leaves everything in a folder that it names. `--without-guard` has holders that see to their commands
themselves, and stops them, to show that an overlap is found.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.soak.agents import Agents
from tests.soak.faults import Faults
from tests.soak.holds import OFFICE, Holds
from tests.soak.processes import be_a_subreaper, found_below, reap
from tests.soak.site import LEASE_S, Site
from tests.soak.witness import Findings, now_ns, overlaps
from tests.waiting import until

SETTLED_WITHIN_S = 90.0
"""From the last fault on: a hook's retries are seconds apart, and the machine may be slow."""

TRACEBACK = re.compile(r"^Traceback .*\n(?:(?: .*)?\n)+.*", re.MULTILINE)

Party = Holds | Agents


def soak(site: Site, parties: list[Party], faults: Faults, seconds: float) -> Findings:
    """Have faults strike for so long, then none; what was seen. What isn't settled then is a promise broken, too."""
    for party in parties:
        until(party.is_up, within_s=60, what=f"{type(party).__name__} to be up")
    began = now_ns()
    while now_ns() < began + seconds * 1e9:
        faults.one()
        pause(faults.draw.uniform(0.3, 3.0))
        for party in parties:
            party.keep_running()
            party.stir()
        reap({process.pid for party in parties for process in party.processes.values()})
    over = now_ns()
    faults.heal()
    found = site.witness.findings(began, over)
    found.lost += [why for party in parties if (why := unsettled(party))]
    return found


def unsettled(party: Party) -> str:
    """Why the party doesn't come to rest in time; nothing, when it does."""
    why = "not looked at"
    over = now_ns() + SETTLED_WITHIN_S * 1e9
    while why and now_ns() < over:
        party.keep_running()
        why = party.is_settled()
        pause(0.2 if why else 0)
    return f"not settled: {why}" if why else ""


def pause(seconds: float) -> None:
    """Let it run for a while."""
    over = now_ns() + seconds * 1e9
    until(lambda: now_ns() >= over, within_s=seconds + 10)


def without_guard(site: Site) -> list[str]:
    """Stop holders that have no guard until two commands run at the same time; what was seen."""
    holds = Holds(site, guarded=False)
    try:
        until(holds.is_up, within_s=60)

        def found() -> list[str]:
            holds.freeze_the_holder()
            return [f"{OFFICE}: terms {one.who} and {two.who}" for one, two in overlaps(site.witness.runs(OFFICE))]

        return until(found, within_s=60)
    finally:
        holds.close()


def report(found: Findings, faults: Faults, parties: list[Party], site: Site) -> list[str]:
    """What to say of it."""
    agents = [party for party in parties if isinstance(party, Agents)]
    struck = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.struck.items()))
    lines = [
        f"faults {faults.struck.total()}: {struck}",
        *(f"left out: {why}" for why in site.left_out),
        "terms: " + ", ".join(f"{office} {count}" for office, count in sorted(found.terms.items())),
        "with a holder: " + ", ".join(f"{office} {share:.0%}" for office, share in sorted(found.held.items())),
    ]
    if agents:
        ends = ", ".join(f"{how} {count}" for how, count in sorted(agents[0].ended.items()))
        lines += [
            f"hooks {found.hooks}, leader-deposed {found.deposed}; agents that ended by themselves or on SIGTERM: {ends or 0}",
            f"settings landed {found.landed}, refused {found.refused}",
        ]
    traced = Counter(
        text.strip().splitlines()[-1][:100]
        for path in site.folder.glob("*.err")
        for text in TRACEBACK.findall(path.read_text(errors="replace"))
    )
    lines += [
        *(f"traceback: {last} ({count})" for last, count in sorted(traced.items())),
        f"overlaps {len(found.overlaps)}, settings lost {len(found.lost)}, writes of deposed leaders accepted {len(found.late)}",
        *(f"  {line}" for line in found.broken[:20]),
    ]
    return lines


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--holds-only", action="store_true", help="No agents.")
    parser.add_argument("--without-guard", action="store_true")
    parser.add_argument("--keep", action="store_true", help="Leave everything there also where no promise was broken.")
    given = parser.parse_args()
    be_a_subreaper()
    print(f"seed {given.seed}, {given.minutes:g} min, leases of {LEASE_S} s", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="tenure-soak-"))
    broken: list[str] = ["it has not come to its end"]
    with contextlib.ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        site = Site(folder)
        ending.callback(site.close)
        if given.without_guard:
            found = without_guard(site)
            print(f"overlaps {len(found)}", flush=True)
            return 1
        ending.callback(lambda: keep(folder) if broken or given.keep else None)
        ending.callback(end_what_is_left)
        parties: list[Party] = [Holds(site)]
        ending.callback(parties[0].close)
        if not given.holds_only:
            parties.append(Agents(site, random.Random(given.seed + 1)))
            ending.callback(parties[1].close)
        faults = Faults(site, random.Random(given.seed))
        ending.callback(faults.heal)
        findings = soak(site, parties, faults, 60 * given.minutes)
        broken = findings.broken
        print("\n".join(report(findings, faults, parties, site)), flush=True)
        return 1 if broken else 0


def end_what_is_left() -> None:
    """Leave nothing running, whatever has become of the soak."""
    for pids in found_below(os.getpid()).values():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def keep(folder: Path) -> None:
    """Leave a copy of everything, logs and what the witness has seen."""
    subprocess.run(["cp", "-a", "--", str(folder), f"{folder}.kept"], check=False)
    print(f"everything of it is in {folder}.kept", flush=True)


if __name__ == "__main__":
    sys.exit(main())
