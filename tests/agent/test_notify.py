"""What a service manager hears of an agent: ready when it speaks for its machine, alive while it turns, ending when told to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.agent.notify import Manager
from tests.agent.world import World
from tests.waiting import until, until_async


class Ears:
    """A manager's socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """All that was heard so far."""
        while True:
            try:
                self.heard += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Ears]:
    ears = Ears(tmp_path / "notify")
    yield ears
    ears.close()


@pytest.mark.slow
def test_an_agent_says_when_it_is_ready_that_it_lives_and_that_it_ends(
    world: World, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(ears.path))
    monkeypatch.setenv("WATCHDOG_USEC", "6000000")
    world.start("m0")
    until(lambda: "READY=1" in ears.listen(), within_s=20)
    assert any(line.startswith("STATUS=speaks for m0") for line in ears.heard)
    until(lambda: ears.listen().count("WATCHDOG=1") >= 3, within_s=30)
    world.tenure(
        "deploy", world.charm(start='test -z "$NOTIFY_SOCKET$WATCHDOG_USEC"'), "web", "--to", "m0", "--lease", "3s"
    )
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    world.agents["m0"].send_signal(signal.SIGTERM)
    until(lambda: "STOPPING=1" in ears.listen(), within_s=20)
    assert world.agents["m0"].wait(20) == 0


def manager(monkeypatch: pytest.MonkeyPatch, ears: Ears, watchdog_s: float) -> Manager:
    monkeypatch.setenv("NOTIFY_SOCKET", str(ears.path))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(watchdog_s * 1e6)))
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    return Manager()


async def test_the_watchdog_starves_once_nothing_is_asked_of_the_store_any_more(
    ears: Ears, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0
    watching = asyncio.create_task(manager(monkeypatch, ears, 0.06).watch(lambda: calls))
    await until_async(lambda: "is not fed" in caplog.text)
    assert ears.listen() == ["WATCHDOG=1"], "once, for what it had done before"
    calls += 1
    await until_async(lambda: ears.listen() == ["WATCHDOG=1"] * 2)
    watching.cancel()


async def test_a_watchdog_of_another_process_is_not_ours_to_feed(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(ears.path))
    monkeypatch.setenv("WATCHDOG_USEC", "60000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    await Manager().watch(lambda: 1)
    assert ears.listen() == []


def test_nothing_is_told_where_nobody_has_asked_and_nothing_breaks_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Manager().tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    told = Manager()
    assert "NOTIFY_SOCKET" not in os.environ, "what runs for units must not speak for the agent"
    told.tell("READY=1")


def test_a_name_that_is_no_file_is_spoken_to_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"tenure-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Manager().tell("READY=1")
        assert listener.recv(100) == b"READY=1"
