"""Wall-clock times as text, for people. Nothing is decided by them but how often a job is run, never by how many."""

from __future__ import annotations

from datetime import UTC, datetime


def now_text() -> str:
    """This moment: `2026-05-01T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_text(text: str) -> str:
    """A stored time as the reader's clock shows it; what can't be read stays as it is."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def seconds_since(text: str) -> float | None:
    """How long ago a stored time was (negative: it is to come); None when it can't be read."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    except (ValueError, TypeError):
        return None
