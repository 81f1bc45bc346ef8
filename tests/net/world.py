"""Three hosts of etcd and three of Tenure on a network of their own, each with an agent, a `tenure hold`, and a witness."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tests.etcd import EtcdCluster, Member
from tests.net.hosts import Host, HostProcess, Link, Network
from tests.net.witness import DEPOSED, Claim, Verdict, Witness, events
from tests.waiting import until

LEASE_S = 6
GUARANTEE_S = LEASE_S / 2
WITHIN_S = 30.0
MACHINES = ("m0", "m1", "m2")

T = TypeVar("T")


class WallClock:
    """Another wall clock for those processes that have `environment`; no other clock of theirs is touched."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wallclock"
        library = folder / "wallclock.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        source = Path(__file__).parent.parent / "soak" / "wallclock.c"
        command = [compiler or "cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        self.can_be_had = compiler is not None and subprocess.run(command, check=False).returncode == 0
        self.environment = {"LD_PRELOAD": str(library), "SOAK_WALL_CLOCK": str(self._file)} if self.can_be_had else {}
        self._file.write_bytes(struct.pack("q", 0))

    def move(self, by_s: int) -> None:
        """It is so much ahead from now on."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", by_s))


def now_ns() -> int:
    """Now, as witnesses write it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class TenureHost:
    """What runs on one of Tenure's hosts. Its disk outlives its power; `unit` is the one unit of `web` on it."""

    def __init__(self, world: NetWorld, host: Host, unit: str) -> None:
        self.world = world
        self.host = host
        self.unit = unit
        self.who = unit.replace("/", "-")
        self.state = world.folder / host.name
        self.running: dict[str, HostProcess] = {}
        self.extra: dict[str, str] = {}

    def __repr__(self) -> str:
        return self.host.name

    @property
    def environment(self) -> dict[str, str]:
        """Of all that runs on it. `extra` is the agent's and the hold's alone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "JUJU_"))}
        own = {
            "XDG_RUNTIME_DIR": "/run",
            "TMPDIR": "/run",
            "XDG_STATE_HOME": str(self.state / "home"),
            "TENURE_STORE": self.world.url,
        }
        return kept | own

    def start(self, *names: str) -> None:
        """Start what doesn't run of `agent`, `hold` and `watch`: all of them by default."""
        for name in names or ("agent", "hold", "watch"):
            process = self.running.get(name)
            if process is None or process.poll() is not None:
                with (self.world.folder / f"{self.host.name}.{name}.log").open("ab") as log:
                    more = self.extra if name != "watch" else {}
                    self.running[name] = self.host.popen(self._command(name), self.environment | more, log)

    def _command(self, name: str) -> list[str]:
        witness = self.world.witness.folder
        match name:
            case "agent":
                arguments = ["agent", "--machine", self.host.name, "--state-dir", str(self.state)]
                return [sys.executable, "-m", "tenure", *arguments]
            case "hold":
                work = [sys.executable, "-I", "-S", str(witness / "job.py"), str(witness / "jobs")]
                return [sys.executable, "-m", "tenure", "hold", "job", "--lease", f"{LEASE_S}s", "-v", "--", *work]
            case _:
                tool = str(self.state / "bin" / "juju-exec")
                loop = [sys.executable, "-I", "-S", str(witness / "loop.py")]
                return [*loop, tool, self.unit, str(witness / "watch.py"), str(witness)]

    def power_off(self) -> None:
        """Every process dies at once; the disk stays."""
        self.host.power_off()
        self.running.clear()

    def power_on(self) -> None:
        """The host boots, and all of it starts."""
        self.host.power_on()
        self.start()

    def tenure(self, *arguments: str, code: int = 0) -> str:
        """What a command prints that is given on this host; it must exit with `code`."""
        done = self.host.run(sys.executable, "-m", "tenure", *arguments, environment=self.environment)
        assert done.returncode == code, f"tenure {arguments}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout

    def settings(self) -> dict[str, str]:
        """The leader settings as a hook of the unit sees them now."""
        tool = self.state / "bin" / "juju-exec"
        done = self.host.run(tool, self.unit, "leader-get --format json", environment=self.environment)
        return dict(json.loads(done.stdout or "{}") or {}) if done.returncode == 0 else {"": done.stderr}


class NetWorld:
    """Use it as a context manager: entered when a unit leads and a command runs. All is gone afterwards."""

    def __init__(self, version: str | None = None, *, extra: Mapping[str, str] | None = None) -> None:
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"tenure-net-{os.getpid()}-"))
        self.witness = Witness(self.folder / "seen", GUARANTEE_S)
        self.keep = False
        self.wall_clock = WallClock(self.folder)
        """Of the last host's agent and hold."""
        self.network = Network()
        try:
            stores = [self.network.add(f"e{number}") for number in range(3)]
            self.desk = self.network.add("desk")
            self.hosts = [
                TenureHost(self, self.network.add(name), f"web/{number}") for number, name in enumerate(MACHINES)
            ]
            self.hosts[2].extra = self.wall_clock.environment
            self.etcd = EtcdCluster(
                version,
                3,
                hosts=[host.address for host in stores],
                spawn=[host.spawn for host in stores],
                ctl_from=self.desk.enter,
            )
            self.url = self.etcd.url
            self.stores = dict(zip((member.host for member in self.etcd.members), stores, strict=True))
        except BaseException:
            self.network.close()
            raise

    def __enter__(self) -> NetWorld:
        try:
            self.etcd.__enter__()
            self.landed = self.folder / "landed"
            with (self.folder / "landed.log").open("ab") as log:
                script = [sys.executable, "-I", "-S", str(self.witness.folder / "landed.py"), str(self.landed)]
                self.desk.popen([*script, *self.etcd.ctl_command()], {**os.environ, "ETCDCTL_API": "3"}, log)
            self._deploy()
            for host in self.hosts:
                host.start()
            self.calm()
        except BaseException:
            self.keep = True
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Power off."""
        self.network.close()
        self.etcd.close()
        if self.keep:
            self.folder.rename(self.kept_as)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _deploy(self) -> None:
        charm = self.folder / "charm"
        (charm / "hooks").mkdir(parents=True)
        (charm / "metadata.yaml").write_text("name: web\npeers: {peers: {interface: web}}\n")
        seen = self.witness.folder
        hooks = {
            "leader-elected": "#!/bin/sh\nleader-set by-${JUJU_UNIT_NAME%/*}-${JUJU_UNIT_NAME#*/}-$TENURE_TERM=1\n",
            "leader-settings-changed": f"#!/bin/sh\nleader-get --format json >{seen}/settings-$JUJU_MACHINE_ID\n",
            "leader-deposed": DEPOSED.format(python=sys.executable, out=seen),
        }
        for name, text in hooks.items():
            (charm / "hooks" / name).write_text(text)
            (charm / "hooks" / name).chmod(0o755)
        where = ["--to", ",".join(MACHINES), "--lease", f"{LEASE_S}s"]
        self.tenure("deploy", str(charm), "web", "-n", "3", *where)

    def tenure(self, *arguments: str) -> str:
        """What a command prints that an operator gives from a host of their own."""
        done = self.desk.run(sys.executable, "-m", "tenure", *arguments, environment=self.hosts[0].environment)
        assert done.returncode == 0, f"tenure {arguments}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def kept_as(self) -> Path:
        """Where the logs are to be found when something was wrong."""
        return self.folder.with_name(self.folder.name.replace("tenure-net-", "tenure-net-failed-"))

    # ---- what the witnesses see

    def until(self, condition: Callable[[], T], what: str, within_s: float = WITHIN_S) -> T:
        """As tests.waiting.until; when it fails, the folder with all logs stays, and is named."""
        try:
            return until(condition, within_s=within_s, what=f"{what}; logs in {self.kept_as}")
        except AssertionError:
            self.keep = True
            raise

    def leader(self, since_ns: int = 0, *others: TenureHost) -> TenureHost:
        """The host whose unit was told last that it leads; waits until one is told so after that instant, `others` apart."""
        names = {host.who: host for host in self.hosts if host not in others}

        def told() -> list[TenureHost]:
            lines = [line for line in self.witness.said() if line["kind"] == "true" and line["unit"] in names]
            last = max(lines, key=lambda line: line["at"], default=None)
            return [names[last["unit"]]] if last is not None and last["at"] > since_ns else []

        return self.until(told, "a leader")[0]

    def job(self, since_ns: int) -> Claim:
        """The command that runs; waits until one does after that instant."""
        return self.until(lambda: [job for job in self.witness.jobs() if job.last > since_ns], "a command")[-1]

    def calm(self) -> None:
        """Heal and start everything; return once each unit answers, one leads, and a command runs."""
        self.network.heal()
        self.network.quicken()
        for member in self.etcd.members:
            if member.runs:
                member.go_on()
        down = [member for member in self.etcd.members if not member.runs]
        for member in down:
            self.stores[member.host].power_on()
            member.start(self.etcd.initial_cluster, "existing")
        for member in down:
            member.ready()
        for host in self.hosts:
            for process in host.running.values():
                process.go_on()
            host.power_on()
        began = now_ns()
        self.leader(began)
        self.job(began)

        def all_answer() -> bool:
            there = {line["unit"] for line in self.witness.said() if line["kind"] == "began" and line["at"] > began}
            return there >= {host.who for host in self.hosts}

        self.until(all_answer, "every unit to answer")

    def landed_lines(self) -> list[str]:
        """What `etcdctl watch` has written so far."""
        return [line for line in self.landed.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def judge(self) -> Verdict:
        """Whether all has been as promised until now. Waits until the units agree about the settings."""

        def agreed() -> dict[str, str]:
            writes = {write.key for write in self.witness.writes()}
            seen = [host.settings() for host in self.hosts]
            return seen[0] if seen[0] == seen[1] == seen[2] and writes <= seen[0].keys() else {}

        for host in self.hosts:
            if "watch" in host.running:
                host.running.pop("watch").kill()
        settings = self.until(agreed, "the units to agree")
        verdict = self.witness.judge(settings, self.landed_lines())
        for host in self.hosts:
            host.start("watch")
        self.keep |= bool(verdict)
        return verdict

    def term(self, since_ns: int = 0) -> str:
        """The term of whoever was told last that it leads, once that is after the instant."""
        leader = self.leader(since_ns)
        lines = [line for line in self.witness.said() if line["kind"] == "true" and line["unit"] == leader.who]
        return str(max(lines, key=lambda line: line["at"])["term"])

    def pass_by(self, seconds: float) -> None:
        """Let it run for so long."""
        over = now_ns() + seconds * 1e9
        until(lambda: now_ns() >= over, within_s=seconds + 60)

    # ---- faults

    def cut_from_etcd(self, host: TenureHost, *, requests: bool = True, answers: bool = True) -> list[Link]:
        """Nothing gets from the host to etcd, or nothing back."""
        links: list[Link] = []
        for store in self.stores.values():
            links += self.network.cut(host.host, store, both=False) if requests else []
            links += self.network.cut(store, host.host, both=False) if answers else []
        return links

    def host_of(self, member: Member) -> Host:
        """Where the member runs."""
        return self.stores[member.host]

    def compact(self) -> None:
        """Forget what `etcdctl watch` has seen, and defragment each member that answers."""
        seen = max((revision for _, _, revision in events(self.landed_lines())), default=1)
        self.etcd.run_ctl("compaction", str(seen))
        for member in self.etcd.members:
            self.etcd.run_ctl("defrag", at=[member])


def _sweep() -> None:
    """Remove what test processes that were killed have left. All else of theirs went with them."""
    for folder in Path(tempfile.gettempdir()).glob("tenure-net-[0-9]*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists():
            shutil.rmtree(folder, ignore_errors=True)
