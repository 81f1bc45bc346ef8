"""A real etcd for tests: one member or three, on loopback or wherever `spawn` puts them; gone with the test's process.

Data lie in memory (tmpfs), so that fsync costs nothing. `make etcd` fetches the programs.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

from tests.waiting import until

PROGRAMS = Path(__file__).resolve().parent.parent / ".venv" / "etcd"
HOW = "run `make etcd`, which fetches what Debian offers and installs nothing"
READY_WITHIN_S = 30.0

_random = random.SystemRandom()  # not the one that Hypothesis seeds


def versions() -> list[str]:
    """The versions that are here, oldest first: what `@pytest.mark.parametrize` may list; empty without `make etcd`."""
    found = [folder.parent.name for folder in PROGRAMS.glob("[0-9]*/etcd")]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def newest() -> str:
    """The version that most tests use. Skips the test when there is none."""
    if not versions():
        pytest.skip(f"no etcd here: {HOW}")
    return versions()[-1]


def programs(version: str) -> Path:
    """The folder of `etcd` and `etcdctl`. Skips the test when that version isn't here."""
    if version not in versions():
        pytest.skip(f"no etcd {version} here: {HOW}")
    return PROGRAMS / version


class Process(Protocol):
    """What `spawn` returns: as much of a Popen as is used here."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...


Spawn = Callable[[Sequence[str], Mapping[str, str], IO[bytes]], Process]


def spawn_here(command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> Process:
    """Start it as a child that dies with this process, whatever ends that."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


@dataclass
class Member:
    """One etcd server. `data` and `log` outlive a restart."""

    name: str
    program: Path
    folder: Path
    host: str
    client_port: int
    peer_port: int
    flags: list[str] = field(default_factory=list)
    spawn: Spawn = spawn_here
    scheme: str = "http"
    process: Process | None = None

    @property
    def endpoint(self) -> str:
        """`host:port`, for clients."""
        return f"{self.host}:{self.client_port}"

    @property
    def peer(self) -> str:
        """The URL that other members use."""
        return f"http://{self.host}:{self.peer_port}"

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What it has written."""
        return self.folder / "log"

    def start(self, cluster: str, state: str = "new") -> None:
        """Start the process; `ready` waits for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        where = self.folder / "notify"
        where.unlink(missing_ok=True)
        self._said.bind(str(where))
        client = f"{self.scheme}://{self.host}:{self.client_port}"
        command = [str(self.program), "--name", self.name, "--data-dir", str(self.data), "--logger", "zap"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer]
        command += ["--initial-cluster", cluster, "--initial-cluster-state", state, "--log-level", "warn"]
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(where), "HOME": str(self.folder)}
        with self.log.open("ab") as log:
            self.process = self.spawn([*command, *self.flags], environment, log)

    def ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Return once it says that it serves (it tells systemd, whose place we take)."""
        assert self.process is not None
        self._said.settimeout(0.2)
        deadline = time.monotonic() + within_s
        with self._said:
            while True:
                code = self.process.poll()
                assert code is None, f"{self.name} ended with {code}: {self.log.read_text()[-2000:]}"
                assert time.monotonic() < deadline, f"{self.name} not ready: {self.log.read_text()[-2000:]}"
                try:
                    if b"READY=1" in self._said.recv(4096):
                        return
                except TimeoutError:
                    continue

    @property
    def runs(self) -> bool:
        """Whether its process is there (it may be stopped)."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        if self.process is not None and self.runs:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class EtcdCluster:
    """Members that know each other. Use it as a context manager: entered when all serve, and nothing is left after it.

    `flags` go to each member (`--quota-backend-bytes=…`); `client_tls` is (certificate, key, CA to ask clients for or
    None). `hosts` (addresses) and `spawn` put each member somewhere else than on loopback; `ctl_from` says what to begin
    etcdctl's command line with, so that it reaches them.
    """

    def __init__(
        self,
        version: str | None = None,
        members: int = 1,
        *,
        flags: Sequence[str] = (),
        client_tls: tuple[Path, Path, Path | None] | None = None,
        hosts: Sequence[str] = (),
        spawn: Sequence[Spawn] = (),
        ctl_from: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.version = version or newest()
        self.programs = programs(self.version)
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"tenure-etcd-{os.getpid()}-", dir=_memory()))
        self.client_tls = client_tls
        self._ctl_from = ctl_from
        self.flags = [f"--initial-cluster-token={self.folder.name}", *flags, *_tls_flags(client_tls)]
        ports = _free_ports(2 * members) if not hosts else [2379, 2380] * members
        self._spare = 0
        self.members = [
            self._member(
                f"etcd{number}",
                hosts[number] if hosts else "127.0.0.1",
                ports[2 * number : 2 * number + 2],
                spawn[number] if spawn else spawn_here,
            )
            for number in range(members)
        ]

    def _member(self, name: str, host: str, ports: Sequence[int], spawn: Spawn) -> Member:
        return Member(
            name=name,
            program=self.programs / "etcd",
            folder=self.folder / name,
            host=host,
            client_port=ports[0],
            peer_port=ports[1],
            flags=self.flags,
            spawn=spawn,
            scheme="https" if self.client_tls else "http",
        )

    def __enter__(self) -> EtcdCluster:
        try:
            for member in self.members:
                member.start(self.initial_cluster)
            for member in self.members:
                member.ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what runs and remove all data."""
        for member in self.members:
            member.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def initial_cluster(self) -> str:
        """The members, as etcd's flag wants them."""
        return ",".join(f"{member.name}={member.peer}" for member in self.members)

    @property
    def endpoints(self) -> list[str]:
        """`host:port` of each member."""
        return [member.endpoint for member in self.members]

    @property
    def url(self) -> str:
        """The store's URL for Tenure."""
        return f"etcd://{','.join(self.endpoints)}/"

    def restart(self, member: Member) -> None:
        """Start a member that was killed on the data that it has; returns when it serves."""
        member.kill()
        member.start(self.initial_cluster, "existing")
        member.ready()

    def restart_all(self) -> None:
        """Kill every member, and start them again on their data."""
        for member in self.members:
            member.kill()
        for member in self.members:
            member.start(self.initial_cluster, "existing")
        for member in self.members:
            member.ready()

    def replace(self, member: Member) -> Member:
        """Remove a member for good, and put a new one with empty data in its place; returns when that serves."""
        others = [other for other in self.members if other is not member]
        peers = self.json("member", "list", at=others)["members"]
        number = next(peer["ID"] for peer in peers if peer["peerURLs"] == [member.peer])
        member.kill()
        # A cluster whose connections have not settled yet calls itself unhealthy, and refuses.
        until(lambda: self._removed(number, others), within_s=30, what="member remove")
        self._spare += 1
        name = f"{member.name.partition('r')[0]}r{self._spare}"
        new = self._member(name, member.host, (member.client_port, member.peer_port), member.spawn)
        until(lambda: self._added(new, others), within_s=30, what="member add")
        self.members[self.members.index(member)] = new
        new.start(self.initial_cluster, "existing")
        new.ready()
        return new

    def _removed(self, number: int, others: Sequence[Member]) -> bool:
        done = self.run_ctl("member", "remove", f"{number:x}", at=others)
        return done.returncode == 0 or "member not found" in done.stderr

    def _added(self, new: Member, others: Sequence[Member]) -> bool:
        done = self.run_ctl("member", "add", new.name, f"--peer-urls={new.peer}", at=others)
        return done.returncode == 0

    def leader(self, within_s: float = READY_WITHIN_S) -> Member:
        """The member that leads now, as the members themselves say; waits while none does."""
        found = until(self._leader, within_s=within_s, what="a leader of etcd")
        assert found is not None
        return found

    def _leader(self) -> Member | None:
        for member in self.members:
            done = self.run_ctl("endpoint", "status", "-w", "json", "--command-timeout=1s", at=[member])
            if done.returncode == 0 and done.stdout.strip():
                status = json.loads(done.stdout)[0]["Status"]
                if status["header"]["member_id"] == status.get("leader"):
                    return member
        return None

    def ctl_command(self, at: Sequence[Member] = ()) -> list[str]:
        """`etcdctl` and its endpoints."""
        return [str(self.programs / "etcdctl"), "--endpoints", ",".join(m.endpoint for m in at or self.members)]

    def run_ctl(self, *arguments: str, at: Sequence[Member] = (), user: str = "") -> subprocess.CompletedProcess[str]:
        """`etcdctl` against these members (all of them by default); `user` is `name:password`."""
        command = [*self._ctl_from(), *self.ctl_command(at)]
        if self.client_tls:
            certificate, key, _ = self.client_tls
            command += ["--insecure-transport=false", "--insecure-skip-tls-verify", "--cert", str(certificate)]
            command += ["--key", str(key)]
        if user:
            command += ["--user", user]
        environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3", "HOME": str(self.folder)}
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def ctl(self, *arguments: str, at: Sequence[Member] = (), user: str = "") -> str:
        """What `etcdctl` prints; it must succeed."""
        done = self.run_ctl(*arguments, at=at, user=user)
        assert done.returncode == 0, f"etcdctl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: str, at: Sequence[Member] = (), user: str = "") -> Any:
        """What `etcdctl … -w json` prints, read."""
        return json.loads(self.ctl(*arguments, "-w", "json", at=at, user=user))

    def enable_auth(self, password: str = "root") -> None:
        """Users and passwords are asked for from now on; `root` has this one."""
        self.ctl("user", "add", f"root:{password}")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")


def _tls_flags(tls: tuple[Path, Path, Path | None] | None) -> list[str]:
    if tls is None:
        return []
    certificate, key, authority = tls
    flags = [f"--cert-file={certificate}", f"--key-file={key}"]
    return flags + ([f"--trusted-ca-file={authority}", "--client-cert-auth"] if authority else [])


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _sweep() -> None:
    """Remove what test processes that were killed have left."""
    for folder in Path(_memory() or tempfile.gettempdir()).glob("tenure-etcd-*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Below those that the kernel hands to outgoing connections, so that a member finds its own again when restarted."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            trial = socket.socket()
            try:
                trial.bind(("127.0.0.1", _random.randrange(10_000, 32_000)))
            except OSError:
                trial.close()
            else:
                held.append(trial)
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
