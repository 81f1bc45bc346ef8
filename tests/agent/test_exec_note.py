"""What is left of a unit's commands when their agent dies is ended, and nothing that only looks like it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.agent.exec_note import ExecNote
from tenure.agent.hook import Hook
from tenure.agent.journal import Running
from tenure.clock import boot_id
from tests.agent.world import alive
from tests.waiting import until


@pytest.fixture
def orphan() -> Iterator[tuple[int, int]]:
    """A process whose session's leader has ended: the session's number, and the process's."""
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 </dev/null >/dev/null & echo $!"], stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        pid = int(leader.stdout.readline())
    yield leader.pid, pid
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def test_what_is_left_of_commands_and_hooks_is_ended(tmp_path: Path, orphan: tuple[int, int]) -> None:
    session, pid = orphan
    note = ExecNote(tmp_path)
    note.begin("web/0-exec-1", session)
    assert note.end_what_is_left() == 1
    until(lambda: not alive(pid))
    assert note.end_what_is_left() == 0


def test_a_session_of_another_boot_s_is_somebody_else_s(tmp_path: Path, orphan: tuple[int, int]) -> None:
    session, pid = orphan
    note = ExecNote(tmp_path)
    note.begin("web/0-exec-1", session)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace(boot_id(), "another"))
    assert note.end_what_is_left() == 0
    running = Running(serial=1, hook=Hook(kind="start"), context_id="web/0-start-1", pid=session, boot_id="another")
    assert running.end_what_is_left(boot_id()) == 0
    assert alive(pid)
