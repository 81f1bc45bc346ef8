"""Since when machines' agents have been lost, as this agent has seen it: the model says only that they are."""

from __future__ import annotations

from collections.abc import Collection

from tenure.clock import NS_PER_S, Instant


class Losses:
    """What one agent has seen of the others' sessions. Kept in memory: of what was lost before its start it knows nothing."""

    def __init__(self) -> None:
        self._there: frozenset[str] = frozenset()
        self._lost: dict[str, Instant] = {}

    def saw(self, machines: Collection[str], now: Instant) -> None:
        """These machines' agents keep their sessions."""
        there = frozenset(machines)
        if there == self._there:
            return
        for name in self._there - there:
            self._lost[name] = now
        for name in there:
            self._lost.pop(name, None)
        self._there = there

    def seconds(self, now: Instant) -> dict[str, float]:
        """For how long each machine that was seen to go has been lost, by name."""
        return {name: -since.left_ns(now) / NS_PER_S for name, since in self._lost.items()}
