"""The demo's store when it is etcd: three members on this host, in a folder, gone when the demo ends."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from demo_world import NotAsPromised

_LATENESS_S = 0.6
"""How late etcd may end a lease: it looks twice a second."""


def later_s(url: str, lease_s: int) -> float:
    """How much later than on SQLite the next one may be elected after a crash.

    An etcd's leases are not trusted in the first seconds after a store was opened: then the former term's length is waited out.
    """
    return _LATENESS_S + lease_s if url.startswith("etcd:") else 0.0


START_WITHIN_S = 30.0


def program() -> str:
    """The newest etcd that `make etcd` has fetched, else the one on PATH."""
    fetched = sorted(
        Path(sys.prefix).glob("etcd/[0-9]*/etcd"), key=lambda path: [int(part) for part in path.parent.name.split(".")]
    )
    found = str(fetched[-1]) if fetched else shutil.which("etcd")
    if found is None:
        raise NotAsPromised("there is no etcd here: `make etcd` fetches one, and installs nothing")
    return found


class Etcd:
    """Three members that know each other, on loopback."""

    def __init__(self, folder: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = folder / "etcd.log"
        ports = _free_ports(6)
        peers = ",".join(f"etcd{number}=http://127.0.0.1:{ports[3 + number]}" for number in range(3))
        self.url = f"etcd://{','.join(f'127.0.0.1:{port}' for port in ports[:3])}/"
        for number in range(3):
            self._start(folder, f"etcd{number}", ports[number], ports[3 + number], peers)
        self._ports = ports[:3]

    def _start(self, folder: Path, name: str, port: int, peer_port: int, peers: str) -> None:
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        command = [program(), "--name", name, "--data-dir", str(folder / name), "--log-level", "warn"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", peers, "--initial-cluster-token", str(folder)]
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", *command]  # should the demo be killed, they are, too
        with self._log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env={"PATH": os.environ.get("PATH", os.defpath)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def wait(self) -> None:
        """Return once each member serves, and knows a leader. Raises NotAsPromised."""
        end = time.monotonic() + START_WITHIN_S
        while not all(_serves(port) for port in self._ports):
            if time.monotonic() > end or any(process.poll() is not None for process in self._processes):
                raise NotAsPromised(f"etcd starts ({self._log.read_text(errors='replace')[-500:]})")
            time.sleep(0.05)

    def close(self) -> None:
        """End all members."""
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()


def _serves(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
