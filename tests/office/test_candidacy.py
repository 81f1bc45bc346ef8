"""Rules of the life of a term that need more than a conversation: several units of one host, many candidates, long histories."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tenure.clock import Instant, ns
from tenure.errors import Broken
from tenure.office import decisions as d
from tenure.office.candidacy import Candidacy
from tenure.office.keys import OfficeView
from tenure.office.records import Holder, Last, Present, encode
from tenure.office.session import Session
from tenure.office.timing import Timing
from tenure.store.api import Delete, Item, Put, absent
from tests.office.world import HOLDER, LAST, TERMS, World, keys_of


def at(seconds: float) -> Instant:
    return Instant(ns(seconds), ns(seconds))


def item(key: str, record: Holder | Last, revision: int, lease: int = 0) -> Item:
    return Item(key, encode(record), revision, revision, 1, lease)


def present(unit: str, revision: int, answers: int) -> Item:
    said = encode(Present(machine="m1", ttl_s=60, answers=answers))
    return Item(keys_of(unit).present, said, revision, revision, 1, 9)


def info(unit: str) -> Item:
    return Item(keys_of(unit).unit_info, b"{}", 1, 1, 1, 0)


def alive_session() -> Session:
    session = Session(Timing.for_lease(60))
    session.start(at(0))
    session.granted(at(0), 1, 7, 60)
    return session


def candidate(session: Session, unit: str, *, guarded: bool = False) -> Candidacy:
    candidacy = Candidacy(session, keys_of(unit), unit, "m0", guarded=guarded)
    candidacy.begin(at(0))
    return candidacy


def vacant(unit: str, revision: int) -> OfficeView:
    return OfficeView(revision, None, None, info(unit), {})


def elected(session: Session, unit: str) -> Candidacy:
    """The unit holds the office in term 10."""
    candidacy = candidate(session, unit)
    candidacy.saw(at(0), vacant(unit, 9))
    candidacy.committed(at(0), 1, 10)
    assert candidacy.term == 10
    return candidacy


def commits(decisions: object) -> list[d.Commit]:
    assert isinstance(decisions, list | tuple)
    return [decision for decision in decisions if isinstance(decision, d.Commit)]


def test_no_unit_of_a_host_is_a_candidate_while_anything_of_a_former_term_is_left_on_it() -> None:
    session = alive_session()
    former, other = elected(session, "web/0"), candidate(session, "web/1")
    former.work_begun(at(1), 10)
    former.saw(at(2), vacant("web/0", 12))
    assert (former.state, former.term) == ("cleaning up", None)
    assert commits(other.saw(at(2), vacant("web/1", 12))) == []
    assert d.Moved() in former.work_gone(at(3), 10)
    assert [commit.purpose for commit in commits(other.tick(at(3)))] == ["claim"]


def test_a_unit_of_the_holders_own_host_may_succeed_it_though_work_of_the_lasting_term_runs_there() -> None:
    session = alive_session()
    former, other = elected(session, "web/0"), candidate(session, "web/1")
    former.work_begun(at(1), 10)
    holder = item(HOLDER, Holder(unit="web/0", machine="m0"), 10, lease=7)
    asked = item(LAST, Last(term=10, unit="web/0", successor="web/1"), 12)
    answers = other.saw(at(2), OfficeView(12, holder, asked, info("web/1"), {}))
    assert [decision.present.answers for decision in answers if isinstance(decision, d.Keep)] == [12]


def test_a_second_transfer_takes_the_place_of_the_first_and_asks_its_own_successor() -> None:
    session = alive_session()
    candidacy = elected(session, "web/0")
    candidacy.picture.candidates = {unit: present(unit, 3, 0) for unit in ("web/1", "web/2")}
    first = commits(candidacy.transfer(at(1), "web/1"))
    failed = candidacy.transfer(at(1.1), "web/2")
    assert [decision for decision in failed if isinstance(decision, d.TransferFailed)] == [
        d.TransferFailed("web/1", "no answer")
    ]
    second = commits(candidacy.committed(at(1.2), first[0].call, 11))
    assert [commit.purpose for commit in second] == ["ask successor"]
    candidacy.committed(at(1.3), second[0].call, 12)
    candidacy.picture.candidates = {"web/1": present("web/1", 13, 11), "web/2": present("web/2", 14, 12)}
    assert [commit.purpose for commit in commits(candidacy.tick(at(1.4)))] == ["transfer"]


def test_a_key_that_comes_while_a_former_terms_work_is_left_is_deleted_at_once() -> None:
    session = alive_session()
    former = elected(session, "web/0")
    former.work_begun(at(1), 10)
    former.saw(at(2), vacant("web/0", 12))
    transferred = item(HOLDER, Holder(unit="web/0", machine="m0"), 14, lease=7)
    decisions = former.saw(at(3), OfficeView(14, transferred, None, info("web/0"), {}))
    assert [type(decision).__name__ for decision in decisions] == ["SaveEnding", "Commit"]
    assert former.term is None


def test_two_units_of_one_host_share_a_lease_and_neither_takes_the_others_key_for_its_own() -> None:
    session = alive_session()
    first, second = elected(session, "web/0"), candidate(session, "web/1")
    holder = item(HOLDER, Holder(unit="web/0", machine="m0"), 10, lease=7)
    assert second.saw(at(1), OfficeView(10, holder, None, info("web/1"), {})) == ()
    assert (first.believes(at(1)), second.believes(at(1))) == (True, False)


def test_a_unit_without_an_info_key_or_with_another_than_it_knows_claims_nothing() -> None:
    session = alive_session()
    unknown = candidate(session, "web/0")
    assert unknown.saw(at(0), OfficeView(9, None, None, None, {})) == ()
    known = candidate(session, "web/1")
    known.saw(at(0), OfficeView(9, item(HOLDER, Holder(unit="web/9", machine="m9"), 8, 3), None, info("web/1"), {}))
    again = Item(keys_of("web/1").unit_info, b"{}", 12, 12, 1, 0)
    assert known.saw(at(1), OfficeView(12, None, None, again, {})) == ()


def test_nothing_is_claimed_with_a_lease_that_does_not_last_for_the_guarantee() -> None:
    session = alive_session()
    candidacy = candidate(session, "web/0")
    assert commits(candidacy.saw(at(31), vacant("web/0", 9))) == []
    session.renew_now(at(31))
    session.renewed(at(31.1), 2, 60)
    assert [commit.purpose for commit in commits(candidacy.tick(at(31.1)))] == ["claim"]


@pytest.mark.parametrize("candidates", [3, 100])
def test_a_vacancy_costs_a_handful_of_claims_whatever_the_number_of_candidates(candidates: int) -> None:
    units = [f"web/{number}" for number in range(candidates)]
    world = World(units)
    hosts = list(world.hosts.values())
    for host in hosts:
        host.start()
        host.answer("session")
    claims = 0
    seen_at: dict[str, int] = {unit: world.now_ns + 500_000 * (number % 9) for number, unit in enumerate(units)}
    for _ in range(200):
        world.pass_time(0.0005)
        for host in hosts:
            if HOLDER in world.pictures[-1]:
                # Others' claims are seen a few milliseconds late.
                seen_at[host.unit] = min(seen_at[host.unit], world.now_ns)
                host.look()
            elif world.now_ns >= seen_at[host.unit] and not host.candidacy.picture.revision:
                host.look()
            host.tick()
            if "office" in host.calls:
                claims += 1
                host.answer("office")
    assert 1 <= claims <= 5
    assert len(world.believers()) == 1


def test_the_history_keeps_a_hundred_terms_and_deletes_the_oldest_in_the_same_transaction() -> None:
    session = alive_session()
    candidacy = candidate(session, "web/0")
    past = tuple(range(1, 101))
    last = item(LAST, Last(term=200, unit="web/3", machine="m3", how="released", history=past), 201)
    claimed = commits(candidacy.saw(at(0), OfficeView(201, None, last, info("web/0"), {})))
    candidacy.committed(at(0), claimed[0].call, 202)
    released = commits(candidacy.release(at(1)))[0]
    assert Delete(f"{TERMS}1") in released.then
    written = {write.key: write.value for write in released.then if isinstance(write, Put)}
    assert msgspec.json.decode(written[LAST])["history"] == [*range(2, 101), 202]
    assert f"{TERMS}202" in written


def test_a_last_that_something_else_has_written_stops_no_claim_and_is_written_anew() -> None:
    session = alive_session()
    candidacy = candidate(session, "web/0")
    rubbish = Item(LAST, b"rubbish", 5, 5, 1, 0)
    claimed = commits(candidacy.saw(at(0), OfficeView(9, None, rubbish, info("web/0"), {})))
    assert [commit.purpose for commit in claimed] == ["claim"]


def test_a_holder_that_something_else_has_written_is_nobodys() -> None:
    session = alive_session()
    candidacy = candidate(session, "web/0")
    rubbish = Item(HOLDER, b"rubbish", 5, 5, 1, 7)
    assert candidacy.saw(at(0), OfficeView(9, rubbish, None, info("web/0"), {})) == ()
    assert candidacy.state == "watching"


def test_one_write_to_a_key_is_under_way_at_a_time_or_the_process_ends() -> None:
    candidacy = candidate(alive_session(), "web/0")
    candidacy._commit("claim", ((), ()))
    with pytest.raises(Broken):
        candidacy._commit("claim", ((), ()))


PAUSED = "web/paused"


def pausable(session: Session, unit: str) -> Candidacy:
    candidacy = Candidacy(session, replace(keys_of(unit), paused=PAUSED), unit, "m0")
    candidacy.begin(at(0))
    return candidacy


def paused(unit: str, revision: int) -> OfficeView:
    return replace(vacant(unit, revision), paused=Item(PAUSED, b"{}", 8, 8, 1, 0))


def test_while_an_office_is_paused_nobody_claims_it_and_after_that_somebody_does() -> None:
    candidacy = pausable(alive_session(), "web/0")
    assert commits(candidacy.saw(at(0), paused("web/0", 9))) == []
    assert commits(candidacy.tick(at(5))) == []
    assert [commit.purpose for commit in commits(candidacy.saw(at(6), vacant("web/0", 11)))] == ["claim"]


def test_a_claim_lands_only_where_there_is_no_pause_and_isnt_sent_again_when_it_has_met_one() -> None:
    candidacy = pausable(alive_session(), "web/0")
    [claim] = commits(candidacy.saw(at(0), vacant("web/0", 7)))
    assert absent(PAUSED) in claim.when
    met: dict[str, Item | None] = dict.fromkeys((HOLDER, LAST))
    refused = candidacy.refused(at(1), claim.call, 9, {**met, PAUSED: Item(PAUSED, b"{}", 8, 8, 1, 0)})
    assert commits(refused) == []
    assert commits(candidacy.tick(at(2))) == []


def test_who_stands_in_line_when_the_pause_comes_leaves_the_line() -> None:
    candidacy = pausable(alive_session(), "web/0")
    first = encode(Present(machine="m1", ttl_s=60, priority=7))
    others = {"web/1": Item(keys_of("web/1").present, first, 3, 3, 1, 9)}
    assert commits(candidacy.saw(at(0), replace(vacant("web/0", 7), candidates=others))) == []
    assert candidacy.wake_in_ns(at(0)) is not None
    candidacy.saw(at(0.001), paused("web/0", 8))
    assert commits(candidacy.tick(at(5))) == []
    assert candidacy.state == "watching"
    assert candidacy.wake_in_ns(at(5)) is None


def test_the_holder_of_a_paused_office_holds_it_on() -> None:
    candidacy = pausable(alive_session(), "web/0")
    candidacy.saw(at(0), vacant("web/0", 7))
    candidacy.committed(at(0), 1, 10)
    holder = item(HOLDER, Holder(unit="web/0", machine="m0"), 10, lease=7)
    candidacy.saw(at(1), replace(paused("web/0", 12), holder=holder))
    assert (candidacy.state, candidacy.term) == ("holding", 10)


def test_a_new_priority_is_told_to_the_others_and_takes_no_office_away() -> None:
    candidacy = elected(alive_session(), "web/0")
    [told] = candidacy.prefer(at(1), 5)
    assert isinstance(told, d.Keep)
    assert told.present.priority == 5
    assert candidacy.term == 10
    assert candidacy.prefer(at(2), 5) == ()
