"""The network that fail-over tests stand on does what it says, stays inside, and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import Host, Network
from tests.waiting import until


@pytest.fixture(scope="module")
def hosts(network: Network) -> tuple[Host, Host, Host]:
    return network.add("a"), network.add("b"), network.add("c")


@pytest.fixture(autouse=True)
def _healed(network: Network) -> Iterator[None]:
    yield
    network.heal()
    network.quicken()


def heard(source: Host, target: Host) -> bool:
    """Whether one datagram gets from one to the other: no answer is needed."""
    listen = (
        "import socket,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 700)); "
        "print('listens', flush=True); s.settimeout(0.3)\n"
        "try: print(s.recv(9).decode())\nexcept TimeoutError: print('nothing')"
    )
    listener = target.popen([sys.executable, "-I", "-S", "-c", listen], output=subprocess.PIPE)
    assert listener.stdout.readline() == b"listens\n"
    source.run("bash", "-c", f"echo -n hello >/dev/udp/{target.address}/700")
    said = listener.stdout.read().decode().strip()
    listener.stdout.close()
    listener.wait(10)
    return said == "hello"


def test_a_link_can_be_cut_in_one_direction_and_in_both_and_be_healed(
    network: Network, hosts: tuple[Host, Host, Host]
) -> None:
    a, b, c = hosts
    assert heard(a, b)
    network.cut(a, b, both=False)
    assert not heard(a, b)
    assert heard(b, a)
    assert heard(a, c)
    network.isolate(a)
    assert [heard(a, c), heard(c, a), heard(b, c)] == [False, False, True]
    network.heal()
    assert heard(a, b)
    assert heard(c, a)


def test_a_link_can_be_slowed_and_be_quick_again_without_its_address_changing(
    network: Network, hosts: tuple[Host, Host, Host]
) -> None:
    a, b, _ = hosts
    ping = ["python3", "-I", "-c", PING, b.address]
    b.popen([sys.executable, "-I", "-S", "-c", ECHO])
    assert float(a.run(*ping).stdout) < 0.02
    a.slow(20)
    assert float(a.run(*ping).stdout) > 0.04
    network.quicken()
    assert float(a.run(*ping).stdout) < 0.02


def test_a_link_can_lose_packets_by_chance(network: Network, hosts: tuple[Host, Host, Host]) -> None:
    a, b, _ = hosts
    network.lossy(a, b, 0.5, both=False)
    count = (
        "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 702)); n=0\n"
        "print('listens', flush=True)\nwhile (got := s.recv(9)) != b'end': n += 1\nprint(n)"
    )
    counter = b.popen([sys.executable, "-I", "-S", "-c", count], output=subprocess.PIPE)
    assert counter.stdout.readline() == b"listens\n"
    send = (
        "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"for _ in range(200): s.sendto(b'x', ('{b.address}', 702))\n"
        f"for _ in range(20): s.sendto(b'end', ('{b.address}', 702))"
    )
    a.run(sys.executable, "-I", "-S", "-c", send)
    got = int(counter.stdout.read())
    counter.stdout.close()
    counter.wait(10)
    assert 50 < got < 150


def test_no_packet_has_a_way_out(hosts: tuple[Host, Host, Host]) -> None:
    routes = hosts[0].run("ip", "-o", "route").stdout
    assert re.findall(r"^\S+", routes, re.M) == ["10.77.0.0/24"]
    ours = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    assert "10.77.0." not in ours


def test_a_host_without_power_runs_nothing_and_can_be_started_again(hosts: tuple[Host, Host, Host]) -> None:
    a, b, _ = hosts
    sleeper = b.popen(["sh", "-c", "sleep 100 & setsid sleep 100"])
    namespace = _network_of(b.pid)
    pids = until(
        lambda: found if len(found := [pid for pid in _everyone() if _network_of(pid) == namespace]) >= 3 else []
    )
    b.power_off()
    assert sleeper.wait(10) != 0
    until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
    b.power_on()
    assert heard(a, b)


def test_a_process_can_be_stopped_and_continued(hosts: tuple[Host, Host, Host]) -> None:
    process = hosts[2].popen(["sh", "-c", "exec sleep 100"])
    process.stop()
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    process.go_on()
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")
    process.stop()
    process.kill()
    assert process.poll() is not None


def test_nothing_is_left_when_the_test_itself_is_killed(network: Network, root: Path) -> None:
    script = (
        "import time\nfrom tests.net.hosts import Network\n"
        "with Network(['a']) as network:\n    network['a'].popen(['sleep', '100'])\n    network['a'].slow(5)\n"
        "    print(network['a'].pid, flush=True)\n    time.sleep(60)\n"
    )
    test = subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True)
    assert test.stdout is not None
    namespace = _network_of(int(test.stdout.readline()))
    os.kill(test.pid, signal.SIGKILL)
    test.wait(10)
    test.stdout.close()
    until(lambda: namespace not in {_network_of(pid) for pid in _everyone()})


ECHO = (
    "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 701))\n"
    "while True:\n    said, who = s.recvfrom(9)\n    s.sendto(said, who)"
)
PING = (
    "import socket, sys, time; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); best=9\n"
    "for _ in range(9):\n    t=time.monotonic(); s.sendto(b'x', (sys.argv[1], 701))\n"
    "    try: s.recv(9)\n    except (TimeoutError, OSError): time.sleep(0.01); continue\n"
    "    best=min(best, time.monotonic()-t)\nprint(best)"
)


def _everyone() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _network_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""
