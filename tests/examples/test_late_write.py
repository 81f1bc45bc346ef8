"""A write that is under way when its term ends, and lands after the next holder's: in time nobody can help it, the term can."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tenure.errors import NotLeader
from tenure.fencing import SqlFence

pytestmark = pytest.mark.slow

# What `tenure hold` runs: says its term and what it writes to the resource, through a network that is the test.
WRITES = """
import os, socket, sys, time
with socket.socket(socket.AF_UNIX) as network:
    network.connect(sys.argv[1])
    network.sendall(f"{os.environ['TENURE_TERM']} {sys.argv[2]}\\n".encode())
    time.sleep(1000)
"""


class Resource:
    """A row in SQLite that anybody's write replaces."""

    def __init__(self, path: Path, fenced: bool) -> None:
        self.path, self.fence = path, SqlFence("x") if fenced else None
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE state (value)")
            database.execute("INSERT INTO state VALUES ('')")
            if self.fence is not None:
                self.fence.prepare(database)

    def write(self, message: str) -> None:
        """What has arrived. Raises NotLeader when it is fenced and a later term has written."""
        term, value = message.split()
        database = sqlite3.connect(self.path, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")
            if self.fence is not None:
                self.fence.check(database, int(term))
            database.execute("UPDATE state SET value = ?", (value,))
            database.execute("COMMIT")
        finally:
            database.close()

    def value(self) -> str:
        with sqlite3.connect(self.path) as database:
            return str(database.execute("SELECT value FROM state").fetchone()[0])


def two_terms(folder: Path) -> tuple[str, str]:
    """What a holder sent, and what the next one did, each while it held the office."""
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as network:
        network.settimeout(30)
        network.bind(f"{short}/net")
        network.listen()
        sent = [one_term(folder, network, value) for value in ("old", "new")]
    return sent[0], sent[1]


def one_term(folder: Path, network: socket.socket, value: str) -> str:
    writer = [sys.executable, "-IS", "-c", WRITES, network.getsockname(), value]
    holder = subprocess.Popen(
        [sys.executable, "-m", "tenure", "hold", "x", "--lease", "3s", "--", *writer],
        env={**os.environ, "TENURE_STORE": f"sqlite://{folder}/tenure.db"},
        stderr=subprocess.DEVNULL,
    )
    try:
        line, _ = network.accept()
        with line, line.makefile() as arrived:
            message = arrived.readline()
            holder.send_signal(signal.SIGTERM)
            assert arrived.readline() == "", "the writer is gone"
        assert holder.wait(20) == 128 + signal.SIGTERM
    finally:
        holder.kill()
        holder.wait()
    return message


def test_without_the_term_a_write_that_was_under_way_lands_after_the_next_holders(tmp_path: Path) -> None:
    resource = Resource(tmp_path / "resource.db", fenced=False)
    old, new = two_terms(tmp_path)
    resource.write(new)
    resource.write(old)
    assert resource.value() == "old", "what the holder of today has written is lost"


def test_with_the_term_a_write_that_was_under_way_is_refused(tmp_path: Path) -> None:
    resource = Resource(tmp_path / "resource.db", fenced=True)
    old, new = two_terms(tmp_path)
    resource.write(new)
    with pytest.raises(NotLeader):
        resource.write(old)
    assert resource.value() == "new"
