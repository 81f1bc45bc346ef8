"""The default lease rides out a store that is silent for 20 s: the workload goes on, untouched, in the same term."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.soak.witness import Witness
from tests.waiting import until

pytestmark = pytest.mark.slow

SILENT_S = 20.0
PROMISED_S = 20.2
"""What the arithmetic of the default lease gives, rounded down: a machine that has let the lock go later has shown nothing."""


@pytest.mark.timeout(200)
def test_a_store_that_is_silent_for_20_s_touches_no_workload_under_the_default_lease(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", 0)
    said = tmp_path / "said"
    with said.open("wb") as err:
        hold = subprocess.Popen(
            [sys.executable, "-m", "tenure", "hold", "x", "-v", "--", *witness.command()],
            env={**os.environ, "TENURE_STORE": f"sqlite://{tmp_path}/tenure.db"},
            stdin=subprocess.DEVNULL,
            stderr=err,
        )
    try:
        until(lambda: witness.runs("x"), within_s=20)
        for turn in range(1, 4):
            lock = os.open(tmp_path / "tenure.db-lock", os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX)
            since = time.monotonic()
            until(lambda since=since: time.monotonic() >= since + SILENT_S, within_s=2 * SILENT_S)  # type: ignore[misc]
            silent_s = time.monotonic() - since
            os.close(lock)
            until(
                lambda turn=turn: said.read_text().count("the store answers again") == turn,  # type: ignore[misc]
                within_s=20,
            )
            if silent_s <= PROMISED_S:
                break
        else:
            pytest.fail("this machine was too slow, three times over, to be silent for no longer than 20 s")
        (run,) = witness.runs("x")
        until(lambda: witness.runs("x")[0].last > run.last)
        assert len(witness.runs("x")) == 1
        assert "term ends" not in said.read_text()
    finally:
        hold.send_signal(signal.SIGTERM)
        hold.wait(30)
