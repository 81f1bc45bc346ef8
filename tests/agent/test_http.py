"""What an agent answers over HTTP: the leader's host alone says 200, and what is counted has happened."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.agent.http import parse_address
from tenure.agent.metrics import METRICS
from tenure.errors import BadInput
from tests.agent.world import World
from tests.waiting import until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Watched(World):
    """Agents that answer HTTP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports: dict[str, int] = {}

    def options(self, machine: str) -> list[str]:
        self.ports[machine] = free_port()
        return ["--http", f"127.0.0.1:{self.ports[machine]}"]

    def get(self, machine: str, path: str) -> tuple[int, str]:
        """The status and the body."""
        status, body, _ = self.answer(machine, path)
        return status, body

    def answer(self, machine: str, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[machine]}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode(), dict(response.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def metric(self, machine: str, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 where there are none."""
        found = 0.0
        for line in self.get(machine, "/metrics")[1].splitlines():
            if line.startswith((f"{name} ", f"{name}{{")) and all(
                f'{one}="{value}"' in line for one, value in labels.items()
            ):
                found += float(line.rpartition(" ")[2])
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    world = Watched(tmp_path)
    yield world
    world.close()


@pytest.mark.slow
def test_the_leaders_host_says_200_and_every_other_one_503(watched: Watched) -> None:
    for machine in ("m0", "m1", "m2"):
        watched.start(machine)
    watched.tenure("deploy", watched.charm(), "web", "-n", "2", "--to", "m0,m1", "--lease", "3s")
    watched.tenure("wait", "web", "--for", "leader", "--for", "idle", "--timeout", "20s")
    leader = json.loads(watched.tenure("leader", "web", "--format", "json"))
    other = {"m0": "m1", "m1": "m0"}[leader["machine"]]
    status, body, headers = watched.answer(leader["machine"], "/leader/web")
    assert (status, json.loads(body)["unit"], int(headers["Tenure-Term"])) == (200, leader["unit"], leader["term"])
    assert float(headers["Tenure-Owed"]) == 0, "asked by a balancer every second, it must not hold up a hand-over"
    assert watched.get(other, "/leader/web")[0] == 503
    assert watched.get("m2", "/leader/web") == (503, "no unit of this machine holds web/leader\n")
    assert watched.get("m2", "/leader/wbe")[0] == 404
    assert watched.answer(leader["machine"], "/leader/web", "HEAD")[:2] == (200, "")
    assert watched.answer(leader["machine"], "/leader/web", "POST")[0] == 405
    assert watched.get(leader["machine"], "/health") == (200, "ok\n")

    owed = watched.answer(leader["machine"], "/leader/web?for=1.2")[2]
    assert 1.2 <= float(owed["Tenure-Owed"]) <= 2.3
    assert watched.metric(leader["machine"], "tenure_owed_seconds", office="leader") > 0
    assert watched.get(leader["machine"], "/leader/web?for=99")[0] == 400
    watched.tenure("transfer", f"web/{other[1]}")
    assert watched.get(leader["machine"], "/leader/web")[0] == 503
    assert watched.get(other, "/leader/web")[0] == 200

    # What is counted.
    unit, term = f"web/{other[1]}", json.loads(watched.tenure("leader", "web", "--format", "json"))["term"]
    assert watched.metric(other, "tenure_is_leader", unit=unit) == 1
    assert watched.metric(other, "tenure_term", unit=unit) == term
    assert 1.5 <= watched.metric(other, "tenure_surely_left_seconds", unit=unit) <= 3
    assert watched.metric(leader["machine"], "tenure_is_leader") == 0
    assert watched.metric(leader["machine"], "tenure_terms_ended_total", because="transferred") == 1
    assert watched.metric(other, "tenure_elected_total", office="web/leader") == 1
    before = watched.metric(other, "tenure_renewals_total", outcome="renewed")
    until(lambda: watched.metric(other, "tenure_renewals_total", outcome="renewed") > before, within_s=20)
    assert watched.metric(other, "tenure_renewal_seconds_count") >= before
    assert watched.metric(other, "tenure_hooks_total", hook="start", outcome="succeeded") == 1
    page = watched.get(other, "/metrics")[1]
    assert set(re.findall(r"^# HELP (\S+)", page, re.MULTILINE)) == set(METRICS)


@pytest.mark.slow
def test_failed_hooks_are_counted_and_a_second_agent_on_the_port_says_so(watched: Watched) -> None:
    watched.start("m0")
    watched.tenure("deploy", watched.charm(start="exit 3"), "web", "--to", "m0", "--lease", "3s")
    until(lambda: watched.metric("m0", "tenure_hooks_total", hook="start", outcome="failed") >= 1, within_s=20)
    taken = watched.tenure(
        "agent",
        "--machine",
        "m1",
        "--state-dir",
        watched.folder / "m1",
        "--http",
        f"127.0.0.1:{watched.ports['m0']}",
        code=1,
    )
    assert "can't listen on" in taken


@pytest.mark.slow
def test_whatever_is_sent_to_it_the_next_one_is_answered(watched: Watched) -> None:
    watched.start("m0")
    address = ("127.0.0.1", watched.ports["m0"])
    idle = [socket.create_connection(address, 10) for _ in range(3)]
    for sent, answer in [
        (b"\r\n\r\n", b"405"),
        (b"GET\r\n\r\n", b"404"),
        (b"GET //[ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /leader/\xff%ff/%00 HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /leader/../../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"x" * 100_000, b""),
        (b"GET / HTTP/1.1\r\n", b""),
    ]:
        with socket.create_connection(address, 10) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1000)[9:12] == answer
    assert watched.get("m0", "/health") == (200, "ok\n")
    assert [one["message"] for one in watched.lines("m0") if one["level"] in ("ERROR", "CRITICAL")] == []
    for connection in idle:
        assert connection.recv(1) == b"", "who says nothing is let go"
        connection.close()


@pytest.mark.parametrize(
    "address", ["", ":", "9180", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "[::1:80", "h:eighty"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="is no address to listen on"):
        parse_address(address)


def test_an_address_may_be_of_either_family_or_every_one() -> None:
    assert parse_address("127.0.0.1:9180") == ("127.0.0.1", 9180)
    assert parse_address("[::1]:9180") == ("::1", 9180)
    assert parse_address(":9180") == ("", 9180)
