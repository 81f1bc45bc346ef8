"""The moves of a term, from the line of succession to its end. No input or output, no clock.

Which of them follows from what is seen, answered and waited for stands in the tables of `tables.py`.

- *picture*: the newest that is known of the keys, by the mirror, by a read, or by an own commit's answer. An older one
  is not looked at.
- *number*: the term that this unit's key stands for, believed in or not; `term`: the one that is believed in.
"""

from __future__ import annotations

from typing import Literal

from tenure.clock import Instant
from tenure.errors import invariant
from tenure.office.conduct import Conduct
from tenure.office.decisions import (
    Arm,
    Because,
    Disbelieved,
    DropEnding,
    Elected,
    EndWork,
    LeaseGone,
    Over,
    SaveEnding,
    TransferFailed,
)
from tenure.office.keys import OfficeView
from tenure.office.records import Ending, Holder
from tenure.office.session import LONG_AGO
from tenure.office.succession import place, stagger_ns
from tenure.office.tables import HISTORY_SAYS
from tenure.office.timing import STAGGER_MOST
from tenure.office.writes import ask_successor, claim, read, release, strike_off, transfer
from tenure.store.api import Put

_NEVER_NS = 1 << 60


class Term(Conduct):
    """The moves. Each leaves the candidacy in a state of the tables, with its decisions noted in order."""

    __slots__ = ()

    # ---- before the term

    def _stay(self, now: Instant) -> None:
        """Nothing follows from it."""

    def _never(self, now: Instant) -> None:
        """This can't be: a promise of ours is broken, and the process ends."""
        invariant(False, f"{self.keys.name}: {self.unit} is {self.state} and sees a {self._sight()} key")

    def _attend(self, now: Instant) -> None:
        """Somebody else holds the office: answer if this unit is asked to succeed."""
        picture = self.picture
        last = picture.last
        if last is None or last.mod_revision == self._answered:
            return
        if picture.said().successor == self.unit and self._may_succeed(now):
            self._answered = last.mod_revision
            self._keep()

    def _may_claim(self, now: Instant) -> bool:
        return self.picture.paused is None and self._may_succeed(now)

    def _may_succeed(self, now: Instant) -> bool:
        return (
            self.candidate
            and self._host_is_clean()
            and not self.store_went_back
            and self.session.lease is not None
            and self.session.sure_ns(now) >= self._guarantee_ns
        )

    def _queue(self, now: Instant) -> None:
        """The office is vacant: take a place in the line of succession, the first claims at once. Not without an
        info key of its own, a lease that is sure for the guarantee, and a clean host; nor while claims are paused, or in a
        store that would hand out a number again.
        """
        picture = self.picture
        if not self._may_claim(now) or self._call or self._wants_read or not self._retry_at.reached(now):
            return
        if self.keys.unit_info and (
            picture.unit_info is None or picture.unit_info.create_revision != self.unit_created
        ):
            return
        ended = picture.number()
        last = bool(ended) and ended == self._behind
        line = place(self.unit, self.priority, picture.priorities(), ended, last=last, most=STAGGER_MOST)
        self.state = "in line"
        self._claim_at = now.after(stagger_ns(line))
        self._claim_in_turn(now)

    def _leave_line(self, now: Instant) -> None:
        """Somebody else's claim is seen: this one is cancelled."""
        self.state = "watching"
        self._attend(now)

    def _claim_in_turn(self, now: Instant) -> None:
        """Claim once the place in line has come; leave the line if the lease is not sure any more."""
        if not self._may_claim(now):
            self.state = "watching"
        elif self._claim_at.reached(now):
            lease = self.session.lease
            assert lease is not None
            me = Holder(unit=self.unit, machine=self.machine, began=self._wall())
            self.state = "claiming"
            ttl_s = self.session.timing.ttl_s
            self._commit("claim", claim(self.picture, me, lease, ttl_s, may_end_early=self.may_end_early))

    def _take_up(self, now: Instant) -> None:
        """A key of this unit's, with this session's lease, that is not known of yet: claimed, transferred, or a forerunner's."""
        picture, session = self.picture, self.session
        assert picture.holder is not None
        if self._call or self._wants_read:
            # The key is there, so whatever of this unit's was under way has landed or never will.
            self._call, self._wants_read = 0, self._present_gone and not self._left_read
        self.number, self.lease = picture.holder.mod_revision, picture.holder.lease
        invariant(self.number not in self._endings, "a term that is over is never taken up again")
        self.state = "waiting out"
        self.debts.forget()
        self._guard_until = self._armed_until = LONG_AGO
        self._wait_until = now
        unclean = picture.unclean()
        self._strike = bool(unclean)
        for term in unclean:
            self._wait_until = self._wait_until.later(session.timing.waited_out(now, term.ttl_s))
        forerunners = session.resumed and self.number <= self._first_revision
        if forerunners:
            if self.promises:
                self.debts.owe(None, session.timing.owed_after_restart(session.started_at))
            if self.guarded and not self.work_term:
                # Its guard is for the guard's keeper to find, or to follow by another.
                self.work_term = self.number
        if self.work_term == self.number:
            session.leftovers.discard((self.keys.name, self.unit))
        # A term that another has followed is over: the store was put back, with the leases and keys of that time.
        followed = self.number < self._known_here or self.store_went_back
        if not self.candidate or not self._host_is_clean() or followed:
            self._end(now, "withdrawn")
        elif forerunners and session.crash_looping:
            self._end(now, "crash loop")
        else:
            self._elect_when_due(now)

    # ---- the term

    def _arm(self) -> None:
        if self.guarded and self._armed_until != self.session.sure_until:
            self._armed_until = self.session.sure_until
            self._out.append(Arm(self.number, self._armed_until))

    def _elect_when_due(self, now: Instant) -> None:
        """Believe in the term once unclean ones are waited out, the lease is sure for the guarantee, and the
        guard, where there is one, is armed.
        """
        if self.lease != self.session.lease:
            self._gone(now)
            return
        self._arm()
        if self._wait_until.surely_passed(now) and self._sure_ns(now) >= self._guarantee_ns:
            self.state = "holding"
            self.term = self.number
            self.held_since = now
            self.because = None
            if self.guarded:
                self.work_term = self.number
            self._out.append(Elected(self.number))
            self._strike_off(now)

    def _depose_when_due(self, now: Instant) -> None:
        """Depose, finally, when less than the guarantee is sure; else go on with what is to be struck off or
        handed over.
        """
        if self.lease != self.session.lease:
            self._gone(now)
            return
        if self._sure_ns(now) < self._guarantee_ns:
            late = self.session.sure_ns(now) < self._guarantee_ns
            self._end(now, "renewal overdue" if late else "guard silent")
            return
        if self.guarded:
            self._arm()
        if self._strike:
            self._strike_off(now)
        if self._transfer_to:
            self._go_on_with_transfer(now)

    def _strike_off(self, now: Instant) -> None:
        if self._strike and not self._call and not self._wants_read and self._retry_at.reached(now):
            self._strike = bool(self.picture.unclean())
            if self._strike:
                self._commit("strike off", strike_off(self.picture, self.number))

    def _go_on_with_transfer(self, now: Instant) -> None:
        to = self._transfer_to
        if self._asked_revision:
            present = self.picture.present(to)
            if present is not None and present.answers == self._asked_revision:
                at_once = self._transfer_at_once
                self._transfer_to = ""
                self._end(now, "transferred at once" if at_once else "transferred", to=to, at_once=at_once)
                return
        elif not self._strike and not self._call and not self._wants_read:
            self._asked_to = to
            self._commit("ask successor", ask_successor(self.picture, self.number, to))
        if self._transfer_by.reached(now):
            self._fail_transfer("no answer")

    def _fail_transfer(self, why: Literal["no answer", "term ended", "store unsure"]) -> None:
        if self._transfer_to:
            self._out.append(TransferFailed(self._transfer_to, why))
            self._transfer_to = ""

    def _end(self, now: Instant, because: Because, *, to: str = "", at_once: bool = False) -> None:
        """The verdict: final, and on disk before anything else follows from it."""
        owed_until = now if at_once else self.debts.until(now)
        self._how, self._to = HISTORY_SAYS.get(because, because), to
        if at_once and self.debts.left_ns(now) <= 0:
            self._how = self._how.removesuffix(" at once")
        ending = Ending(
            term=self.number, lease=self.lease, how=self._how, owed_until=(owed_until.boot_ns, owed_until.raw_ns)
        )
        self._endings[self.number] = ending
        self._out.append(SaveEnding(ending))
        if at_once:
            self.debts.forget()
        self._disbelieve(because)
        if self.work_term == self.number:
            self._out.append(EndWork(self.number, self.session.sure_until, because))
        self.state = "ending"
        self._give_up_when_free(now)

    def _break_debts(self, now: Instant) -> None:
        if self.debts.left_ns(now) > 0:
            self._how = f"{self._how.removesuffix(' at once')} at once"
        self.debts.forget()
        self._give_up_when_free(now)

    def _disbelieve(self, because: Because) -> None:
        self.because = because
        self._behind = self.number
        self._strike = False
        if self.work_term == self.number:
            self.session.leftovers.add((self.keys.name, self.unit))
        self._fail_transfer("term ended")
        if self.term is not None:
            self.term = None
            self.held_since = None
            self._out.append(Disbelieved(self.number, because))

    def _give_up_when_free(self, now: Instant) -> None:
        """All that was promised has passed, and nothing of the term is left: let the key go."""
        if self.work_term == self.number:
            self._arm()
        elif self.debts.left_ns(now) <= 0 and not self._call and not self._wants_read:
            self.state = "giving up"
            self._send_when_free(now)

    def _send_when_free(self, now: Instant) -> None:
        """Send the delete or the transfer, and again after a refusal or an unsure answer; the term is never taken
        back.
        """
        if self._call or self._wants_read or not self._retry_at.reached(now):
            return
        if self._to:
            handing = transfer(self.picture, self.number, self._to, self._how, self._wall())
            if handing is not None:
                self._commit("transfer", handing)
                return
            self._to, self._how = "", self._how.replace("transferred", "released")
        waited = self._wait_until.surely_passed(now)
        unclean = () if waited else self.picture.unclean()
        self._commit("release", release(self.picture, self.number, self._how, self._wall(), unclean=unclean))

    def _given_up(self, now: Instant) -> None:
        """The key is surely not this term's any more."""
        how = self._how
        if self._to:
            holder = read(Holder, self.picture.holder)
            how = how if holder is not None and holder.unit == self._to else "key gone"
        self._over(now, how)

    def _gone(self, now: Instant) -> None:
        """The key is gone or changed, or its lease is lost: there is no time left."""
        because: Because = "key gone" if self.lease == self.session.lease else "lease lost"
        ending = self.state == "ending"
        self._disbelieve(because)
        if self.work_term == self.number and not ending:
            self._out.append(EndWork(self.number, None, because))
        self._over(now, self._how if ending and because != "lease lost" else because)

    def _over(self, now: Instant, how: str) -> None:
        if self.number in self._endings:
            self._gone_at[self.number] = self.picture.revision
        if self._call or self._wants_read:
            self._call, self._wants_read = 0, self._present_gone and not self._left_read
        self._out.append(Over(self.number, how))
        self.number = self.lease = 0
        self._how = self._to = ""
        self.debts.forget()
        self._retry_at = LONG_AGO
        self.state = "cleaning up" if self.work_term else "watching"
        self._look(now)

    def _rest_when_clean(self, now: Instant) -> None:
        """Be a candidate again once nothing of the former term is left on this host."""
        if not self.work_term:
            self.state = "watching"
            self._look(now)

    def _resume_ending(self, now: Instant) -> None:
        """A term that a forerunner of this process has begun to end: it keeps what was owed, and is ended."""
        assert self.picture.holder is not None
        number = self.picture.holder.mod_revision
        if number in self._gone_at:
            return
        if self.guarded and self.session.resuming:
            return
        ending = self._endings[number]
        self.number, self.lease = number, self.picture.holder.lease
        self._how, self._to = ending.how.replace("transferred", "released"), ""
        # What was to be waited out may not have been: the next holder does it.
        self._wait_until = now.after(_NEVER_NS) if self.picture.unclean() else now
        self.debts.forget()
        self.debts.owe(None, Instant(*ending.owed_until))
        self._behind = number
        self.state = "ending"
        if self.guarded and self.work_term in (0, number):
            self.work_term = number
            self.session.leftovers.add((self.keys.name, self.unit))
            deadline = self.session.sure_until if self.lease == self.session.lease else None
            self._out.append(EndWork(number, deadline, "agent restarted"))
        self._give_up_when_free(now)

    def _forget_endings(self, view: OfficeView) -> None:
        held = view.holder.mod_revision if view.holder else 0
        for number in list(self._endings):
            over = number != self.number and number != held
            if over and view.revision >= max(number, self._gone_at.get(number, 0)):
                del self._endings[number]
                self._gone_at.pop(number, None)
                self._out.append(DropEnding(number))

    # ---- after an answer

    def _look_again(self, now: Instant) -> None:
        """Whatever came of it stands in the picture now: go by that."""
        if self.state == "claiming":
            self.state = "watching"
        self._strike = self._strike and bool(self.picture.unclean())
        self._look(now)

    def _read(self, now: Instant) -> None:
        """Read the keys before anything else is sent."""
        self._wants_read = True
        if self.state == "claiming":
            self.state = "watching"

    def _back_off(self, now: Instant) -> None:
        """Nothing has happened: try again a little later."""
        self._retry_at = now.after(self.session.retry_in_ns())
        if self.state == "claiming":
            self.state = "watching"

    def _without_lease(self, now: Instant) -> None:
        """The session's lease is gone: say so, and wait for the next."""
        for write in self._then:
            if isinstance(write, Put) and write.lease:
                self._out.append(LeaseGone(write.lease))
        self._back_off(now)

    def _release_instead(self, now: Instant) -> None:
        """The successor isn't there on that lease any more: release the office instead, if the term lasts."""
        if self._sight() == "mine":
            self._to, self._how = "", self._how.replace("transferred", "released")
        self._look(now)

    def _note_request(self, now: Instant) -> None:
        """The successor is asked: wait for its own write."""
        # Another successor may have been named meanwhile: it is asked in turn.
        if self._asked_to == self._transfer_to:
            self._asked_revision = self._landed

    def _call_off(self, now: Instant) -> None:
        """The successor could not be asked: the transfer fails, and nothing has changed."""
        self._fail_transfer("store unsure")
        self._look(now)

    def _call_off_and_read(self, now: Instant) -> None:
        """It is not sure whether the successor was asked: the transfer fails; read before anything else is sent."""
        self._fail_transfer("store unsure")
        self._wants_read = True
