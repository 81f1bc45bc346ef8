"""`make demo`, as anybody runs it: it verifies its own steps; here, that it ends well and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.etcd import newest
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(root: Path, tmp_path: Path):
    """Starts the demo, its temporary folder below the test's."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        (tmp_path / "tmp").mkdir()
        one = subprocess.Popen(
            [sys.executable, root / "examples" / "demo.py", *arguments],
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(one)
        return one

    yield start
    for one in started:
        one.terminate()
        one.communicate(timeout=30)


def left(tmp_path: Path) -> list[str]:
    """Processes that have the test's temporary folder in their command line, and what is in that folder."""
    found = [str(path) for path in (tmp_path / "tmp").iterdir()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(tmp_path / "tmp") in words:
            found.append(words)
    return found


def test_the_demo_verifies_each_step_and_reads_well_without_a_terminal(demo, tmp_path):
    one = demo()
    out, _ = one.communicate(timeout=100)
    assert one.returncode == 0, out
    for promise in (
        r"a leader was elected: web/\d",
        r"all three units show the same fingerprint: secret [0-9a-f]{12}",
        r"web/\d was elected once the lease had ended",
        r"the secret is the same",
        r"web/\d is back, as a minion",
        r"web/\d leads, and nobody had to wait for a lease",
        r"all agents that ran handed over and ended",
    ):
        assert len(re.findall("✓ " + promise, out)) == 2, f"ticked when it happens and in the summary: {promise}\n{out}"
    assert "\x1b" not in out
    assert "Traceback" not in out
    assert left(tmp_path) == []


def test_the_demo_is_played_on_three_members_of_etcd_too(demo, tmp_path):
    newest()
    one = demo("--store", "etcd")
    out, _ = one.communicate(timeout=110)
    assert one.returncode == 0, out
    assert len(re.findall(r"✓ etcd serves .*; etcd://", out)) == 2
    assert "Traceback" not in out
    assert left(tmp_path) == []


def test_ctrl_c_ends_the_demo_and_leaves_nothing_behind(demo, tmp_path):
    one = demo()
    assert one.stdout is not None
    for line in one.stdout:
        if "a leader was elected" in line:
            break
    one.send_signal(signal.SIGINT)
    one.stdout.read()
    assert one.wait(30) == 128 + signal.SIGINT
    assert until(lambda: left(tmp_path) == [])
