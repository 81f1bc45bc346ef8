"""What has run is on disk before it counts, and a crash between any two lines has one meaning: promise 6."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.agent.hook import Hook
from tenure.agent.journal import Journal, JournalFile, Running
from tenure.clock import Instant, ns
from tenure.errors import BadInput

NOW = Instant(ns(1000), ns(1000))
INSTALL = Hook(kind="install")
CONFIG = Hook(kind="config-changed", config="c1")


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    file = JournalFile(tmp_path)
    assert file.load() is None
    journal = Journal(unit_revision=3).committed(INSTALL, "b1").committed(CONFIG, "b1")
    joined = Hook(
        kind="relation-joined", relation=0, endpoint="peers", remote_unit="web/1", remote_application="web", version=7
    )
    journal = file.save(journal.committed(joined, "b1").failing(Hook(kind="leader-elected", term=5), NOW))
    assert file.load() == journal
    assert journal.serial == 1


def test_a_journal_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    file = JournalFile(tmp_path)
    (tmp_path / "journal").write_bytes(b'{"unit_revision": 3, "started": true}')
    with pytest.raises(BadInput, match="journal can't be read"):
        file.load()
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(BadInput, match="journal can't be read"):
        file.load()


def test_a_journal_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'{"format": 2, "unit_revision": 3}')
    with pytest.raises(BadInput, match="its format is 2"):
        JournalFile(tmp_path).load()


def test_a_bad_record_is_caught_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="installed before it starts"):
        JournalFile(tmp_path).save(Journal(unit_revision=3, started=True))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = JournalFile(tmp_path)
    before = file.save(Journal(unit_revision=3))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.save(before.committed(INSTALL, "b1"))
    assert file.load() == before
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


STEPS = ["chosen", "noted", "started", "ended", "flushed", "committed"]


@pytest.mark.parametrize("killed_after", STEPS)
def test_a_killed_agent_runs_the_hook_again_unless_it_was_committed(tmp_path: Path, killed_after: str) -> None:
    file = JournalFile(tmp_path)
    journal = file.save(Journal(unit_revision=3))

    # What an agent does for a hook, in its order, until it is killed. ("ended" and "flushed" write nothing here.)
    running = Running(serial=journal.serial + 1, hook=INSTALL, context_id="web/0-install-1")
    done = STEPS.index(killed_after)
    if done >= STEPS.index("noted"):
        file.begin(running)
    if done >= STEPS.index("started"):
        file.begin(msgspec.structs.replace(running, pid=77, started_ticks=5))
    if done >= STEPS.index("committed"):
        file.save(journal.committed(INSTALL, "b1"))

    after = JournalFile(tmp_path).load()
    assert after is not None
    interrupted = JournalFile(tmp_path).interrupted(after)
    if killed_after == "committed":
        assert after.installed
        assert interrupted is None
    else:
        assert not after.installed, "it will be chosen, or retried, again"
        assert (interrupted is None) == (killed_after == "chosen")
        if interrupted is not None:
            assert interrupted.hook == INSTALL
            assert interrupted.pid == (0 if killed_after == "noted" else 77)


@given(st.binary(max_size=30))
def test_a_note_that_a_crashed_host_left_torn_counts_for_nothing(
    tmp_path_factory: pytest.TempPathFactory, torn: bytes
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    file = JournalFile(folder)
    journal = file.save(Journal(unit_revision=3))
    (folder / "running").write_bytes(torn)
    assert file.interrupted(journal) is None


def test_each_failure_waits_twice_as_long_up_to_five_minutes_and_a_success_begins_anew() -> None:
    journal = Journal(unit_revision=3)
    waits = []
    for _ in range(9):
        journal = journal.failing(INSTALL, NOW)
        assert journal.failed
        waits.append(round(journal.failed.retry_at.left_ns(NOW) / 1e9))
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    journal = journal.committed(INSTALL, "b1").failing(CONFIG, NOW)
    assert journal.failed
    assert journal.failed.attempts == 1


def test_resolved_begins_the_waits_anew() -> None:
    journal = Journal(unit_revision=3).failing(INSTALL, NOW).failing(INSTALL, NOW)
    journal = journal.again(INSTALL)
    assert journal.queued == INSTALL
    journal = journal.failing(INSTALL, NOW)
    assert journal.failed
    assert journal.failed.attempts == 1


def test_an_agent_that_starts_tells_the_settings_again_and_retries_soon() -> None:
    journal = (
        Journal(unit_revision=3, installed=True, settings=7).failing(CONFIG, NOW.after(-ns(100))).failing(CONFIG, NOW)
    )
    awoken = journal.awoken(NOW)
    assert awoken.settings is None
    assert awoken.failed
    assert awoken.failed.retry_at == NOW.after(ns(5))
