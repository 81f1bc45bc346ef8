"""Hosts of one's own for tests: network namespaces on one bridge, whose links can be cut, slowed, made lossy and healed.

A host is the first process of a PID namespace with a network, mounts and a name of its own. All that runs on it is inside, so
killing that one process is a power failure, and nothing outlives the test: the kernel kills each host with the test's process,
namespaces and links go with their last process, and no name of them is ever written anywhere. There is no way out: the bridge
has a namespace to itself, without an uplink.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from tests.waiting import until

HOW = "as root: `sh tools/network.sh`"
PUMP = Path(__file__).with_name("pump.py")
# Its own /run goes with its power. Control groups are the machine's, and their names pids: hosts would meet in them.
_INIT = """
trap "" CHLD
hostname "$1" && mount -t tmpfs -o mode=755 run /run && ip link set lo up || exit
umount -l -a -t cgroup2
echo up
exec sleep infinity
"""


@lru_cache
def why_not() -> str:
    """Why there can be no such network here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces of one's own need root"
    missing = [
        name for name in ("ip", "nft", "nsenter", "unshare", "setpriv") if shutil.which(name, path=_PATH) is None
    ]
    if missing:
        return f"no {', '.join(missing)} here; {HOW}"
    script = "ip link set lo up && ip link add b0 type bridge && ip link add v0 type veth && nft add table inet t"
    done = subprocess.run(
        [*_UNSHARE, "sh", "-c", script], capture_output=True, text=True, env=_ENVIRONMENT, check=False
    )
    return f"no network namespaces here: {done.stderr.strip()[-200:]}" if done.returncode else ""


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}
_UNSHARE = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--mount-proc"]
_UNSHARE += ["--kill-child=KILL", "--"]


class HostProcess:
    """A process on a host. `pid` is its number out here; signals reach it itself."""

    def __init__(self, outer: subprocess.Popen[Any]) -> None:
        # nsenter must fork to enter a PID namespace: it stays out here, stops when its child does, and ends as it does.
        self.outer = outer
        self.pid = until(
            lambda: _children(outer.pid)[:1] or ([0] if outer.poll() is not None else []), what="the process"
        )[0]

    @property
    def stdout(self) -> Any:
        """Its standard output, when it is a pipe."""
        return self.outer.stdout

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.outer.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        return self.outer.wait(timeout)

    def send_signal(self, number: int, /) -> None:
        """A signal for it. One that has ended gets none."""
        if self.poll() is None and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            if number in (signal.SIGCONT, signal.SIGKILL):
                self.outer.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self.send_signal(signal.SIGKILL)
        self.wait(10)

    def stop(self) -> None:
        """SIGSTOP."""
        self.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)


class Host:
    """One host. It is up once made; `power_off` kills all that runs on it at once, `power_on` starts it anew, empty."""

    def __init__(self, network: Network, name: str, number: int) -> None:
        self.network = network
        self.name = name
        self.number = number
        self.address = f"10.77.0.{number}"
        self._pump: subprocess.Popen[str] | None = None
        self._started: list[HostProcess] = []
        self._init: subprocess.Popen[str] | None = None
        self.power_on()

    def __repr__(self) -> str:
        return self.name

    @property
    def up(self) -> bool:
        """Whether it has power."""
        return self._init is not None and self._init.poll() is None

    def power_on(self) -> None:
        """Start it, linked to the others. What was cut stays cut."""
        if not self.up:
            self._init, self.pid = _first_process(self.name)
            self._plug_in()
            self.network.apply(self)

    def power_off(self) -> None:
        """Every process of it dies, in one step."""
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            # Whoever stopped with a child out here must see that it has gone: till then the host's first process doesn't go.
            for process in self._started:
                process.send_signal(signal.SIGCONT)
                process.wait(10)
            self._started.clear()
            self._init.wait(10)
            if self._init.stdout is not None:
                self._init.stdout.close()
        self._stop_pump()

    def popen(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        output: IO[bytes] | int = subprocess.DEVNULL,
    ) -> HostProcess:
        """Start a command on it, in a session of its own."""
        outer = subprocess.Popen(
            [*self.enter(), *map(str, command)],
            env=_ENVIRONMENT if environment is None else environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL if output == subprocess.PIPE else output,
            start_new_session=True,
        )
        self._started = [other for other in self._started if other.poll() is None]
        self._started.append(process := HostProcess(outer))
        return process

    def run(
        self, *command: str | Path, environment: Mapping[str, str] | None = None, within_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it to its end."""
        return subprocess.run(
            [*self.enter(), *map(str, command)],
            env=_ENVIRONMENT if environment is None else environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def spawn(self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> HostProcess:
        """As tests.etcd wants it."""
        return self.popen(command, {**environment, "PATH": _PATH}, log)

    def slow(self, delay_ms: float) -> None:
        """Let each frame take so much longer, in either direction. Zero ends it. The addresses stay, so connections do."""
        self._stop_pump()
        _ip(self.pid, "link del eth0", may_fail=True)
        if not delay_ms:
            self._plug_in()
            return
        command = [sys.executable, "-I", "-S", str(PUMP), str(self.pid), str(self.network.switch_pid)]
        self._pump = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command, f"p{self.number}", str(delay_ms / 1000)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._pump.stdout is not None
        assert self._pump.stdout.readline() == "up\n"
        self._set_up_link()

    def enter(self) -> list[str]:
        """What runs the command that follows on it."""
        return ["nsenter", "-t", str(self.pid), "-n", "-p", "-m", "-u", "--"]

    def _plug_in(self) -> None:
        port = f"p{self.number}"
        # A port whose host has just died may not be gone yet.
        _ip(self.network.switch_pid, f"link del {port}", may_fail=True)
        _ip(self.network.switch_pid, f"link add {port} type veth peer name eth0 netns {self.pid}")
        self._set_up_link()

    def _set_up_link(self) -> None:
        _ip(self.network.switch_pid, f"link set p{self.number} master b0 up")
        _ip(
            self.pid,
            f"link set eth0 address 02:77:00:00:00:{self.number:02x} up",
            f"addr add {self.address}/24 dev eth0",
        )

    def _stop_pump(self) -> None:
        if self._pump is not None:
            self._pump.kill()
            self._pump.wait(10)
            assert self._pump.stdout is not None
            self._pump.stdout.close()
            self._pump = None


Link = tuple[Host, Host]
"""A direction: from whom, to whom."""


class Network:
    """Hosts on one switch. A context manager; afterwards nothing of it is left."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._lost: dict[tuple[Host, Host], float] = {}
        self.hosts: dict[str, Host] = {}
        self._switch, self.switch_pid = _first_process("switch")
        try:
            _ip(self.switch_pid, "link add b0 type bridge", "link set b0 up")
            for name in names:
                self.add(name)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def add(self, name: str) -> Host:
        """One more host."""
        self.hosts[name] = host = Host(self, name, len(self.hosts) + 1)
        return host

    def close(self) -> None:
        """Power off everything."""
        for host in self.hosts.values():
            host.power_off()
        self._switch.kill()
        self._switch.wait(10)
        if self._switch.stdout is not None:
            self._switch.stdout.close()

    def cut(self, source: Host, target: Host, *, both: bool = True) -> list[Link]:
        """Nothing gets from `source` to `target` any more, nor back when `both`. No end is told: packets are lost."""
        return self.lossy(source, target, 1.0, both=both)

    def lossy(self, source: Host, target: Host, share: float, *, both: bool = True) -> list[Link]:
        """Lose this share of the packets, each by chance. Returns the directions concerned, for `heal`."""
        self._lost[source, target] = share
        self.apply(target)
        return [(source, target), *(self.lossy(target, source, share, both=False) if both else [])]

    def isolate(self, host: Host, *, inward: bool = True, outward: bool = True) -> list[Link]:
        """Cut it off from all others; in one direction only, where the other is False."""
        others = [other for other in self.hosts.values() if other is not host]
        links = [link for other in others if outward for link in self.cut(host, other, both=False)]
        return links + [link for other in others if inward for link in self.cut(other, host, both=False)]

    def heal(self, links: Iterable[Link] | None = None) -> None:
        """These directions lose nothing any more; by default none does."""
        links = list(self._lost if links is None else links)
        for link in links:
            self._lost.pop(link, None)
        for host in {target for _, target in links}:
            self.apply(host)

    def quicken(self) -> None:
        """Every link is quick again."""
        for host in self.hosts.values():
            if host._pump is not None and host.up:
                host.slow(0)

    def apply(self, host: Host) -> None:
        """See that what is lost on the way to `host` is what has been asked for."""
        if not host.up:
            return
        rules = [
            f"ip saddr {source.address} {'' if share >= 1 else f'numgen random mod 1000 < {round(share * 1000)} '}drop"
            for (source, target), share in self._lost.items()
            if target is host and share > 0
        ]
        chain = "\n".join(["type filter hook input priority 0", *rules])
        table = f"table inet fault\ndelete table inet fault\ntable inet fault {{\nchain input {{\n{chain}\n}}\n}}\n"
        done = subprocess.run(
            ["nsenter", "-t", str(host.pid), "-n", "nft", "-f", "-"],
            input=table, text=True, capture_output=True, env=_ENVIRONMENT, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not host.up, done.stderr


def _first_process(name: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [*_UNSHARE, "sh", "-c", _INIT, "sh", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # unshare grumbles when its child has been killed
        text=True,
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process, _children(process.pid)[0]


def _ip(pid: int, *lines: str, may_fail: bool = False) -> None:
    done = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "ip", "-batch", "-"],
        input="\n".join(lines) + "\n", text=True, capture_output=True, env=_ENVIRONMENT, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or may_fail, f"{lines}: {done.stderr}"


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
