"""tenure hold: a command on exactly one of all who say so, as real processes that fight, are killed and are stopped."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Tenure
from tests.stopping import stop
from tests.waiting import until

# Writes when it began and, by a line every 20 ms, until when it ran, both on CLOCK_BOOTTIME, whatever becomes of it.
RUNS = """
import os, sys, time
boot = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
with open(sys.argv[1] + "/" + os.environ["TENURE_TERM"], "w", buffering=1) as file:
    end = boot() + float(sys.argv[2]) * 1e9
    while boot() < end:
        print(boot(), file=file)
        time.sleep(0.02)
"""


class Witness:
    """What ran when, by term: each run has a file of its own, whose lines are instants at which it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "runs"
        self.folder.mkdir()
        self.script = folder / "runs.py"
        self.script.write_text(RUNS)

    def command(self, seconds: float) -> list[str]:
        return [sys.executable, "-I", "-S", str(self.script), str(self.folder), str(seconds)]

    def runs(self) -> list[tuple[int, int, int]]:
        """(first instant, last instant, term) of each run, in the order of the terms."""
        found = []
        for path in sorted(self.folder.iterdir(), key=lambda path: int(path.name)):
            lines = path.read_text().splitlines()
            if lines:
                found.append((int(lines[0]), int(lines[-1]), int(path.name)))
        return found

    def check_never_two(self) -> None:
        runs = self.runs()
        for (_, ended, term), (began, _, later) in itertools.pairwise(runs):
            assert ended < began, f"term {later} ran while term {term} did"


class Holds:
    """`tenure hold`s that a test has started; all of them, and their guards, are gone at its end."""

    def __init__(self, tenure: Tenure) -> None:
        self.tenure = tenure
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str | Path) -> subprocess.Popen[str]:
        self.started.append(self.tenure.start("hold", *arguments))
        return self.started[-1]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path)


@pytest.fixture
def hold(tenure: Tenure) -> Iterator[Holds]:
    holds = Holds(tenure)
    yield holds
    for process in holds.started:
        for number in (signal.SIGCONT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        process.communicate()


def child_of(process: subprocess.Popen[str]) -> int:
    """The guard: a hold's only child."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(pids) == 1
    return int(pids[0])


@contextlib.contextmanager
def silent_store(tenure: Tenure) -> Iterator[None]:
    """Have the lock that every write of the embedded store waits for."""
    lock = next(path for path in tenure.folder.iterdir() if path.name.endswith(("-lock", ".lock", "write")))
    with open(lock, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def code_of(tenure: Tenure, *arguments: str) -> int:
    """The exit code of a hold whose command may say anything."""
    process = tenure.start("hold", "x", *arguments)
    process.communicate(timeout=20)
    return process.returncode


# ---- how it ends


@pytest.mark.parametrize(
    ("command", "code"),
    [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["no-such-command"], 127), (["/etc/passwd"], 126)],
)  # fmt: skip
def test_it_exits_with_the_commands_own_code(tenure: Tenure, command: list[str], code: int) -> None:
    assert code_of(tenure, "--", *command) == code


def test_the_command_has_its_term_and_office_and_terms_grow(tenure: Tenure) -> None:
    command = ["hold", "cron", "--", "sh", "-c", "echo $TENURE_OFFICE $TENURE_TERM"]
    (one, first), (other, second) = tenure(*command).out.split(), tenure(*command).out.split()
    assert one == other == "cron"
    assert int(first) < int(second)


def test_standard_files_and_the_current_folder_are_the_commands(tenure: Tenure, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tenure", "hold", "x", "--", "sh", "-c", "cat; pwd; echo to stderr >&2"],
        input="from stdin\n", capture_output=True, text=True, check=True, env=tenure.environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == f"from stdin\n{tmp_path}\n"
    assert done.stderr == "to stderr\n"


def test_a_stop_timeout_that_the_lease_does_not_allow_is_refused_with_the_arithmetic(tenure: Tenure) -> None:
    done = tenure("hold", "x", "--lease", "6s", "--stop-timeout", "5s", "--", "true", code=2)
    assert "a lease of 6 s leaves 2.5 s to stop in" in done.err
    assert "hint: --lease 11s would do" in done.err
    tenure("hold", "x", "--lease", "11s", "--stop-timeout", "5s", "--", "true")


@pytest.mark.parametrize("arguments", [["x"], ["a/b", "--", "true"], ["x", "--lease", "1.5s", "--", "true"], ["x", "--lease", "1s", "--", "true"]])  # fmt: skip
def test_bad_input_is_refused_before_anything_runs(tenure: Tenure, arguments: list[str]) -> None:
    assert "error: " in tenure("hold", *arguments, code=2).err


def test_a_store_that_cannot_be_used_is_tenures_failure(tenure: Tenure) -> None:
    assert code_of(tenure, "--", "true") == 0
    os.truncate(tenure.folder / "tenure.db", 5000)
    process = tenure.start("hold", "x", "--", "true")
    assert "error: " in process.communicate(timeout=20)[1]
    assert process.returncode == 125


def test_a_store_that_is_silent_is_waited_for_until_the_timeout(tenure: Tenure, tmp_path: Path) -> None:
    assert code_of(tenure, "--", "true") == 0
    with silent_store(tenure):
        assert code_of(tenure, "--timeout", "300ms", "--", "touch", str(tmp_path / "ran")) == 124
    assert not (tmp_path / "ran").exists()


def test_elected_and_lost_commands_run_before_and_after(tenure: Tenure, tmp_path: Path) -> None:
    log = tmp_path / "log"
    tenure(
        "hold", "x", "--on-elected", f"echo elected $TENURE_TERM >> {log}", "--on-lost", f"echo lost $TENURE_TERM >> {log}",
        "--", "sh", "-c", f"echo runs $TENURE_TERM >> {log}",
    )  # fmt: skip
    words = [line.split() for line in log.read_text().splitlines()]
    assert [word for word, _ in words] == ["elected", "runs", "lost"]
    assert len({term for _, term in words}) == 1


def test_the_stop_command_is_run_before_the_signal_when_the_command_is_to_end(hold: Holds, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"trap 'echo signalled >> {log}; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    holder = hold("x", "--stop", f"echo asked $TENURE_OFFICE >> {log}", "--", "sh", "-c", script)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    holder.terminate()
    assert holder.wait(20) == 143
    assert log.read_text() == "asked x\nsignalled\n"


def test_the_command_is_not_run_when_the_one_before_it_fails(tenure: Tenure, tmp_path: Path) -> None:
    assert code_of(tenure, "--on-elected", "exit 9", "--", "touch", str(tmp_path / "ran")) == 9
    assert not (tmp_path / "ran").exists()


def test_a_job_is_not_run_again_within_its_time(tenure: Tenure, tmp_path: Path) -> None:
    command = ["hold", "report", "--not-again-within", "1h", "--", "sh", "-c", f"echo ran >> {tmp_path}/log"]
    tenure(*command)
    assert "not again within 3600 s" in tenure(*command).err
    assert (tmp_path / "log").read_text() == "ran\n"
    tenure("hold", "report", "--not-again-within", "0s", "--", "sh", "-c", f"echo ran >> {tmp_path}/log")
    assert (tmp_path / "log").read_text() == "ran\nran\n"


# ---- one of many


def test_while_one_holds_the_office_others_are_told_so_or_wait(tenure: Tenure, hold: Holds) -> None:
    holder = hold("x", "--", "sh", "-c", "echo up; exec sleep 1000")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    tenure("hold", "x", "--no-wait", "--", "true", code=1)
    assert code_of(tenure, "--no-wait", "--exit-code", "75", "--", "true") == 75
    assert "not within 0.2 s" in tenure("hold", "x", "--timeout", "200ms", "--", "true", code=124).err
    tenure("hold", "other", "--", "true")
    shown = tenure("hold", "x", "--show", "--format", "json").json
    assert shown["holder"].split("/")[1].startswith(f"{holder.pid}-")
    tenure("hold", "other", "--show", code=1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_command_and_releases_the_office(
    tenure: Tenure, hold: Holds, tmp_path: Path, number: int, code: int
) -> None:
    holder = hold("x", "--", "sh", "-c", "trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    holder.send_signal(number)
    out, _ = holder.communicate(timeout=20)
    assert out == "stopped\n"
    assert holder.returncode == code
    tenure("hold", "x", "--no-wait", "--", "true")


def test_a_signal_that_comes_twice_at_once_leaves_the_command_its_time(hold: Holds) -> None:
    holder = hold("x", "--", "sh", "-c", "trap 'sleep 0.3; echo stopped; exit 0' TERM; echo up; sleep 60 & wait")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    for _ in range(50):
        holder.terminate()
    out, _ = holder.communicate(timeout=20)
    assert out == "stopped\n"
    assert holder.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize("many", [2, 10])
def test_of_many_that_fight_one_runs_at_a_time_and_all_come_to_their_turn(
    hold: Holds, witness: Witness, many: int
) -> None:
    holds = [hold("x", "--lease", "20s", "--", *witness.command(0.2)) for _ in range(many)]
    for process in holds:
        assert process.wait(timeout=60) == 0
    assert len(witness.runs()) == many
    witness.check_never_two()


@pytest.mark.slow
def test_after_a_graceful_stop_the_next_runs_at_once(hold: Holds, witness: Witness) -> None:
    first = hold("x", "--", *witness.command(60))
    until(witness.runs)
    hold("x", "--", *witness.command(60))
    until(lambda: "candidates" in "".join(_keys(hold)) and len(_candidates(hold)) == 2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=20) == 143
    until(lambda: len(witness.runs()) == 2)
    witness.check_never_two()
    (_, ended, _), (began, _, _) = witness.runs()
    assert began - ended < 1e9


def _keys(hold: Holds) -> list[str]:
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"{hold.tenure.folder}/tenure.db")) as database:
        tables = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
        found = []
        for table in tables:
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            if "key" in columns and "value" in columns:
                found += [row[0] for row in database.execute(f"select key from {table}")]
        return [key if isinstance(key, str) else key.decode() for key in found]


def _candidates(hold: Holds) -> set[str]:
    return {key for key in _keys(hold) if "/candidates/" in key}


# ---- bad luck


@pytest.mark.slow
def test_after_kill_9_of_a_hold_its_command_is_gone_before_the_next_one_starts(hold: Holds, witness: Witness) -> None:
    first = hold("x", "--lease", "3s", "--", *witness.command(60))
    until(witness.runs)
    hold("x", "--lease", "3s", "--", *witness.command(60))
    until(lambda: len(_candidates(hold)) == 2)
    first.kill()
    killed = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    until(lambda: len(witness.runs()) == 2)
    witness.check_never_two()
    # On a host that does nothing else it is the lease and 0.3 s.
    assert witness.runs()[1][0] - killed < 3.0e9 + 3.0e9


@pytest.mark.slow
def test_a_hold_that_is_stopped_for_longer_than_its_lease_has_its_command_ended_before_the_next_one_starts(
    hold: Holds, witness: Witness
) -> None:
    first = hold("x", "--lease", "3s", "--", *witness.command(60))
    until(witness.runs)
    hold("x", "--lease", "3s", "--", *witness.command(60))
    until(lambda: len(_candidates(hold)) == 2)
    stop(first.pid)
    until(lambda: len(witness.runs()) == 2)
    witness.check_never_two()
    first.send_signal(signal.SIGCONT)
    assert first.stderr is not None
    assert "has ended before its command" in first.stderr.readline()
    assert first.poll() is None, "it waits for the office again"


@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True], ids=["guard", "guard and hold"])
def test_when_the_guard_is_stopped_the_command_is_ended_in_time(hold: Holds, witness: Witness, both: bool) -> None:
    first = hold("x", "--lease", "3s", "--", *witness.command(60))
    until(witness.runs)
    guard = child_of(first)
    hold("x", "--lease", "3s", "--", *witness.command(60))
    until(lambda: len(_candidates(hold)) == 2)
    os.kill(guard, signal.SIGSTOP)
    if both:
        stop(first.pid)
    until(lambda: len(witness.runs()) == 2)
    witness.check_never_two()


@pytest.mark.slow
def test_when_the_guard_is_killed_the_term_ends_and_the_office_goes_on(hold: Holds, witness: Witness) -> None:
    first = hold("x", "--lease", "20s", "--", *witness.command(60))
    until(witness.runs)
    os.kill(child_of(first), signal.SIGKILL)
    until(lambda: len(witness.runs()) == 2)
    witness.check_never_two()
    assert first.poll() is None


def test_what_a_hold_that_was_killed_has_left_is_swept_by_the_next(tenure: Tenure, tmp_path: Path) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    process = tenure.start("hold", "x", "--", "sh", "-c", "echo up; exec sleep 1000", XDG_RUNTIME_DIR=str(folder))
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.communicate()
    (left,) = folder.iterdir()
    tenure("hold", "y", "--", "true", XDG_RUNTIME_DIR=str(folder))
    assert not left.exists()


@pytest.mark.slow
def test_with_once_a_term_that_ends_first_ends_it_with_1(hold: Holds, witness: Witness) -> None:
    first = hold("x", "--once", "--lease", "20s", "--", *witness.command(60))
    until(witness.runs)
    os.kill(child_of(first), signal.SIGKILL)
    assert first.wait(timeout=20) == 1
    assert len(witness.runs()) == 1


@pytest.mark.slow
def test_a_store_that_is_silent_for_longer_than_the_lease_ends_the_command_in_time(
    hold: Holds, witness: Witness
) -> None:
    hold("x", "--lease", "3s", "--", *witness.command(60))
    hold("x", "--lease", "3s", "--", *witness.command(60))
    until(witness.runs)
    until(lambda: len(_candidates(hold)) == 2)
    with silent_store(hold.tenure):
        silent_since = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        until(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) - witness.runs()[-1][1] > 0.5e9)
        assert witness.runs()[-1][1] < silent_since + 3.0e9
    until(lambda: len(witness.runs()) == 2)
    witness.check_never_two()


# ---- the terminal


def in_a_terminal(tenure: Tenure, *command: str) -> tuple[int, int]:
    """A hold in a terminal of its own, as if it had been typed there; its pid and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(tenure.folder)
            arguments = [sys.executable, "-m", "tenure", "hold", "x", "--", *command]
            os.execve(sys.executable, arguments, {**tenure.environment, "PS1": "", "PS2": ""})
        finally:
            os._exit(1)
    return pid, terminal


@pytest.mark.slow
def test_an_interactive_command_has_the_terminal(tenure: Tenure) -> None:
    pid, terminal = in_a_terminal(tenure, "sh", "-i")
    _type(terminal, "echo $((20 + 3))up\n", r"23up")
    _type(terminal, "exit 5\n", None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(terminal)


@pytest.mark.slow
def test_ctrl_c_is_the_commands_own_and_ctrl_z_does_not_stop_what_nobody_could_let_go_on(tenure: Tenure) -> None:
    # One process: a shell that is stopped in the very moment of starting another is stuck, here as anywhere.
    script = (
        "import os, signal; signal.signal(signal.SIGINT, lambda *_: (print('caught', flush=True), os._exit(6)));"
        "print('up', flush=True); [signal.pause() for _ in range(9)]"
    )
    pid, terminal = in_a_terminal(tenure, sys.executable, "-c", script)
    _read(terminal, "up")
    os.write(terminal, b"\x1a")
    os.write(terminal, b"\x03")
    _read(terminal, "caught")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    os.close(terminal)


def _type(terminal: int, text: str, answer: str | None) -> None:
    os.write(terminal, text.encode())
    if answer is not None:
        _read(terminal, answer)


def _read(terminal: int, pattern: str) -> None:
    seen = ""
    while not re.search(pattern, seen):
        assert select.select([terminal], [], [], 20)[0], f"no {pattern} in {seen!r}"
        seen += os.read(terminal, 4096).decode(errors="replace")


@pytest.mark.slow
def test_whoever_waits_uses_hardly_any_processor_time(hold: Holds) -> None:
    holder = hold("x", "--", "sh", "-c", "echo up; exec sleep 1000")
    assert holder.stdout is not None
    holder.stdout.readline()
    waiting = hold("x", "--", "true")
    until(lambda: len(_candidates(hold)) == 2)

    def ticks() -> int:
        fields = Path(f"/proc/{waiting.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, since = ticks(), time.monotonic()
    until(lambda: time.monotonic() - since > 3)
    assert ticks() - before <= 0.05 * 3 * os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_for_systemd_is_one(root: Path) -> None:
    unit = root / "packaging" / "tenure-hold@.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
