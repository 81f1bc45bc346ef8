"""`tenure status` where it is watched on a terminal, and where the store is blocked."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tenure.model.layout import Layout
from tenure.names import UnitName
from tenure.store.api import Store
from tests.cli.conftest import Tenure
from tests.model.staging import leads
from tests.waiting import until_async

HOLDER = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
async def test_on_a_terminal_the_watched_status_changes_in_place_and_its_last_picture_stays(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    near, far = pty.openpty()
    fcntl.fcntl(near, fcntl.F_SETFL, os.O_NONBLOCK)
    watching = subprocess.Popen(
        [sys.executable, "-m", "tenure", "status", "--watch"],
        env={**tenure.environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
        stdin=subprocess.DEVNULL,
        stdout=far,
        stderr=subprocess.PIPE,
    )
    os.close(far)
    shown = b""

    def shows(text: bytes) -> bool:
        nonlocal shown
        try:
            shown += os.read(near, 65536)
        except (BlockingIOError, OSError):
            pass
        return text in shown

    try:
        await until_async(lambda: shows(b"web/0 "), within_s=20)
        assert b"\x1b[?1049h" in shown, "a screen of its own"
        await leads(store, layout, UnitName("web", 0))
        await until_async(lambda: shows(b"web/0*"), within_s=20)
        watching.send_signal(signal.SIGINT)
        await until_async(lambda: shows(b"\x1b[?1049l"), within_s=20)
        await until_async(lambda: watching.poll() is not None, within_s=20)
        shows(b"")
        assert b"web/0*" in shown.partition(b"\x1b[?1049l")[2]
        assert watching.returncode == 130
        assert watching.stderr is not None
        assert watching.stderr.read() == b""
    finally:
        watching.kill()
        watching.communicate()
        os.close(near)


def test_a_status_of_a_blocked_store_says_who_blocks_it(tenure: Tenure, charm: Path, tmp_path: Path) -> None:
    tenure("deploy", charm)
    assert tenure("status").err == ""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{tmp_path}/tenure.db-lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        blocked = tenure("status")
        assert "web/0" in blocked.out
        assert f"nothing can be written: {tmp_path}/tenure.db is held by process {holder.pid} (" in blocked.err
