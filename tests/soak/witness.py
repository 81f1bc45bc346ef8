"""The witness outside of Tenure: programs that say on CLOCK_BOOTTIME that they run, and what their words show in the end.

A workload writes a line every few ms into a file of its own, whatever becomes of it, so that two that ran at the same
time are seen however they came to it. A hook does the same; one that was told True by is-leader says so for as long as
that holds, and counts in the leader settings: no number may come twice, and none may come late.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

WORK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = sys.argv[1] + "/" + os.environ["TENURE_OFFICE"].replace("/", ":")
os.makedirs(folder, exist_ok=True)
with open(f"{folder}/{os.environ['TENURE_TERM']}-{time.monotonic_ns()}", "w", buffering=1) as file:
    while True:
        print(time.clock_gettime_ns(time.CLOCK_BOOTTIME), file=file)
        time.sleep(0.005)
"""

HOOK = """#!{python} -IS
import os, subprocess, sys, time, random
WITNESS, GUARANTEE_NS = {witness!r}, {guarantee_ns}
name, unit = os.path.basename(sys.argv[0]), os.environ["JUJU_UNIT_NAME"]

def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

def tool(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

me = f"{{now()}}-{{os.getpid()}}"
hook = open(f"{{WITNESS}}/hooks/{{os.environ['JUJU_MACHINE_ID']}}/{{me}}", "w", buffering=1)
print(name, file=hook)

def beat():
    print(now(), file=hook)

def claim(until):
    with open(f"{{WITNESS}}/claims/{{unit.replace('/', ':')}}/{{me}}-{{until}}", "w", buffering=1) as file:
        for _ in range(random.randrange(70)):
            at = now()
            if at >= until:
                break
            print(at, file=file)
            beat()
            time.sleep(0.01)

def count():
    read = tool("leader-get", "n").stdout.strip()
    number, sent = int(read or "0") + 1, now()
    done = tool("leader-set", f"n={{number}}")
    with open(f"{{WITNESS}}/counted/{{me}}", "a") as file:
        how = "landed" if done.returncode == 0 else "refused" if "not the leader" in done.stderr else "unsure"
        print(how, number, sent, now(), unit, file=file)

if name == "leader-deposed":
    os.rename(hook.name, hook.name.replace("/hooks/", "/deposed/"))
    if float(os.environ["TENURE_SECONDS_LEFT"]) > 0:
        claim(int(os.environ["TENURE_DEADLINE_NS"]))
    sys.exit()
beat()
leads = tool("is-leader")
at = now()
if leads.stdout == "True\\n":
    # Printed before `at`, and true for the guarantee from then on, as long as this hook lasts.
    for _ in range(random.randrange(1, 4)):
        beat()
        count()
        beat()
        claim(at + GUARANTEE_NS)
seen = tool("leader-get", "n").stdout.strip()
if seen:
    with open(f"{{WITNESS}}/seen/.{{me}}", "w") as file:
        file.write(seen)
    os.rename(f"{{WITNESS}}/seen/.{{me}}", f"{{WITNESS}}/seen/{{unit.replace('/', ':')}}")
beat()
"""

SINGLETON = "single"
HOOKS = (
    "install",
    "start",
    "config-changed",
    "leader-elected",
    "leader-settings-changed",
    "leader-deposed",
    "update-status",
)


def now_ns() -> int:
    """This moment, as every witness has it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Span(NamedTuple):
    """Somebody's first word and last, and who it was."""

    first: int
    last: int
    who: str


@dataclass
class Findings:
    """What was seen in a soak's time."""

    terms: dict[str, int] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    """Of the offices with a workload: the share of time in which one ran."""
    overlaps: list[str] = field(default_factory=list)
    """Two workloads, two leaders, or two hooks of one machine, at the same time."""
    hooks: int = 0
    deposed: int = 0
    landed: int = 0
    """Settings whose writer was told that they landed."""
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Writes of deposed leaders that were accepted."""

    @property
    def broken(self) -> list[str]:
        """Each promise that did not hold."""
        return [*self.overlaps, *self.lost, *self.late]


class Witness:
    """The folder that the programs write to: on a disk that no fault fills."""

    def __init__(self, folder: Path, guarantee_ns: int) -> None:
        self.folder = folder
        for name in ("runs", "hooks", "deposed", "claims", "counted", "seen"):
            (folder / name).mkdir(parents=True)
        (folder / "work.py").write_text(WORK)
        self._hook = HOOK.format(python=sys.executable, witness=str(folder), guarantee_ns=guarantee_ns)

    def command(self) -> list[str]:
        """A workload."""
        return [sys.executable, "-I", "-S", str(self.folder / "work.py"), str(self.folder / "runs")]

    def charm(self, folder: Path, machines: Iterable[str], units: Iterable[str]) -> Path:
        """A charm whose every hook is witnessed, and its singleton's process."""
        (folder / "hooks").mkdir(parents=True)
        (folder / "metadata.yaml").write_text("name: web\nsummary: witnessed\npeers: {peers: {interface: web}}\n")
        (folder / "config.yaml").write_text("options: {n: {type: int, default: 0}}\n")
        singleton = {"command": self.command(), "restart": "always", "give-up": {"failures": 2, "within": "1s"}}
        (folder / "tenure.yaml").write_text(json.dumps({"singletons": {SINGLETON: singleton}}))
        for name in HOOKS:
            path = folder / "hooks" / name
            path.write_text(self._hook)
            path.chmod(0o755)
        for machine in machines:
            for kind in ("hooks", "deposed"):
                (self.folder / kind / machine).mkdir()
        for unit in units:
            (self.folder / "claims" / unit.replace("/", ":")).mkdir()
        return folder

    def runs(self, office: str) -> list[Span]:
        """Each run of an office's workload, in the order of the first."""
        return _spans(self.folder / "runs" / office.replace("/", ":"))

    def runs_now(self, office: str) -> bool:
        """Whether an office's workload has said so a moment ago."""
        return any(span.last > now_ns() - 1e9 for span in self.runs(office))

    def last_landed(self) -> int:
        """The greatest number of which a leader was told that it landed."""
        return max((line.number for line in self._counted() if line.how == "landed"), default=0)

    def seen(self) -> dict[str, int]:
        """The number that each unit's last hook has read."""
        return {
            path.name: int(path.read_text()) for path in (self.folder / "seen").iterdir() if path.name[0] not in "."
        }

    def findings(self, began: int, over: int) -> Findings:
        """What was seen from `began` on until `over`."""
        found = Findings()
        for folder in (self.folder / "runs").iterdir():
            runs = _spans(folder)
            found.terms[folder.name] = len({span.who.partition("-")[0] for span in runs})
            within = sum(max(0, min(span.last, over) - max(span.first, began)) for span in runs)
            found.held[folder.name] = within / (over - began)
            found.overlaps += [f"{folder.name}: terms {one.who} and {other.who}" for one, other in overlaps(runs)]
        for machine in (self.folder / "hooks").iterdir():
            spans = _spans(machine, skip=1)
            found.hooks += len(spans)
            found.overlaps += [f"hooks of {machine.name}: {one.who} and {other.who}" for one, other in overlaps(spans)]
        found.deposed = sum(1 for machine in (self.folder / "deposed").iterdir() for _ in machine.iterdir())
        claims = [
            Span(span.first, span.last, unit.name)
            for unit in (self.folder / "claims").iterdir()
            for span in _spans(unit)
        ]
        found.overlaps += [
            f"leaders: {one} and {other}" for one, other in overlaps(sorted(claims)) if one.who != other.who
        ]
        self._judge_counting(found)
        return found

    def _judge_counting(self, found: Findings) -> None:
        counted = self._counted()
        landed = sorted((line for line in counted if line.how == "landed"), key=lambda line: line.number)
        found.landed = len(landed)
        found.refused = sum(1 for line in counted if line.how == "refused")
        for one, other in itertools.pairwise(landed):
            if one.number == other.number:
                found.lost.append(f"settings: {one} was overwritten by {other}")
            elif other.answered < one.sent:
                found.late.append(f"settings: {one} landed after {other}")

    def _counted(self) -> list[Counted]:
        found = []
        for path in (self.folder / "counted").iterdir():
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    how, number, sent, answered, unit = line.split()
                    found.append(Counted(how, int(number), int(sent), int(answered), unit))
        return found


class Counted(NamedTuple):
    """One leader-set: what became of it, and between which moments."""

    how: str
    number: int
    sent: int
    answered: int
    unit: str


def overlaps(spans: list[Span]) -> list[tuple[Span, Span]]:
    """Those, in the order of their first words, that ran at the same time."""
    return [
        (one, other)
        for one, other in itertools.combinations(spans, 2)
        if other.first <= one.last and one.first <= other.last
    ]


def _spans(folder: Path, skip: int = 0) -> list[Span]:
    found = []
    if folder.exists():
        for path in folder.iterdir():
            lines = [line for line in path.read_text().split("\n")[:-1][skip:] if line]
            if lines:
                found.append(Span(int(lines[0]), int(lines[-1]), path.name))
    return sorted(found)
