"""A session: what is sure of a lease, when it is renewed, and what an answer that comes late, twice or wrong is worth."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.clock import NS_PER_S, Instant, ns
from tenure.errors import Broken
from tenure.office import decisions as d
from tenure.office.session import Session
from tenure.office.timing import Timing

TIMING = Timing.for_lease(60)


def at(seconds: float) -> Instant:
    return Instant(ns(seconds), ns(seconds))


def alive(*, confirm: bool = False) -> Session:
    """Granted lease 7 at 0 s, answered at 0.1 s."""
    session = Session(TIMING, confirm_renewals=confirm)
    session.start(at(0))
    session.granted(at(0.1), 1, 7, 60)
    return session


def kinds(decisions: Sequence[d.Decision]) -> list[str]:
    return [type(decision).__name__ for decision in decisions]


def sure_s(session: Session, now: float = 0.0) -> float:
    return round(session.sure_ns(at(now)) / NS_PER_S, 3)


def test_a_grant_is_sure_from_its_requests_sending() -> None:
    assert sure_s(alive()) == 59.94


def test_a_lease_is_saved_before_anything_is_put_with_it() -> None:
    session = Session(TIMING)
    session.start(at(0))
    assert kinds(session.granted(at(0.1), 1, 7, 60)) == ["SaveLease", "LeaseBegun", "Moved"]


def test_a_renewal_is_sent_every_seventh_of_the_lease_and_counts_for_nothing_under_way() -> None:
    session = alive()
    assert session.wake_in_ns(at(0.1)) == TIMING.renew_every_ns - ns(0.1)
    assert session.tick(at(8.5)) == ()
    assert session.tick(at(8.6)) == [d.SendRenew(2, 7)]
    assert sure_s(session) == 59.94


@given(st.floats(0, 0.99))
def test_a_late_reply_counts_from_the_moment_its_request_was_sent(late_s: float) -> None:
    session = alive()
    session.tick(at(8.6))
    session.renewed(at(8.6 + late_s), 2, 60)
    assert sure_s(session, 8.6) == 59.94


def test_a_shorter_ttl_than_was_asked_for_is_believed_and_a_longer_one_is_not() -> None:
    session = alive()
    session.tick(at(8.6))
    session.renewed(at(8.7), 2, 600)
    assert sure_s(session, 8.6) == 59.94
    session.tick(at(17.2))
    session.renewed(at(17.3), 3, 20)
    assert sure_s(session, 8.6) == 59.94, "the earlier answer still holds"


def test_after_its_time_out_the_stream_is_closed_and_what_still_comes_from_it_is_void() -> None:
    session = alive()
    session.tick(at(8.6))
    assert kinds(session.tick(at(9.6))) == ["CloseStream", "Moved", "SendRenew"]
    assert session.renewed(at(9.7), 2, 60) == ()
    assert session.refused(at(9.7), 2) == ()
    assert sure_s(session) == 59.94
    assert session.in_flight


def test_an_answer_that_comes_twice_counts_once() -> None:
    session = alive()
    session.tick(at(8.6))
    session.renewed(at(8.7), 2, 60)
    assert session.renewed(at(30), 2, 60) == ()
    assert session.granted(at(30), 1, 9, 60) == ()
    assert (session.lease, sure_s(session, 8.6)) == (7, 59.94)


@pytest.mark.parametrize("how", ["refused", "ttl of nothing", "found gone by a commit"])
def test_a_lease_that_is_gone_is_lost_at_once_and_another_is_asked_for(how: str) -> None:
    session = alive()
    session.tick(at(8.6))
    match how:
        case "refused":
            decisions = session.refused(at(8.7), 2)
        case "ttl of nothing":
            decisions = session.renewed(at(8.7), 2, 0)
        case _:
            decisions = session.lease_gone(at(8.7), 7)
            assert isinstance(decisions[0], d.CloseStream)
            decisions = decisions[1:]
    assert kinds(decisions) == ["SaveLease", "LeaseOver", "Moved", "SendGrant"]
    assert (session.lease, session.lost) == (None, 1)
    assert session.sure_ns(at(8.7)) < 0


def test_a_commit_that_found_a_former_lease_gone_says_nothing_about_this_one() -> None:
    session = alive()
    assert session.lease_gone(at(1), 6) == ()
    assert session.lease == 7


def test_a_request_that_failed_is_sent_again_soon_but_not_at_once() -> None:
    session = alive()
    session.tick(at(8.6))
    assert kinds(session.failed(at(8.61), 2)) == ["Moved"]
    assert session.tick(at(8.62)) == ()
    assert session.wake_in_ns(at(8.61)) == TIMING.retry_ns
    assert kinds(session.tick(at(8.9))) == ["SendRenew"]


def test_one_call_is_under_way_at_a_time_whoever_asks() -> None:
    session = alive()
    assert kinds(session.renew_now(at(1))) == ["SendRenew"]
    assert session.renew_now(at(1.1)) == ()
    assert session.tick(at(1.2)) == ()


def test_a_restarted_agent_renews_its_saved_lease_and_believes_nothing_before_the_answer() -> None:
    session = Session(TIMING)
    assert session.start(at(0), 7) == [d.SendRenew(1, 7)]
    assert (session.lease, session.resuming) == (None, True)
    assert session.sure_ns(at(0)) < 0
    assert kinds(session.renewed(at(0.1), 1, 60)) == ["LeaseBegun", "Moved"]
    assert (session.lease, session.resumed) == (7, True)


def test_a_restarted_agent_whose_lease_is_gone_begins_anew() -> None:
    session = Session(TIMING)
    session.start(at(0), 7)
    assert kinds(session.refused(at(0.1), 1)) == ["SaveLease", "LeaseOver", "Moved", "SendGrant"]
    session.granted(at(0.2), 2, 8, 60)
    assert (session.lease, session.resumed) == (8, False)


def test_only_an_agent_that_ends_revokes_its_lease() -> None:
    session = alive()
    assert kinds(session.close(at(1))) == ["SendRevoke", "SaveLease", "Moved"]
    assert session.lease is None
    assert session.tick(at(100)) == ()
    assert session.wake_in_ns(at(1)) is None
    with pytest.raises(Broken):
        session.close(at(2))


def test_a_host_that_has_slept_closes_its_stream_on_waking_before_it_hears_the_answer() -> None:
    session = alive()
    session.tick(at(8.6))
    assert kinds(session.tick(at(80)))[:1] == ["CloseStream"]
    session.renewed(at(80), 2, 60)
    assert session.sure_ns(at(80)) < 0


def renews(session: Session, seconds: float, *, answered_by: str | None, read_by: str, lease: int | None = 7) -> None:
    """A renewal sent at `seconds`, answered and then confirmed, each by the witness that is named."""
    session.tick(at(seconds))
    assert session.in_flight
    session.renewed(at(seconds + 0.1), session._call, 60, answered_by)
    session.confirmed(at(seconds + 0.2), session._call, lease, 60, read_by)


def test_where_renewals_must_be_confirmed_an_answer_counts_only_once_a_read_has_found_the_lease() -> None:
    session = alive(confirm=True)
    session.tick(at(8.6))
    assert session.renewed(at(8.7), 2, 60, "member 1, term 4") == [d.SendConfirm(3, 7, 60)]
    assert sure_s(session) == 59.94
    session.confirmed(at(8.8), 3, 7, 60, "member 1, term 4")
    assert sure_s(session, 8.6) == 59.94


def test_an_answer_that_says_nothing_of_its_member_is_measured_by_the_read_before_it() -> None:
    session = alive(confirm=True)
    renews(session, 8.6, answered_by=None, read_by="member 1, term 4")
    assert sure_s(session) == 59.94, "there was no read before it"
    assert session.in_flight, "so it is renewed again at once"
    renews(session, 8.8, answered_by=None, read_by="member 1, term 4")
    assert sure_s(session, 8.8) == 59.94


@pytest.mark.parametrize(
    ("lease", "witness"),
    [(None, "member 1, term 4"), (6, "member 1, term 4"), (7, "member 1, term 5"), (7, "member 2, term 4")],
)
@pytest.mark.parametrize("answered_by", [None, "member 1, term 4"])
def test_a_read_that_finds_another_lease_or_another_witness_confirms_nothing(
    lease: int | None, witness: str, answered_by: str | None
) -> None:
    session = alive(confirm=True)
    renews(session, 8.6, answered_by="member 1, term 4", read_by="member 1, term 4")
    renews(session, 17.2, answered_by=answered_by, read_by=witness, lease=lease)
    assert sure_s(session, 8.6) == 59.94
    session.tick(at(17.9))
    assert session.in_flight, "it is renewed again soon"


@pytest.mark.parametrize("says", [False, True], ids=["the answer says nothing", "the answer says who"])
def test_a_fail_over_to_another_member_costs_no_more_than_one_renewal(says: bool) -> None:
    session = alive(confirm=True)
    renews(session, 8.6, answered_by="member 1, term 4", read_by="member 1, term 4")
    second = "member 2, term 4"
    renews(session, 17.2, answered_by=second if says else None, read_by=second)
    assert sure_s(session, 17.2 if says else 8.6) == 59.94
    if not says:
        assert session.in_flight, "another renewal is sent at once"
        renews(session, 17.4, answered_by=None, read_by=second)
        assert sure_s(session, 17.4) == 59.94


def test_renewals_that_are_never_confirmed_are_not_sent_as_fast_as_the_store_answers() -> None:
    session = alive(confirm=True)
    renews(session, 8.6, answered_by="member 1, term 4", read_by="member 2, term 4")
    assert session.in_flight
    renews(session, 8.8, answered_by="member 1, term 4", read_by="member 2, term 4")
    assert not session.in_flight
    assert session.wake_in_ns(at(9.0)) == TIMING.retry_ns


def test_a_session_without_a_key_of_its_own_lives_on_and_is_sure_of_nothing_more() -> None:
    session = alive(confirm=True)
    session.tick(at(8.6))
    session.renewed(at(8.7), 2, 60, "member 1, term 4")
    session.nothing_to_confirm(at(8.7), 3)
    assert (session.lease, sure_s(session)) == (7, 59.94)
    assert session.wake_in_ns(at(8.7)) == TIMING.renew_every_ns - ns(0.1)


def test_a_resumed_session_without_a_key_of_its_own_has_its_lease_and_believes_nothing() -> None:
    session = Session(TIMING, confirm_renewals=True)
    session.start(at(0), 7)
    session.renewed(at(0.1), 1, 60, "member 1, term 4")
    assert kinds(session.nothing_to_confirm(at(0.1), 2)) == ["LeaseBegun", "Moved"]
    assert (session.lease, session.sure_ns(at(0.2)) < 0) == (7, True)


def test_agents_that_lose_the_store_together_do_not_come_back_in_step() -> None:
    waits = set()
    for dice in (0.0, 0.3, 0.99):
        session = Session(TIMING, dice=lambda: dice)  # noqa: B023
        session.start(at(0))
        session.failed(at(0.1), 1)
        waits.add(session.wake_in_ns(at(0.1)))
    assert len(waits) == 3
    assert all(TIMING.retry_ns // 2 <= (wait or 0) < 2 * TIMING.retry_ns for wait in waits)


def test_a_saved_lease_that_the_sessions_own_key_is_not_found_with_is_given_up_and_runs_out() -> None:
    session = Session(TIMING, confirm_renewals=True)
    session.start(at(0), 7)
    session.renewed(at(0.1), 1, 60)
    decisions = session.confirmed(at(0.2), 2, None, 60)
    assert kinds(decisions) == ["SaveLease", "LeaseOver", "Moved", "SendGrant"], "it is never revoked"


def test_a_key_of_its_own_that_is_not_found_with_its_lease_is_put_again() -> None:
    session = alive(confirm=True)
    session.tick(at(8.6))
    session.renewed(at(8.7), 2, 60)
    assert kinds(session.confirmed(at(8.8), 3, None, 60)) == ["LeaseBegun"]
    assert session.lease == 7
