"""A page of the documents as something to do: the files that it shows are written, its commands are run as they stand."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]

_STEP = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$|^<!-- test: (?P<hint>.+?) -->$",
    re.MULTILINE | re.DOTALL,
)
_STAYS_OPEN = re.compile(r"^tenure (?:up|agent|hold (?!.*--show))\b")
_EXPORT = re.compile(r"^export (\w+)=(.*)$")


@dataclass(frozen=True)
class Step:
    """A fenced block (a file to write if it has `file`, shell lines if `sh`, a session if `console`), or a `hint`: what a
    reader does without typing a command."""

    kind: str
    body: str
    file: str | None


def steps(page: str) -> list[Step]:
    """What a page of docs/ says to do, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [
        Step("hint", found["hint"], None) if found["hint"] else Step(found["kind"], found["body"], found["file"])
        for found in _STEP.finditer(text)
    ]


def commands(session: str) -> list[str]:
    """What is typed in a console block: its lines that begin with `$ `, a trailing backslash going on to the next."""
    joined = session.replace("\\\n", "")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


class Reader:
    """Who follows a page: one folder, one environment, commands one after another, terminals that stay open."""

    def __init__(self, folder: Path, instead: Mapping[str, str]) -> None:
        self.folder = folder
        self.open: dict[str, subprocess.Popen[bytes]] = {}
        self.ran = ""
        self._instead = instead
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "JUJU_"))},
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def follow(self, page: str, hints: Mapping[str, Callable[[], object]] | None = None) -> dict[str, str]:
        """Do all that the page says. Returns what each command printed. A command that fails, fails the test."""
        printed: dict[str, str] = {}
        for step in steps(page):
            if step.kind == "hint":
                (hints or {})[step.body]()
            elif step.file:
                path = self.folder / step.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.body, encoding="utf-8")
            elif step.kind == "sh":
                if not step.body.startswith("make "):
                    self.type(step.body)
            elif step.kind == "console":
                for command in commands(step.body):
                    printed[command] = self.type(command)
        return printed

    def type(self, command: str) -> str:
        """Type it into a terminal, one of its own for what stays in the foreground."""
        for written, meant in self._instead.items():
            command = command.replace(written, meant)
        if export := _EXPORT.match(command):
            value = self._run(f"printf %s {export[2]}")
            if export[1] != "PATH":
                self.environment[export[1]] = value
            return ""
        if _STAYS_OPEN.match(command):
            self.start(command)
            return ""
        return self._run(command)

    def start(self, command: str) -> None:
        """A terminal in which something runs until it is told to end; returns once that can be seen from another one."""
        if command in self.open:
            command += " "
        log = self.folder / f"terminal-{len(list(self.folder.glob('terminal-*.log')))}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self.open[command] = process

        def seen() -> bool:
            assert process.poll() is None, f"{command} ended with {process.returncode}:\n{self.said()}"
            if command.startswith("tenure up"):
                return bool(self.status()["applications"])
            # A second holder waits, and says nothing.
            return command.endswith(" ") or re.search(r" runs, |I am it", log.read_text(errors="replace")) is not None

        until(seen, within_s=30, what=command)

    def status(self) -> dict[str, Any]:
        """The model as it stands; an empty one while there is no store."""
        try:
            found: dict[str, Any] = json.loads(self._run("tenure status --format json"))
        except AssertionError as error:
            if "there is no store" not in str(error):
                raise
            return {"machines": {}, "applications": {}}
        return found

    def terminals(self) -> list[Path]:
        """What each terminal has shown, in the order in which they were opened."""
        return sorted(self.folder.glob("terminal-*.log"))

    def said(self) -> str:
        """The last of what the open terminals show."""
        logs = self.terminals()
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}" for log in logs)

    def close(self) -> None:
        """Ctrl-C in every terminal that is still open; what doesn't end is killed, and fails the test."""
        stuck = []
        for command, process in reversed(self.open.items()):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                stuck.append(command)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.open.clear()
        assert stuck == [], f"Ctrl-C did not end it:\n{self.said()}"

    def _run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        ended = f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}\n{self.said()}"
        assert done.returncode == 0, ended
        self.ran += done.stdout
        return done.stdout


@contextlib.contextmanager
def reader(folder: Path, instead: Mapping[str, str] | None = None) -> Iterator[Reader]:
    """Somebody who follows a page in an empty folder; `instead`: what they write for what the page has."""
    folder.mkdir(parents=True, exist_ok=True)
    someone = Reader(folder, instead or {})
    try:
        yield someone
    finally:
        someone.close()
