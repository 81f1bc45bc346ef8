"""`tenure up`'s terminal: agents as children, their logs behind their names, an end that leaves nobody behind."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tenure.defaults import SAME_SIGNAL_S
from tests.waiting import until

TENURE = Path(sys.executable).with_name("tenure")
EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "shared-secret")

# Plays `tenure … agent --machine M`: says what it does, ends well on SIGTERM, unless it is to hang.
AGENT = """
import os, signal, sys
machine = sys.argv[sys.argv.index("--machine") + 1]
def end(*_):
    print("handing over", flush=True)
    if "HANGS" not in os.environ:
        sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", os.getpid(), flush=True)
print("x" * int(os.environ.get("LONG", 3)), flush=True)
print(machine + " says", "done", flush=True)
if "ENDS" in os.environ:
    sys.exit(4)
while True:
    signal.pause()
"""

# What `up` does around its terminal, without a deploy.
UP = """
import asyncio, os, sys
from pathlib import Path
from tenure.cli import terminal as up
up.tenure_command = lambda: [sys.executable, "-c", os.environ["AGENT"]]
async def main():
    terminal = up.Terminal(sys.stdout, os.environ)
    for machine in ("m0", "m1"):
        await terminal.start(machine, Path("nowhere") / machine, [], 3)
    return await terminal.run()
sys.exit(asyncio.run(main()))
"""


class Up:
    """The program, and the lines that it has printed so far."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(UP)],
            env={**os.environ, "AGENT": AGENT, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def read_until(self, *texts: str) -> None:
        """Read lines until each of `texts` was in one."""
        assert self.process.stdout is not None
        missing = set(texts)
        while missing:
            line = self.process.stdout.readline()
            assert line, f"ended without saying {missing}: {self.lines}"
            self.lines.append(line.rstrip("\n"))
            missing = {text for text in missing if not any(text in said for said in self.lines)}

    def agents(self) -> list[int]:
        return [int(line.rsplit(" ", 1)[1]) for line in self.lines if "│ ready " in line]

    def end(self) -> int:
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait(20)


@pytest.fixture
def up(request: pytest.FixtureRequest):
    started: list[Up] = []

    def start(**environment: str) -> Up:
        started.append(Up(**environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


def gone(pid: int) -> bool:
    """Whether the process is gone (a zombie is)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def all_gone(one: Up) -> bool:
    """Whether its agents are gone, soon."""
    return until(lambda: all(gone(pid) for pid in one.agents()), what="the agents' end")


def test_each_line_stands_behind_its_machines_name(up):
    one = up()
    one.read_until("m0  │ m0 says done", "m1  │ m1 says done")
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_has_every_agent_hand_over_and_is_a_good_end(up, number):
    one = up()
    one.read_until("m0 says", "m1 says")
    one.process.send_signal(number)
    assert one.end() == 0
    assert sum("handing over" in line for line in one.lines) == 2, one.lines
    assert all_gone(one)


def test_a_second_ctrl_c_kills_agents_that_hang(up):
    one = up(HANGS="1")
    one.read_until("m0 says", "m1 says")
    one.process.send_signal(signal.SIGINT)
    one.read_until("m0  │ handing over", "m1  │ handing over")
    counts_from = time.monotonic() + SAME_SIGNAL_S
    until(lambda: time.monotonic() > counts_from)
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 130
    assert all_gone(one)


def test_agents_that_end_by_themselves_are_said_and_it_fails(up):
    one = up(ENDS="1")
    assert one.end() == 1
    assert "the agent of m0 ended with exit code 4" in one.lines


def test_a_line_without_end_is_shown_in_pieces_and_holds_nothing_up(up):
    one = up(LONG="500000")
    one.read_until("m0 says", "m1 says")
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 0
    assert sum(line.count("x") for line in one.lines if "│" in line) == 1_000_000


def test_whoever_reads_us_may_go(up):
    one = up()
    one.read_until("m0 says", "m1 says")
    one.process.stdout.close()
    os.kill(one.agents()[0], signal.SIGTERM)  # its last words find nobody to read them
    assert one.process.wait(20) == 0
    assert all_gone(one)


def test_agents_end_when_it_is_killed(up):
    one = up()
    one.read_until("m0 says", "m1 says")
    one.process.kill()
    assert all_gone(one)


def test_without_a_terminal_there_are_no_colours():
    from tenure.cli.terminal import Terminal

    out = io.StringIO()
    Terminal(out, {}).say("plain")
    assert out.getvalue() == "plain\n"


# ---- the whole command ----------------------------------------------------------------------------------------------


class Command:
    """`tenure up` as a person runs it, its temporary folder below the test's."""

    def __init__(self, tmp_path: Path, *arguments: str | Path, **environment: str) -> None:
        self.temporary = tmp_path / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.environment = {**os.environ, "TMPDIR": str(self.temporary), **environment}
        self.process = subprocess.Popen(
            [TENURE, "up", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def store(self) -> str:
        """What it says for other terminals."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "export TENURE_STORE=" in line:
                return line.strip().partition("TENURE_STORE=")[2]
        raise AssertionError(self.process.stderr.read() if self.process.stderr else "")

    def tenure(self, store: str, *arguments: str) -> str:
        return subprocess.run(
            [TENURE, *arguments],
            env={**self.environment, "TENURE_STORE": store},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def left(self) -> list[str]:
        """What is left of it: processes of its folder, and files."""
        lines = [line for line in command_lines() if str(self.temporary) in line]
        return lines + [str(path) for path in self.temporary.iterdir()]


def command_lines() -> list[str]:
    """Those of all processes that are there long enough to be read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@pytest.fixture
def command(tmp_path: Path):
    started: list[Command] = []

    def start(*arguments: str | Path, **environment: str) -> Command:
        started.append(Command(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.terminate()
        one.process.communicate(timeout=30)


@pytest.mark.slow
def test_it_runs_a_charm_on_three_agents_until_ctrl_c_and_leaves_nothing_behind(command, root):
    one = command(root / "examples" / "shared-secret", "web", "-n", "3", "--lease", "6s")
    store = one.store()
    one.tenure(store, "wait", "web", "--for", "active", "--timeout", "30s")
    assert one.tenure(store, "leader", "web").strip() in ("web/0", "web/1", "web/2")
    one.process.send_signal(signal.SIGINT)
    out, err = one.process.communicate(timeout=30)
    assert one.process.returncode == 0, err
    assert err == ""
    assert out.count("everything is handed over") == 3
    assert one.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["--state-dir", "TENURE_STORE"])
def test_with_a_folder_or_a_store_of_ones_own_it_goes_on_where_it_was(command, root, tmp_path, kept):
    words = [root / "examples" / "shared-secret", "web", "-n", "2", "--lease", "6s"]
    words += ["--state-dir", tmp_path / "kept"] if kept == "--state-dir" else []
    environment = {"TENURE_STORE": f"sqlite://{tmp_path}/tenure.db"} if kept == "TENURE_STORE" else {}
    one = command(*words, **environment)
    store = one.store()
    one.tenure(store, "wait", "web", "--for", "active", "--timeout", "30s")
    secret = one.tenure(store, "settings", "web", "--format", "json")
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(30) == 0
    again = command(*words, **environment)
    assert again.store() == store
    again.tenure(store, "wait", "web", "--for", "active", "--timeout", "30s")
    assert again.tenure(store, "settings", "web", "--format", "json") == secret


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no charm at nowhere"),
        ([EXAMPLE, "--lease", "1.5s"], "a lease of 1.5 s"),
        ([EXAMPLE, "--config", "colour=red"], 'the charm has no option "colour"'),
        ([EXAMPLE, "Web"], '"Web" is not an application\'s name'),
        ([EXAMPLE, "-n", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_was_started(command, arguments, message):
    one = command(*arguments)
    out, err = one.process.communicate(timeout=30)
    assert one.process.returncode == 2
    assert message in err
    assert (out, "Traceback" in err) == ("", False)
    assert one.left() == []
