"""The members of an etcd, as far as leases can tell them apart: who leads, who has not heard of it yet, and what they answer.

What is modelled is what was read in etcd's sources and seen of it (etcd-io/etcd#15247): a leader that was stopped or cut
off goes on taking itself for one until it hears of the next. Meanwhile it answers renewals, its own clients' and those
that a follower on its side passes on, out of its own book of leases, and they count for nothing. The next leader gives
each lease its full length anew, and an election's time-out more. Where etcd lets it (old
versions; any version, where many leases end at once) a former leader that hears of the next has those leases ended that
were over by its book.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tenure.clock import NS_PER_S

if TYPE_CHECKING:
    from tenure.simulation.network import Link
    from tenure.simulation.server import Server

MEMBERS = 5
EXTEND_NS = NS_PER_S
ASTRAY = 0.03
"""How often a request is met by another member than the one that the agent is connected to."""


class Witness(NamedTuple):
    """Who has answered, and the newest term of etcd's that it has applied."""

    member: int
    term: int


class Members:
    """One etcd's. `behind`: those that have not heard of the newest leader; the former one is among them."""

    def __init__(self, server: Server, *, ends_early: bool) -> None:
        self._server, self._early = server, ends_early
        self.term = 1
        self.leader = 0
        self.behind: set[int] = set()
        self._book: dict[int, int] = {}
        """The former leader's: each lease's length."""
        self._ends: dict[int, int] = {}
        self._frozen = False
        self._changes = 0
        self._links: Sequence[Link] = ()
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def met_by(self, link: Link, *, stream: bool = False) -> int:
        """The member that a request comes to, or a renewal by its stream."""
        loop = self._server.loop
        if loop.random() < ASTRAY:
            return int(loop.random() * MEMBERS)
        return link.member if stream or link.aside is None else link.aside

    def witness(self, member: int) -> Witness:
        """What an answer's header says."""
        return Witness(member, self.term - (member in self.behind))

    # ---- a change of the leader

    def change(self, links: Sequence[Link], *, frozen: bool) -> int:
        """Another member leads from now on; the number of this change.

        `frozen`: the former leader stands still until it is woken. Else only what it writes to its disk does, and it goes
        on answering renewals, while some clients send everything else to other members.
        """
        self.rejoin(self._changes)
        self._links = links
        self.leader = links[int(self._server.loop.random() * len(links))].member
        server, loop = self._server, self._server.loop
        now_ns, leases = server.now_ns(), server.world._leases
        self._book = {lease: state.ttl_s for lease, state in leases.items()}
        self._ends = {lease: state.ends_ns for lease, state in leases.items()}
        others = [member for member in range(MEMBERS) if member != self.leader]
        loop.rng.shuffle(others)
        self.behind = {self.leader, others[0]} if loop.random() < 0.5 else {self.leader}
        self.leader = others[-1]
        self.term += 1
        self._changes += 1
        self._frozen = frozen
        if not frozen:
            for link in links:
                link.aside = others[-1] if loop.random() < 0.5 else None
        for state in leases.values():
            state.ends_ns = max(state.ends_ns, now_ns + state.ttl_s * NS_PER_S + EXTEND_NS)
        return self._changes

    def wake(self, change: int) -> None:
        """The former leader goes on, and has not heard of the next yet."""
        if change == self._changes:
            self._frozen = False
            waiting, self._waiting = self._waiting, []
            for call, args in waiting:
                call(*args)

    def rejoin(self, change: int) -> None:
        """All have heard of the leader."""
        if change != self._changes or not self.behind:
            return
        self.wake(change)
        self.behind = set()
        for link in self._links:
            link.aside = None
        if self._early:
            now_ns, leases = self._server.now_ns(), self._server.world._leases
            for lease in [lease for lease, ends_ns in self._ends.items() if ends_ns <= now_ns and lease in leases]:
                self._server.loop.counts["lease ended by a former leader"] += 1
                self._server.end_early(lease)
        waiting, self._waiting = self._waiting, []
        for call, args in waiting:
            self._server.loop.at(self._server.loop.now + int(self._server.loop.random() * 5_000_000), call, *args)

    def heal(self) -> None:
        """All go on, and hear of the leader."""
        self.rejoin(self._changes)

    # ---- what members that are behind do with a request

    def renewed(self, lease: int) -> int:
        """The ttl that the former leader answers with, which counts for nothing; 0: not in its book."""
        self._server.loop.counts["renewed by a former leader"] += 1
        if lease in self._ends:
            self._ends[lease] = self._server.now_ns() + self._book[lease] * NS_PER_S
        return self._book.get(lease, 0)

    def stands(self, member: int) -> bool:
        """Whether a renewal that comes to this member waits for the former leader to be woken."""
        return self._frozen and member in self.behind

    def wait(self, call: Callable[..., None], *args: Any) -> None:
        """Answered once the member goes on, or has heard of the leader; or lost with its connection."""
        if self._server.loop.random() < 0.7:
            self._waiting.append((call, args))
        else:
            self._server.loop.counts["request lost"] += 1
