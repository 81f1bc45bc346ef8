"""The how-to about a process on exactly one unit, done to the letter; and its code is that of the example charms."""

from __future__ import annotations

import itertools
import os
import re
import signal
from pathlib import Path

import pytest

from tests.docs.page import ROOT, reader
from tests.waiting import until

PAGE = "how-to/run-a-process-on-exactly-one-unit.md"

_SHOWN = re.compile(r"^`(?P<file>[^`\n]+)`, in the charm:\n\n```text\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_code_that_the_page_shows_is_the_charms() -> None:
    text = (ROOT / "docs" / PAGE).read_text()
    shown = 0
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        charm = re.search(r"`(examples/[\w-]+)`", part)
        for found in _SHOWN.finditer(part):
            assert charm is not None
            whole = (ROOT / charm[1] / found["file"]).read_text()
            assert whole.startswith(found["code"]), f"{charm[1]}/{found['file']}"
            shown += 1
    assert shown >= 5


@pytest.mark.slow
def test_a_process_runs_on_exactly_one_unit_as_the_how_to_says(tmp_path: Path) -> None:
    killed: list[str] = []
    with reader(tmp_path, {"examples/": f"{ROOT}/examples/"}) as someone:

        def kill(office: str) -> None:
            asked = f"tenure leader web --office {office}"
            killed.append(someone.type(asked).strip())
            said = someone.terminals()[-1].read_text()
            pid = re.search(rf"the agent of m{killed[-1][-1]} runs, process (\d+)", said)
            assert pid is not None
            os.kill(int(pid[1]), signal.SIGKILL)
            until(lambda: someone.type(f"{asked} || true").strip() not in ("", killed[-1]), within_s=20)

        hints = {
            "Ctrl-C in the first terminal": someone.close,
            "kill the leader's agent": lambda: kill("leader"),
            "kill the agent that runs it": lambda: kill("process"),
        }
        try:
            printed = someone.follow(PAGE, hints)
        finally:
            for path in someone.folder.glob("ran-*"):
                path.unlink()  # what is left of a page that failed ends with it
    hooks = units(printed["sleep 2; tail -n 8 ran-1"])
    assert len(list(itertools.groupby(hooks))) > 2, "with hooks alone two run at the same time"
    after_ctrl_c, now = printed["sleep 1; tail -n 1 ran-1; date +%T"].splitlines()
    assert seconds(now) - seconds(after_ctrl_c.split()[0]) <= 3, "and one runs on when the agents have ended"
    for number, victim in enumerate(killed, start=2):
        in_peace = turns(printed[f"sleep 2; tail -n 20 ran-{number}"])
        assert in_peace in ([victim], ["web/0", "web/1"], ["web/1", "web/0"]), "one comes after the other"
        other = "web/1" if victim == "web/0" else "web/0"
        assert turns(printed[f"tail -n 40 ran-{number}"]) in ([victim, other], [other, victim, other])
    assert printed["tenure history web --office process"].count("web/") == 3


def turns(lines: str) -> list[str]:
    """Who wrote, one after the other."""
    return [unit for unit, _ in itertools.groupby(units(lines))]


def units(lines: str) -> list[str]:
    """Who wrote each line."""
    return [line.split()[1] for line in lines.splitlines()]


def seconds(clock: str) -> int:
    hours, minutes, rest = (int(number) for number in clock.split(":"))
    return hours * 3600 + minutes * 60 + rest
