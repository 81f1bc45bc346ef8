"""Files that are replaced in the newest term or not at all, and the recipe for whatever can compare and set."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from tenure.errors import BadInput, NotLeader
from tenure.fencing import compare_and_set, replace_file


def test_a_file_of_a_later_term_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"first", 5)
    replace_file(path, b"second", 7)
    with pytest.raises(NotLeader, match="cron has been written in a later term than 5"):
        replace_file(path, b"late", 5, resource="cron")
    replace_file(path, b"second again", 7)
    assert path.read_bytes() == b"second again"
    assert sorted(file.name for file in tmp_path.iterdir()) == [".state.json.term", "state.json"]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"first", 5)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    path.chmod(0o640)
    replace_file(path, b"second", 5)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def test_a_folder_that_takes_nothing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"first", 5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"second", 7)
    assert path.read_bytes() == b"first"
    assert sorted(file.name for file in tmp_path.iterdir()) == [".state.json.term", "state.json"]
    monkeypatch.undo()
    with pytest.raises(NotLeader):
        replace_file(path, b"late", 5)


def test_a_term_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".state.json.term").write_text("hello\n")
    with pytest.raises(BadInput, match=r"\.state\.json\.term does not hold a term's number"):
        replace_file(tmp_path / "state.json", b"first", 5)
    assert not (tmp_path / "state.json").exists()


def _write_each(path: Path, terms: range) -> None:
    for term in terms:
        try:
            replace_file(path, str(term).encode(), term)
        except NotLeader:
            pass


def test_of_many_processes_the_greatest_term_is_what_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_each, args=(path, range(start, 60, 3))) for start in (1, 2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert path.read_bytes() == b"59"


class Register:
    """Anything that can compare and set."""

    def __init__(self) -> None:
        self.version, self.term, self.value = 0, 0, ""
        self.others: list[tuple[int, str]] = []

    def read(self) -> tuple[int, int]:
        return self.term, self.version

    def swap(self, version: int, term: int, value: str) -> bool:
        for other in self.others:
            self.version, (self.term, self.value) = self.version + 1, other
        self.others.clear()
        if version != self.version:
            return False
        self.version, self.term, self.value = version + 1, term, value
        return True


def test_compare_and_set_refuses_an_older_term() -> None:
    register = Register()
    compare_and_set(register.read, lambda version, term: register.swap(version, term, "first"), 5)
    compare_and_set(register.read, lambda version, term: register.swap(version, term, "second"), 7)
    with pytest.raises(NotLeader):
        compare_and_set(register.read, lambda version, term: register.swap(version, term, "late"), 5)
    assert register.value == "second"


def test_compare_and_set_looks_again_when_somebody_was_faster() -> None:
    register = Register()
    register.others = [(4, "another")]
    compare_and_set(register.read, lambda version, term: register.swap(version, term, "mine"), 5)
    assert register.value == "mine"
    register.others = [(9, "newer")]
    with pytest.raises(NotLeader):
        compare_and_set(register.read, lambda version, term: register.swap(version, term, "late"), 5)
    assert register.value == "newer"
