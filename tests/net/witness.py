"""Who acted as leader, and what ran, when: written down and judged without any of Tenure's code.

Three witnesses, all by CLOCK_BOOTTIME, which namespaces share:
- on each host a script that runs in a unit's context by `juju-exec`, again and again: it asks `is-leader`, and says when it
  was told True, until when it was still there, and which settings it wrote as leader. A True is for the guarantee, as
  long as the script is there: nobody else may be told True meanwhile;
- a command under `tenure hold` on each host, which writes a line every few ms whatever becomes of it;
- `etcdctl watch`: etcd's own word for which writes landed, in which order, and who held the office then.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# In a unit's context: watch.py FOLDER SECONDS
WATCH = """
import json, os, sys, time, subprocess
out, seconds = sys.argv[1], float(sys.argv[2])
unit, term = os.environ["JUJU_UNIT_NAME"].replace("/", "-"), os.environ.get("TENURE_TERM", "")
now = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
run = f"{unit}.{now()}"
file = os.open(f"{out}/leader-{unit}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
def say(kind, **more):
    os.write(file, (json.dumps({"run": run, "unit": unit, "term": term, "kind": kind, "at": now(), **more}) + "\\n").encode())
say("began")
end, wrote = now() + seconds * 1e9, False
while now() < end:
    if subprocess.run(["is-leader"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout == b"True\\n":
        say("true")
        if not wrote:
            wrote, number = True, now()
            said = subprocess.run(["leader-set", f"by-{unit}-{term or 0}={number}"], stderr=subprocess.DEVNULL)
            say("wrote", number=number, ok=said.returncode == 0)
    else:
        say("here")
    time.sleep(0.15)
    say("here")
"""

# On each host: runs WATCH in the unit's context as long as there is an agent that answers.
LOOP = """
import subprocess, sys, time
tool, unit, script, out = sys.argv[1:]
while True:
    command = f"exec {sys.executable} -I -S {script} {out} 1"
    try:
        ran = subprocess.run([tool, unit, command], stdin=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        ran = False
    if not ran:
        time.sleep(0.2)
"""

# Keeps `etcdctl watch` going, which ends where a member has lost its leader, and misses no revision: landed.py FILE ETCDCTL…
LANDED = """
import json, subprocess, sys, time
out, *etcdctl = sys.argv[1:]
seen = 0
with open(out, "w", buffering=1) as file:
    while True:
        command = [*etcdctl, "watch", "--prefix", "/tenure/", "-w", "json", f"--rev={seen + 1}"]
        watch = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in watch.stdout:
            events = json.loads(line).get("Events") if line.startswith("{") else None
            if events:
                file.write(line)
                seen = max(event["kv"]["mod_revision"] for event in events)
        watch.wait()
        time.sleep(0.1)
"""

# Under `tenure hold`: job.py FOLDER
JOB = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1] + "/" + os.environ["TENURE_TERM"], "w", buffering=1) as file:
    while True:
        print(time.clock_gettime_ns(time.CLOCK_BOOTTIME), file=file)
        time.sleep(0.01)
"""

# The charm's hooks/leader-deposed.
DEPOSED = """#!/bin/sh
exec {python} -I -S -c '
import json, os, time
unit = os.environ["JUJU_UNIT_NAME"].replace("/", "-")
now, late = time.clock_gettime_ns(time.CLOCK_BOOTTIME), float(os.environ.get("TENURE_SECONDS_LEFT", "0")) <= 0
line = {{"unit": unit, "term": os.environ["TENURE_TERM"], "at": now, "late": late}}
with open("{out}/deposed-" + unit, "a") as file:
    file.write(json.dumps(line) + "\\n")
'
"""


@dataclass(frozen=True)
class Claim:
    """From when until when a unit, or a command, acted as the one."""

    who: str
    first: int
    last: int


@dataclass
class Write:
    """A setting that a unit wrote as leader, and was told that it has landed."""

    key: str
    number: int


@dataclass
class Verdict:
    """What is wrong; nothing, when all lists are empty."""

    leaders: list[tuple[Claim, Claim]] = field(default_factory=list)
    jobs: list[tuple[Claim, Claim]] = field(default_factory=list)
    lost: list[Write] = field(default_factory=list)
    deposed_wrote: list[str] = field(default_factory=list)
    deposed_late: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.leaders or self.jobs or self.lost or self.deposed_wrote or self.deposed_late)


class Witness:
    """Reads what is in a folder. `guarantee_s`: how long a True is for."""

    def __init__(self, folder: Path, guarantee_s: float) -> None:
        self.folder = folder
        self.guarantee_ns = round(guarantee_s * 1e9)
        self.jobs_folder = folder / "jobs"
        self.jobs_folder.mkdir(parents=True)
        self._read: dict[Path, tuple[int, list[dict[str, Any]]]] = {}
        for name, text in (("watch.py", WATCH), ("loop.py", LOOP), ("job.py", JOB), ("landed.py", LANDED)):
            (folder / name).write_text(text)

    def said(self, what: str = "leader") -> list[dict[str, Any]]:
        """The lines of all units, in no order. Each is read once."""
        for path in self.folder.glob(f"{what}-*"):
            offset, lines = self._read.get(path, (0, []))
            with path.open("rb") as file:
                file.seek(offset)
                new = file.read()
            new = new[: new.rfind(b"\n") + 1]
            self._read[path] = (offset + len(new), lines + [json.loads(line) for line in new.splitlines()])
        return [line for path, (_, lines) in self._read.items() if path.name.startswith(f"{what}-") for line in lines]

    def leaders(self) -> list[Claim]:
        """When who was leader, as far as it was told so: to the end of the guarantee, or of the script."""
        claims = []
        runs: dict[str, list[dict[str, Any]]] = {}
        for line in self.said():
            runs.setdefault(line["run"], []).append(line)
        for lines in runs.values():
            told = [line["at"] for line in lines if line["kind"] == "true"]
            if told:
                there = max(line["at"] for line in lines)
                claims.append(Claim(lines[0]["unit"], min(told), min(there, max(told) + self.guarantee_ns)))
        return sorted(claims, key=lambda claim: claim.first)

    def jobs(self) -> list[Claim]:
        """When the command ran, by its term."""
        found = []
        for path in self.jobs_folder.iterdir():
            with path.open("rb") as file:
                first = file.readline()
                file.seek(max(0, file.seek(0, 2) - 100))
                last = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
            if first.endswith(b"\n"):
                found.append(Claim(path.name, int(first), int(last)))
        return sorted(found, key=lambda claim: claim.first)

    def writes(self) -> list[Write]:
        """The settings that were accepted, as their writers were told."""
        return [
            Write(f"by-{line['unit']}-{line['term'] or 0}", line["number"])
            for line in self.said()
            if line["kind"] == "wrote" and line["ok"]
        ]

    def judge(self, settings: dict[str, str], landed: Iterable[str]) -> Verdict:
        """Whether all was as promised. `settings`: those of now; `landed`: what `etcdctl watch` has written."""
        leaders = self.leaders()
        return Verdict(
            leaders=overlaps(leaders),
            jobs=overlaps(self.jobs()),
            lost=[write for write in self.writes() if int(settings.get(write.key, 0)) < write.number],
            deposed_wrote=not_by_the_holder(landed),
            deposed_late=[
                f"{line['unit']} of term {line['term']}, during {claim.who}'s"
                for line in self.said("deposed")
                for claim in leaders
                if not line["late"] and claim.who != line["unit"] and claim.first <= line["at"] <= claim.last
            ],
        )


def overlaps(claims: list[Claim]) -> list[tuple[Claim, Claim]]:
    """Those of different claimants at the same time. `claims` in the order of their beginnings."""
    found = []
    latest: list[Claim] = []
    for claim in claims:
        latest = [other for other in latest if other.last >= claim.first]
        found += [(other, claim) for other in latest if other.who != claim.who]
        latest.append(claim)
    return found


def not_by_the_holder(lines: Iterable[str], application: str = "web") -> list[str]:
    """The settings' writes that landed while their writer, in their writer's term, was not the holder.

    `lines`: of `etcdctl watch -w json` over all keys, from before the first write. A key of the settings names its
    writer and its term (by-web-0-17), and its value grows.
    """
    holder, term = "", 0
    before: dict[str, str] = {}
    wrong = []
    for key, value, revision in events(lines):
        if key.endswith(f"/apps/{application}/offices/leader/holder"):
            holder, term = (value["unit"].replace("/", "-"), revision) if value else ("", 0)
        elif key.endswith(f"/apps/{application}/settings"):
            settings = settings_in(value)
            for name in [name for name, number in settings.items() if before.get(name) != number]:
                writer, _, said = name.removeprefix("by-").rpartition("-")
                if writer != holder or (said != "0" and int(said) != term):
                    wrong.append(f"{name} at {revision}, when {holder or 'nobody'} held term {term}")
            before = settings
    return wrong


def terms(lines: Iterable[str], application: str = "web") -> int:
    """How many terms of the leader etcd has seen."""
    key = f"/apps/{application}/offices/leader/holder"
    return sum(name.endswith(key) and value is not None for name, value, _ in events(lines))


def events(lines: Iterable[str]) -> Iterator[tuple[str, Any, int]]:
    """Key, value (None: deleted) and revision of each change in what `etcdctl watch -w json` has written."""
    for line in lines:
        for event in json.loads(line).get("Events", []):
            entry = event["kv"]
            gone = event.get("type") in (1, "DELETE")
            key = base64.b64decode(entry["key"]).decode()
            # Charms' archives are no JSON, and none of ours to judge.
            if "/apps/" in key:
                yield key, None if gone else json.loads(base64.b64decode(entry["value"])), entry["mod_revision"]


def settings_in(record: Any) -> dict[str, str]:
    """The settings of the witnesses, wherever in the record they stand."""
    if not isinstance(record, dict):
        return {}
    own = {name: value for name, value in record.items() if name.startswith("by-") and isinstance(value, str)}
    for value in record.values():
        own |= settings_in(value)
    return own
