"""The agent's log: lines that programs read in a file, lines for people on standard error."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.agent import logs
from tenure.errors import BadInput


@pytest.fixture(autouse=True)
def _handlers_as_they_were() -> Iterator[None]:
    root, unit, loop = logging.getLogger(), logging.getLogger("unit"), logging.getLogger("asyncio")
    before = root.handlers[:], root.level, unit.level, loop.level, logging.raiseExceptions
    yield
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], level, unit_level, loop_level, logging.raiseExceptions = before
    root.setLevel(level)
    unit.setLevel(unit_level)
    loop.setLevel(loop_level)


def lines(tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "log" / "agent.log").read_text().splitlines()]


def test_a_line_says_when_where_and_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(tmp_path, "m0")
    logs.event(logging.getLogger("tenure.office"), "web/0: elected", event="elected", term=7)
    (line,) = lines(tmp_path)
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "tenure.office",
        "message": "web/0: elected",
        "machine": "m0",
        "event": "elected",
        "term": 7,
    }
    assert "INFO    office: web/0: elected term=7" in capsys.readouterr().err


def test_what_hooks_print_is_kept_and_shown_only_to_those_who_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(tmp_path, "m0")
    logging.getLogger("unit.web/0.install").debug("%s", "said by the hook")
    logging.getLogger("tenure.agent").debug("of no interest")
    assert [line["message"] for line in lines(tmp_path)] == ["said by the hook"]
    assert capsys.readouterr().err == ""
    logs.configure(tmp_path, "m0", 1)
    logging.getLogger("unit.web/0.install").debug("%s", "said again")
    assert "unit.web/0.install: said again" in capsys.readouterr().err


def test_a_line_stays_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    logs.configure(tmp_path, "m0")
    logging.getLogger("unit.web/0.install").info("%s", 'a\n"b"\x00\udcff')
    (line,) = lines(tmp_path)
    assert str(line["message"]).startswith('a\n"b"\x00')


def test_the_file_is_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_MAX", 2000)
    logs.configure(tmp_path, "m0")
    for _ in range(200):
        logging.getLogger("unit.web/0.install").info("x" * 100)
    files = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert files == ["agent.log", *(f"agent.log.{number}" for number in range(1, logs.FILES + 1))]


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with pytest.raises(BadInput, match=r"agent\.log can't be written: Not a directory|File exists"):
        logs.configure(tmp_path, "m0")
