"""Any order of events, answers lost, late and unsure, deaths and restarts: the promises of the protocol stand."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.office.world import Host, World

UNITS = ("web/0", "web/1", "web/2")
unit = st.sampled_from(UNITS)
what = st.sampled_from(("session", "office"))


class Protocol(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []
        self.forced = False

    @initialize(
        rates=st.lists(st.floats(0.9996, 1.0004), min_size=3, max_size=3),
        may_end_early=st.booleans(),
        members=st.booleans(),
        ttl_s=st.sampled_from((6, 60)),
    )
    def begin(self, rates: list[float], may_end_early: bool, members: bool, ttl_s: int) -> None:
        self.world = World(UNITS, rates=rates, may_end_early=may_end_early, members=members, ttl_s=ttl_s)
        for host in self.world.hosts.values():
            host.start()

    def host(self, name: str) -> Host | None:
        host = self.world.hosts[name]
        return host if host.alive else None

    @rule(name=unit, what=what)
    def the_store_answers(self, name: str, what: str) -> None:
        if host := self.host(name):
            host.answer(what)

    @rule(name=unit, what=what, landed=st.booleans())
    def an_answer_is_lost(self, name: str, what: str, landed: bool) -> None:
        if host := self.host(name):
            host.lose(what, landed=landed)

    @rule(name=unit, behind=st.integers(0, 4))
    def a_mirror_moves_on(self, name: str, behind: int) -> None:
        if host := self.host(name):
            host.look(behind)

    @rule(seconds=st.floats(0.001, 0.3), ticking=st.sets(unit))
    def a_moment_passes(self, seconds: float, ticking: set[str]) -> None:
        self.world.pass_time(seconds * self.world.timing.ttl_s)
        for name in sorted(ticking):
            if host := self.host(name):
                host.tick()

    @rule(rounds=st.integers(1, 12))
    def all_goes_well_for_a_while(self, rounds: int) -> None:
        for _ in range(rounds):
            self.world.pass_time(self.world.timing.ttl_s / 40)
            for name in UNITS:
                if host := self.host(name):
                    host.tick()
                    host.answer("session")
                    host.answer("office")
                    host.look()

    @rule(name=unit, span=st.sampled_from((0.0, 0.3, 0.5, 0.9)), debtor=st.sampled_from((None, "hook-1", "hook-2")))
    def somebody_asks(self, name: str, span: float, debtor: str | None) -> None:
        if host := self.host(name):
            host.ask(span * self.world.timing.ttl_s, debtor)

    @rule(name=unit, debtor=st.sampled_from(("hook-1", "hook-2")))
    def a_hook_is_gone(self, name: str, debtor: str) -> None:
        if host := self.host(name):
            host.settle(debtor)

    @rule(name=unit)
    def a_release_is_asked_for(self, name: str) -> None:
        if host := self.host(name):
            host.perform(host.candidacy.release(host.now()))

    @rule(name=unit, to=unit)
    def a_transfer_is_asked_for(self, name: str, to: str) -> None:
        if host := self.host(name):
            host.perform(host.candidacy.transfer(host.now(), to))

    @precondition(lambda self: self.world.members)
    @rule(behind=st.sets(unit))
    def the_leader_of_the_store_changes(self, behind: set[str]) -> None:
        self.world.change_leader(behind)

    @rule(name=unit)
    def an_agent_dies(self, name: str) -> None:
        if host := self.host(name):
            host.die()

    @precondition(lambda self: any(not host.alive for host in self.world.hosts.values()))
    @rule(name=unit)
    def an_agent_starts_again(self, name: str) -> None:
        host = self.world.hosts[name]
        if not host.alive:
            # A process that is gone has broken no hook's debt: its successor can't know that the hook has ended.
            host.start()

    @rule(name=unit)
    def a_unit_withdraws(self, name: str) -> None:
        if host := self.host(name):
            host.perform(host.candidacy.withdraw(host.now()))

    @invariant()
    def at_most_one_unit_believes_that_it_holds_the_office(self) -> None:
        assert len(self.world.believers()) <= 1

    @invariant()
    def no_voluntary_end_breaks_a_debt(self) -> None:
        assert self.world.broken_promises() == []

    @invariant()
    def whoever_believes_has_its_key_in_the_store(self) -> None:
        for name in self.world.believers():
            held = self.world.hosts[name].candidacy
            item = self.world.pictures[-1].get("office/holder")
            assert item is not None
            assert item.mod_revision == held.term


Protocol.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
TestAnyOrderOfEvents = Protocol.TestCase
