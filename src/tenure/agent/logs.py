"""The agent's log: JSON lines in a file that is rotated by size, and lines for people on standard error.

Fields of a line: time (wall clock, for people), level, logger, message, machine, and what the event brings with it.
The logger of what a hook prints is named as Juju names it: `unit.web/0.config-changed`.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from tenure.errors import BadInput

FILE_MAX, FILES = 8 * 1024 * 1024, 4
"""Bytes after which the file is rotated, and how many older ones are kept: some 40 MB of log for each machine at the most."""

_FIELDS = "fields"


def event(logger: logging.Logger, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log something that programs look for, too: `fields` become keys of the JSON line."""
    logger.log(level, message, extra={_FIELDS: fields})


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, machine: str) -> None:
        super().__init__()
        self._machine = machine

    def format(self, record: logging.LogRecord) -> str:
        """The record as its line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "machine": self._machine,
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ForPeople(logging.Formatter):
    """Time of day, level, logger, message, and the event's fields behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as its line."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        name = record.name.removeprefix("tenure.")
        fields = "".join(
            f" {name}={value}" for name, value in getattr(record, _FIELDS, {}).items() if name not in _NOT_SHOWN
        )
        line = f"{time} {record.levelname:7} {name}: {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


_NOT_SHOWN = {"event", "boot_ns", "unit", "hook", "context_id"}
"""For programs: the message says it already."""


def configure(state_dir: Path, machine: str, verbosity: int = 0) -> None:
    """Log to `STATE/log/agent.log` and to standard error; `verbosity` 1 shows there what hooks print, 2 all.

    Raises BadInput when the file can't be written.
    """
    path = state_dir / "log" / "agent.log"
    try:
        path.parent.mkdir(exist_ok=True)
        file = RotatingFileHandler(path, maxBytes=FILE_MAX, backupCount=FILES, encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{path} can't be written: {error.strerror}") from None
    file.setFormatter(JsonLines(machine))
    people = logging.StreamHandler(sys.stderr)
    people.setFormatter(ForPeople())
    people.setLevel(logging.INFO if verbosity == 0 else logging.DEBUG)
    root = logging.getLogger()
    root.handlers[:] = [file, people]
    root.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
    # What hooks print is kept, as in Juju's own default, though it is shown only to those who ask.
    logging.getLogger("unit").setLevel(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a full disk, or a standard error that is gone, must not end the agent
