"""What the simulation has found in the protocol: each as the shortest conversation that shows it."""

from __future__ import annotations

from tenure.clock import NS_PER_S, Instant
from tenure.office import decisions as d
from tenure.office.candidacy import Candidacy
from tenure.office.keys import OfficeKeys, OfficeView
from tenure.office.records import Holder, Last, encode
from tenure.office.session import Session
from tenure.office.timing import Timing
from tenure.store.api import Item

KEYS = OfficeKeys("web/leader", "holder", "last", "terms/", "info", "present")


def at(seconds: float) -> Instant:
    return Instant(int(seconds * NS_PER_S), int(seconds * NS_PER_S))


def test_a_unit_that_is_removed_while_its_agent_takes_a_lease_up_again_leaves_no_key_behind() -> None:
    """Its key on that lease looked like a foreign one, so it left; and the lease was renewed for ever."""
    session = Session(Timing.for_lease(20))
    candidacy = Candidacy(session, KEYS, "web/1", "m1")
    session.start(at(0), saved=9)
    holder = Item("holder", encode(Holder(unit="web/1", machine="m1")), 73, 76, 2, 9)
    last = Item("last", encode(Last(unit="web/1", machine="m1", ttl_s=20)), 60, 76, 2, 0)
    info = Item("info", b"dying", 3, 80, 2, 0)
    candidacy.begin(at(0))
    candidacy.withdraw(at(1))
    (read,) = [said for said in candidacy.present_gone(at(1)) if isinstance(said, d.ReadOffice)]
    candidacy.read(at(1.1), read.call, 81, holder, last, info)
    assert not candidacy.left, "the lease may yet be this session's"

    session.tick(at(5))
    (renew,) = [said for said in session.tick(at(10)) if isinstance(said, d.SendRenew)] or [
        d.SendRenew(session._call, 9)
    ]
    session.renewed(at(10.1), renew.call, 20)
    assert not candidacy.left
    decided = candidacy.tick(at(10.1))
    assert [said.ending.term for said in decided if isinstance(said, d.SaveEnding)] == [76]
    assert not candidacy.left

    released = [said for said in candidacy.tick(at(10 + 21)) if isinstance(said, d.Commit)]
    assert [said.purpose for said in released] == ["release"]
    candidacy.committed(at(31.1), released[0].call, 90)
    candidacy.saw(at(31.2), OfficeView(90, None, last, info, {}))
    assert candidacy.left
