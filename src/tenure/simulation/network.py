"""Messages between agents and the store: lost, late, doubled, out of order, cut off one way or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenure.simulation.loop import Loop
from tenure.simulation.scenario import FINE, Weather

FASTEST_NS = 100_000
SPREAD_NS = 3_000_000


class Link:
    """One agent's way to the store and back. `up`, `down`: by how many faults each way is cut off."""

    __slots__ = ("aside", "down", "held", "member", "up")

    def __init__(self) -> None:
        self.up = 0
        self.down = 0
        self.member = 0
        """Of a store with members: the one that the agent is connected to."""
        self.aside: int | None = None
        """The one that it sends all but its renewals to, if that is another."""
        self.held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        """Messages that wait for the way to open again, as in the buffers of a connection."""


class Network:
    """How each message fares. After `calm` until `storm` nothing is lost, and nothing lands later than `quiet_from_ns` says."""

    __slots__ = ("_loop", "quiet_from_ns", "weather")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.weather = FINE
        self.quiet_from_ns = 1 << 62

    def send(self, link: Link, call: Callable[..., None], *args: Any) -> bool:
        """A request to the store: `call(*args)` happens there, once, twice or never. False: not taken, and the sender knows."""
        loop, weather = self._loop, self.weather
        if link.up:
            if loop.random() < 0.5:
                loop.counts["request held"] += 1
                link.held.append((call, args))
            else:
                loop.counts["request lost"] += 1
            return True
        if weather is not FINE:
            if loop.random() < weather.refused:
                loop.counts["request not taken"] += 1
                return False
            self._carry(weather, "request", call, args)
        else:
            loop.at(loop.now + FASTEST_NS + int(loop.random() * SPREAD_NS), call, *args)
        return True

    def answer(self, link: Link, call: Callable[..., None], *args: Any) -> None:
        """An answer of the store's: `call(*args)` happens at the agent, or doesn't."""
        loop, weather = self._loop, self.weather
        if link.down:
            if loop.random() < 0.5:
                loop.counts["answer held"] += 1
                link.held.append((call, args))
            else:
                loop.counts["answer lost"] += 1
        elif weather is not FINE:
            self._carry(weather, "answer", call, args)
        else:
            loop.at(loop.now + FASTEST_NS + int(loop.random() * SPREAD_NS), call, *args)

    def open(self, link: Link) -> None:
        """What was held comes through, if neither way is cut off any more."""
        if not link.up and not link.down and link.held:
            held, link.held = link.held, []
            loop = self._loop
            for call, args in held:
                loop.at(loop.now + FASTEST_NS + int(loop.random() * SPREAD_NS), call, *args)

    def _carry(self, weather: Weather, what: str, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        loop = self._loop
        dice = loop.random()
        delay = FASTEST_NS + int(loop.random() * SPREAD_NS)
        if dice < weather.lost:
            loop.counts[f"{what} lost"] += 1
            return
        dice -= weather.lost
        if dice < weather.late:
            loop.counts[f"{what} late"] += 1
            delay += self.late_ns()
        elif dice - weather.late < weather.doubled:
            loop.counts[f"{what} doubled"] += 1
            loop.at(loop.now + delay + self.late_ns(), call, *args)
        loop.at(loop.now + delay, call, *args)

    def late_ns(self) -> int:
        """How late a late message is: mostly a little, sometimes longer than a lease; before the quiet at the latest."""
        loop = self._loop
        most = min(self.weather.late_ns, max(0, self.quiet_from_ns - loop.now))
        return int(loop.random() ** 3 * most)
