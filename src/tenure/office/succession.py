"""The line of succession: who claims a vacant office at once, who a few milliseconds later.

Only a courtesy that spares the store a herd of claims: safety is the claim's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

from tenure.office.timing import STAGGER_MOST, STAGGER_NS


def place(
    unit: str,
    priority: int,
    others: Iterable[tuple[str, int]],
    ended: int,
    *,
    last: bool = False,
    most: int | None = None,
) -> int:
    """How many of `others` (unit and priority) come before `unit` once the term `ended` is over; `last`: all of them.

    The order is by priority, the greater first, then by a hash of unit and term, so that no unit is always first.
    Whoever puts itself last steps behind a place that the others still keep free for it. Nobody is counted beyond `most`.
    """
    if last:
        behind = sum(1 for other, _ in islice(others, most) if other != unit)
        return behind + 1 if behind else 0
    mine = _rank(unit, priority, ended)
    before = (1 for other, theirs in others if other != unit and _rank(other, theirs, ended) < mine)
    return sum(islice(before, most))


def stagger_ns(line_place: int) -> int:
    """How long the one at this place waits before it claims."""
    return min(line_place, STAGGER_MOST) * STAGGER_NS


@lru_cache(maxsize=4096)  # a process with a thousand candidates asks for each a thousand times
def _rank(unit: str, priority: int, ended: int) -> tuple[int, bytes, str]:
    return (-priority, blake2b(f"{unit} {ended}".encode(), digest_size=8).digest(), unit)
