"""A page of the documents as something to do: the files that it shows are written, its commands are run as they stand."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_FOREGROUND = re.compile(r"^tenure (?:up|agent)\b|&$")


@dataclass(frozen=True)
class Block:
    """A fenced block: a file to write (`file`), shell lines to run (sh), or a session (console)."""

    kind: str
    body: str
    file: str | None


def blocks(page: str) -> list[Block]:
    """The blocks of a page of docs/, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [Block(found["kind"], found["body"], found["file"]) for found in _BLOCK.finditer(text)]


def commands(session: str) -> list[str]:
    """What is typed in a console block: its lines that begin with `$ `, a trailing backslash going on to the next."""
    joined = session.replace("\\\n", "")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


class Terminal:
    """A reader's terminal: one folder, one environment, commands one after another; those that stay open are kept."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self._log = log
        self._open: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "JUJU_"))},
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def follow(self, page: str) -> dict[str, str]:
        """Do all that the page says. Returns what each command printed. A command that fails, fails the test."""
        printed: dict[str, str] = {}
        for block in blocks(page):
            if block.file:
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.body, encoding="utf-8")
            elif block.kind == "sh":
                self.type(block.body)
            elif block.kind == "console":
                for command in commands(block.body):
                    printed[command] = self.type(command)
        return printed

    def type(self, command: str) -> str:
        """Run a command; one that stays in the foreground is left running, as in a terminal of its own."""
        if _FOREGROUND.search(command):
            with self._log.open("ab") as sink:
                self._open.append(
                    subprocess.Popen(
                        ["bash", "-c", f"exec {command.rstrip('&')}"],
                        cwd=self.folder,
                        env=self.environment,
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=sink,
                        start_new_session=True,
                    )
                )
            return ""
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
        log = self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}\n{log}"
        return done.stdout

    def close(self) -> None:
        """Ctrl-C in every terminal that is still open; what doesn't end is killed, and fails the test."""
        stuck = []
        for process in reversed(self._open):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                stuck.append(process.args)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert stuck == [], "Ctrl-C did not end it"


@contextlib.contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    """A terminal that is closed at the end."""
    opened = Terminal(folder / "reader", folder / "foreground.log")
    try:
        yield opened
    finally:
        opened.close()
