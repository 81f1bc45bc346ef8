"""The office's keys and what a mirror shows of them, given as values: this floor knows no layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tenure.store.api import Item


@dataclass(frozen=True, slots=True)
class OfficeKeys:
    """The keys that one candidate of one office meets."""

    name: str
    """For messages: "web/leader"."""
    holder: str
    last: str
    terms: str
    """A prefix, with its slash at the end."""
    unit_info: str
    """The candidate's own info key; empty for a candidate that no record stands for."""
    present: str
    """The candidate's own present key."""
    paused: str = ""
    """While this key exists nobody claims the office; empty where no such key is looked at."""


@dataclass(frozen=True, slots=True)
class OfficeView:
    """What the mirror shows of an office, at one revision, to one candidate."""

    revision: int
    holder: Item | None
    last: Item | None
    unit_info: Item | None
    candidates: Mapping[str, Item]
    """Present keys by unit's name."""
    paused: Item | None = None
