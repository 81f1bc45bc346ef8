"""What the doctor finds: one thing looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "warning", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. `do` is empty where there is nothing to do."""

    what: str
    state: State
    says: str
    do: str = ""


def exit_code(findings: list[Finding]) -> int:
    """0: nothing is wrong; 1: something is; 3: something that matters can't be known."""
    states = {finding.state for finding in findings}
    return 1 if "wrong" in states else 3 if "unknown" in states else 0
