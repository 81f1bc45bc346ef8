"""The agent's own writes: the key that says a unit is present, and the leader's settings. Each lands once or never, however late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tenure.office.records import Present, encode
from tenure.simulation.server import Cause, info_key, present_key
from tenure.store.api import Committed, Compare, Delete, Put, modified_at

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.slots import Seat, SessionSlot

SEND_MOST = 6
PAUSE_NS = 200_000_000


class Kept:
    """A unit's present key: put with each lease, one write under way at a time, compared with what it was before."""

    __slots__ = (
        "_agent",
        "_busy",
        "_calls",
        "_dropping",
        "_gen",
        "_put",
        "_revision",
        "_slot",
        "key",
        "unit",
        "value",
    )

    def __init__(self, agent: Agent, slot: SessionSlot, unit: str) -> None:
        self._agent, self._slot, self._gen = agent, slot, agent.gen
        self.unit = unit
        self.key = present_key(unit)
        self.value = b""
        self._put: tuple[bytes, int] | None = None
        self._revision = 0
        self._busy = self._calls = 0
        self._dropping = False

    def keep(self, present: Present) -> None:
        """The newest word of any of the unit's candidacies."""
        fresh, self.value = not self.value, encode(present)
        self.go()
        if fresh and self._slot.machine.lease:
            # What was renewed without a key to confirm it by is sure of nothing.
            self._agent.feed(self._slot, self._slot.machine.renew_now(self._agent.now()))

    def begin(self) -> None:
        """Put it with this lease, whatever was put before: it may be gone."""
        self._put = None
        self.go()

    def put_again(self) -> None:
        """A lease begins, or the key was looked for on the lease and not found."""
        self._put = None
        self.go()

    def drop(self) -> None:
        """Keep it no longer, and say when it is gone."""
        self._dropping = True
        self.go()

    def go(self) -> None:
        """Write, if there is something to write and nothing under way."""
        agent, lease = self._agent, self._slot.machine.lease or 0
        if self._busy or self._gen != agent.gen:
            return
        if self._dropping:
            then: list[Any] = [Delete(self.key)]
        elif self.value and lease and self._put != (self.value, lease):
            then = [Put(self.key, self.value, lease)]
        else:
            return
        self._calls += 1
        self._busy = call = self._calls
        wanted = (self.value, lease)
        # The unit's own record, too: a put that lands after the unit's removal would make it a successor again.
        when = [modified_at(self.key, self._revision), Compare(info_key(self.unit), value=b"alive")]
        when = when[:1] if self._dropping else when
        cause = Cause(agent.name, lease)
        agent.network.send(
            agent.link, agent.server.commit, agent, cause, when, then, self._answered, call, wanted, self._dropping
        )
        agent.loop.at(agent.loop.now + 1_000_000_000, self._late, call)

    def _answered(self, outcome: Any, call: int, wanted: tuple[bytes, int], dropping: bool) -> None:
        agent = self._agent
        if self._gen != agent.gen or call != self._busy or agent.later(self._answered, outcome, call, wanted, dropping):
            return
        self._busy = 0
        if outcome is None:
            agent.feed(self._slot, self._slot.machine.lease_gone(agent.now(), wanted[1]))
        elif isinstance(outcome, Committed):
            self._revision = 0 if dropping else outcome.revision
            self._put = None if dropping else wanted
            if dropping:
                agent.present_gone(self._slot)
                return
        else:
            item = outcome.current[self.key]
            before, self._revision = self._revision, 0 if item is None else item.mod_revision
            if item is None and dropping:
                agent.present_gone(self._slot)
                return
            if before == self._revision:
                return
        if self._gen == agent.gen:
            self.go()

    def _late(self, call: int) -> None:
        agent = self._agent
        if self._gen == agent.gen and call == self._busy and not agent.later(self._late, call):
            self._busy = 0
            self.go()


class SettingsWriter:
    """A leader's writes: one under way at a time, each fenced by its term and the key's own revision, each with an id."""

    __slots__ = ("_agent", "_base", "_gen", "_queue", "_seat", "_sent", "_serial", "_writing")

    def __init__(self, agent: Agent, seat: Seat) -> None:
        self._agent, self._seat, self._gen = agent, seat, agent.gen
        self._queue: deque[tuple[int, Callable[[bool], None]]] = deque()
        self._writing: tuple[int, int, bytes, Callable[[bool], None]] | None = None
        self._base = 0
        self._sent = 0
        self._serial = 0

    def write(self, term: int, done: Callable[[bool], None]) -> None:
        """Write as the leader of this term; `done` is told whether it has surely landed."""
        self._queue.append((term, done))
        if self._writing is None:
            self._next()

    def _next(self) -> None:
        if not self._queue or self._gen != self._agent.gen:
            self._writing = None
            return
        term, done = self._queue.popleft()
        place = self._agent.world.checks.next_write()
        self._writing = (term, place, self._new_id(), done)
        self._sent = 0
        # What is known of the key may be old: that costs a round, no more.
        self._send()

    def _new_id(self) -> bytes:
        self._serial += 1
        return f"{self._agent.name} {self._gen} {self._seat.unit} {self._serial}".encode()

    def _send(self) -> None:
        assert self._writing is not None
        agent, seat, machines = self._agent, self._seat, self._agent.world.machines
        term, place, value, _ = self._writing
        self._sent += 1
        office = seat.office
        fence = term if machines.bound_writes else self._seat.machine.number or term
        when = [modified_at(f"{office.name}/holder", fence)] if machines.fenced else []
        if machines.compared:
            when.append(modified_at(office.settings, self._base))
        cause = Cause(agent.name, 0, (office, term, place))
        sent = self._sent
        if agent.network.send(
            agent.link, agent.server.commit, agent, cause, when, [Put(office.settings, value)], self._answered, value
        ):
            agent.loop.at(agent.loop.now + 1_000_000_000, self._late, value, sent)
        else:
            agent.loop.at(agent.loop.now + PAUSE_NS, self._late, value, sent)

    def _answered(self, outcome: Any, value: bytes) -> None:
        agent = self._agent
        if self._writing is None or self._writing[2] != value or self._gen != agent.gen:
            return
        if agent.later(self._answered, outcome, value):
            return
        term, place, _, done = self._writing
        settings, holder = self._seat.office.settings, f"{self._seat.office.name}/holder"
        if isinstance(outcome, Committed):
            self._base = outcome.revision
            self._done(True)
            return
        item = outcome.current.get(settings)
        self._base = 0 if item is None else item.mod_revision
        if item is not None and item.value == value:
            self._done(True)
            return
        held = outcome.current.get(holder)
        if held is None or held.mod_revision != term:
            self._done(False)
            return
        # The term lasts and the key is newer than the picture of it: go on from there, as a commit of its own.
        self._writing = (term, place, self._new_id(), done)
        self._sent = 0
        self._send()

    def _late(self, value: bytes, sent: int) -> None:
        agent = self._agent
        if self._gen != agent.gen or self._writing is None or self._writing[2] != value or self._sent != sent:
            return
        if agent.later(self._late, value, sent):
            return
        if self._sent >= SEND_MOST:
            agent.loop.counts["settings write unsure"] += 1
            self._done(False)
        else:
            self._send()

    def _done(self, landed: bool) -> None:
        assert self._writing is not None
        done = self._writing[3]
        self._writing = None
        done(landed)
        if self._writing is None:
            self._next()
