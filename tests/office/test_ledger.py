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
    ledger.save_ending("d", ENDING)
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


def saved(tmp_path: Path) -> bytes:
    return (tmp_path / "desk.json").read_bytes()


def put_back(tmp_path: Path, copy: bytes) -> None:
    (tmp_path / "desk.json").write_bytes(copy)


def test_an_older_copy_that_is_put_back_is_as_good_as_none(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    ledger = Ledger(tmp_path, "boot-1", beside)
    ledger.save_lease("web", 60, 3)
    copy = saved(tmp_path)
    ledger.save_ending("c", ENDING)
    put_back(tmp_path, copy)
    again = Ledger(tmp_path, "boot-1", beside)
    assert (again.outdated, again.lease("web", 60)) == (True, 0)


def test_a_copy_stays_an_older_one_whatever_is_saved_after_it(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    ledger = Ledger(tmp_path, "boot-1", beside)
    ledger.save_lease("web", 60, 3)
    copy = saved(tmp_path)
    for lease in range(4, 8):
        ledger.save_lease("web", 60, lease)
        assert Ledger(tmp_path, "boot-1", beside).lease("web", 60) == lease
        put_back(tmp_path, copy)
        ledger = Ledger(tmp_path, "boot-1", beside)
        assert (ledger.outdated, ledger.lease("web", 60)) == (True, 0)


def test_the_newest_state_is_taken_up_and_one_that_nothing_vouches_for_is_not(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    Ledger(tmp_path, "boot-1", beside).save_lease("web", 60, 3)
    assert Ledger(tmp_path, "boot-1", beside).lease("web", 60) == 3
    beside.unlink()
    assert Ledger(tmp_path, "boot-1", beside).lease("web", 60) == 0


def test_what_was_saved_by_a_tenure_that_did_not_count_is_taken_up(tmp_path: Path) -> None:
    put_back(tmp_path, b'{"boot_id": "boot-1", "sessions": {"web": {"lease": 3, "ttl_s": 60}}}')
    assert Ledger(tmp_path, "boot-1", tmp_path / "beside").lease("web", 60) == 3


def test_a_copy_of_what_was_saved_before_a_disk_took_nothing_more_is_an_older_one(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    ledger = Ledger(tmp_path, "boot-1", beside)
    ledger.save_lease("web", 60, 3)
    copy = saved(tmp_path)
    (tmp_path / "desk.new").mkdir()  # nothing can be written there
    ledger.save_ending("c", ENDING)
    assert not (tmp_path / "desk.json").exists()
    put_back(tmp_path, copy)
    assert Ledger(tmp_path, "boot-1", beside).outdated


def test_a_file_beside_of_another_boot_says_nothing(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    Ledger(tmp_path, "boot-1", beside).save_lease("web", 60, 3)
    other = Ledger(tmp_path, "boot-2", beside)
    assert (other.outdated, other.lease("web", 60)) == (False, 0)
    other.save_lease("web", 60, 4)
    assert Ledger(tmp_path, "boot-2", beside).lease("web", 60) == 4


def test_the_greatest_term_of_each_office_is_known_across_boots(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "boot-1")
    for office, number in (("web/leader", 7), ("web/leader", 5), ("cron", 9)):
        ledger.note_term(office, number)
    ledger.save_terms()
    assert Ledger(tmp_path, "boot-2").known_terms == {"web/leader": 7, "cron": 9}
    (tmp_path / "terms.json").write_bytes(b"{")
    assert Ledger(tmp_path, "boot-2").known_terms == {}


def test_a_folder_that_was_put_in_the_place_of_its_own_is_never_written_to(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    ledger = Ledger(tmp_path / "desk", "boot-1", beside)
    ledger.save_lease("web", 60, 3)
    (tmp_path / "desk").rename(tmp_path / "away")
    Ledger(tmp_path / "desk", "boot-1").save_lease("web", 60, 8)
    theirs = saved(tmp_path / "desk")
    ledger.save_ending("c", ENDING)
    ledger.clear()
    assert saved(tmp_path / "desk") == theirs
    assert Ledger(tmp_path / "away", "boot-1", beside).outdated, "what was saved last could not be"
