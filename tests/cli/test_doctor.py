"""The doctor says what is amiss, and what to do about each."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tenure.clock import boot_id
from tenure.model.layout import Layout
from tenure.model.records import Machine, encode
from tenure.office.records import Last, Unclean
from tenure.office.records import encode as encode_office
from tenure.store.api import Put, Store
from tests.cli.conftest import Tenure
from tests.model.staging import machine_up
from tests.waiting import until

BRIEF = ("--seconds", "0.1", "--format", "json")


def found(document: Any) -> dict[str, dict[str, str]]:
    return {one["what"]: one for one in document["findings"]}


def test_a_store_that_is_well_is_said_to_be(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm, "-n", "0")
    seen = found(tenure("doctor", *BRIEF).json)
    assert {seen[what]["state"] for what in ("store", "leases", "file", "terms", "model", "clock")} == {"ok"}
    assert "nothing amiss" in seen["model"]["says"]
    assert "What  " in tenure("doctor", "--seconds", "0.1").out


def test_a_store_that_is_not_there_is_one_finding_among_others(tenure: Tenure) -> None:
    done = tenure("doctor", *BRIEF, code=2, TENURE_STORE=f"sqlite://{tenure.folder}/nowhere/t.db")
    assert "nowhere" in done.err


async def test_machines_that_are_away_and_offices_that_cannot_be_filled_are_named(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm, "--to", "m7")
    seen = found(tenure("doctor", *BRIEF).json)
    assert seen["machine m7"]["state"] == "warning"
    assert "tenure agent --machine m7" in seen["machine m7"]["do"]
    assert "vacant" in seen["web/leader"]["says"]


async def test_an_agent_that_does_not_answer_is_wrong(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    await machine_up(store, layout, "m0")
    record = Machine(
        host="h", boot_id=boot_id(), identity="m0", pid=1, socket=f"{tenure.folder}/none", state_dir="/d", started="x"
    )
    await store.commit([], [Put(layout.machine("m0"), encode(record))])
    seen = found(tenure("doctor", *BRIEF, code=1).json)
    assert seen["agent m0"]["state"] == "wrong"
    await store.commit([], [Put(layout.machine("m0"), encode(replace(record, boot_id="another host's")))])
    assert "agent m0" not in found(tenure("doctor", *BRIEF).json)


async def test_a_store_restored_from_an_older_copy_is_wrong_until_its_numbers_are_raised(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    last = Last(term=900, unit="web/0", machine="m0", ttl_s=6, how="released")
    await store.commit([], [Put(layout.last("web", "leader"), encode_office(last))])
    seen = found(tenure("doctor", *BRIEF, code=1).json)
    assert "term 900" in seen["terms"]["says"]
    assert "raise-terms 10900" in seen["terms"]["do"]
    tenure("store", "raise-terms", "10900")
    assert found(tenure("doctor", *BRIEF).json)["terms"]["state"] == "ok"


async def test_terms_that_nobody_saw_end_are_noted(tenure: Tenure, charm: Path, store: Store, layout: Layout) -> None:
    tenure("deploy", charm)
    last = Last(unit="web/0", machine="m0", ttl_s=6, unclean=(Unclean(term=3, ttl_s=6),))
    await store.commit([], [Put(layout.last("web", "leader"), encode_office(last))])
    notes = [one["says"] for one in tenure("doctor", *BRIEF).json["findings"] if one["state"] == "note"]
    assert any("term 3" in says for says in notes)


def test_who_holds_the_file_and_is_stopped_is_named(tenure: Tenure, charm: Path, tmp_path: Path) -> None:
    tenure("deploy", charm)
    code = (
        "import fcntl, os, sys, signal; f = os.open(sys.argv[1], os.O_RDWR); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, f"{tmp_path}/tenure.db-lock"], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            holder.send_signal(signal.SIGSTOP)
            stat = Path(f"/proc/{holder.pid}/stat")
            until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", within_s=10, what="it is stopped")
            seen = found(tenure("doctor", *BRIEF, code=1).json)
            assert f"process {holder.pid}" in seen["writer"]["says"]
            assert f"kill -CONT {holder.pid}" in seen["writer"]["do"]
        finally:
            holder.kill()


@pytest.mark.parametrize("seconds", ["0", "soon"])
def test_a_wrong_length_is_wrong_usage(tenure: Tenure, seconds: str) -> None:
    assert "--seconds" in tenure("doctor", "--seconds", seconds, code=2).err
