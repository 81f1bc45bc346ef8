"""What must outlive the process: on the disk when the call returns, and void in another boot of the host."""

from __future__ import annotations

from pathlib import Path

from tenure.clock import Instant
from tenure.office.driver.ledger import Ledger
from tenure.office.records import Ending

ENDING = Ending(term=7, lease=3, how="released", owed_until=(5, 6))


def test_a_lease_and_a_verdict_are_there_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "boot-1")
    ledger.save_lease("web", 60, 3)
    ledger.save_ending("web/leader web/0", ENDING)
    again = Ledger(tmp_path, "boot-1")
    assert again.lease("web", 60) == 3
    assert again.lease("web", 30) == 0
    assert again.endings("web/leader web/0") == (ENDING,)
    assert again.endings("web/leader web/1") == ()


def test_nothing_is_remembered_across_a_boot(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "boot-1")
    ledger.save_lease("web", 60, 3)
    ledger.note_start(Instant(1, 1))
    other = Ledger(tmp_path, "boot-2")
    assert other.lease("web", 60) == 0
    assert other.starts_within(Instant(2, 2), 100) == 0


def test_a_lease_that_is_lost_and_a_verdict_that_is_done_with_are_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "boot-1")
    ledger.save_lease("web", 60, 3)
    ledger.save_lease("web", 60, 0)
    ledger.save_ending("c", ENDING)
    ledger.drop_ending("c", 7)
    again = Ledger(tmp_path, "boot-1")
    assert again.lease("web", 60) == 0
    assert again.endings("c") == ()


def test_starts_are_counted_until_a_hook_has_finished(tmp_path: Path) -> None:
    for seconds in (1, 20, 30):
        ledger = Ledger(tmp_path, "boot-1")
        ledger.note_start(Instant(seconds, seconds))
    assert ledger.starts_within(Instant(31, 31), 15) == 2
    ledger.hook_finished()
    assert Ledger(tmp_path, "boot-1").starts_within(Instant(31, 31), 100) == 0


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "desk.json").write_bytes(b'{"boot_id": "boot-1", "sess')
    assert Ledger(tmp_path, "boot-1").lease("web", 60) == 0
