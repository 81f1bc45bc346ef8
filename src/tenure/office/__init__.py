"""The protocol: who holds an office, until when it is sure, and how a term ends. Machines without input or output.

Invariants of this floor: but for `driver/` nothing here does input or output,
reads a clock, awaits or logs. Everything that can happen is a call with the instant at which it is met; everything
that is decided is a value (`decisions.py`). The same machines run in production, under Hypothesis and in the
simulation.

Two machines
============

`session.Session`: one lease for each machine, application and lease's length. `candidacy.Candidacy`: one unit's part in
one office, on a session. A candidacy reads its session's `lease`, `sure_until` and `sure_sent_at` as they are; it changes
nothing in it. Both are driven alike:

    decisions = machine.event(now, ...)      # now: this host's clock, read after the awaited thing has come
    for decision in decisions: perform(decision)

- Decisions of one answer are performed in their order. SaveLease and SaveEnding are durable before the next one begins.
  The process may die between any two of them, and at any instant.
- `now` never goes back. Events may come late, doubled or not at all: an answer whose `call` isn't the one under way is
  void, a picture that is older than the newest that is known isn't looked at. So give them all.
- `wake_in_ns(now)`, asked again after each event, says in how long `tick` is due: a delay on this host's clocks (the
  sooner line for what is believed, the unslewed one for what is waited for). Ticks may come early, late or too often.
- After a session's decision `Moved`: `tick` of each of its candidacies. `LeaseBegun`, `LeaseOver`: for the world's own
  keys (the candidacies look at `session.lease` themselves).

A session's life
================

`start(now, saved lease or 0)` -> SendGrant or SendRenew. What the world does for each:

    SendGrant, SendRenew       call the store; then granted | renewed | refused (LeaseLost) | failed (unreachable, unsure), with `call`
    SendConfirm                only with confirm_renewals: read the session's own key; then confirmed | failed, or
                               nothing_to_confirm where it has none yet: renew_now once it has
    CloseStream                give the call up; its answer may still be passed on, and is void
    SaveLease(lease or 0)      in the state folder, with ttl and boot id; read back as `saved` by the next start in this boot
    LeaseBegun(lease)          put what is kept (each candidate's present key, machines/<m>) with this lease
    LeaseOver(lease)           its keys are gone
    Moved                      tick of each candidacy
    SendRevoke(lease)          after `close`: only when each candidacy has `left`

A candidacy's life
==================

`begin(now)` makes it a candidate; `saw(now, OfficeView)` comes with each change of the mirror, the first as soon as there
is one (it must be no older than the process's start). What the world does for each decision:

    Commit(call, purpose, when, then)   store.commit; then committed | refused | unsure | unreachable | lease_gone (LeaseLost).
                                        Who stops waiting says `unsure`; it may land later. One is under way at a time.
    ReadOffice(call)                    holder, last and unit info at one revision, no older than this instant; then
                                        read | unreachable (that for a lost answer, too)
    SaveEnding, DropEnding              in the state folder; given back as `endings` after a restart in this boot
    Keep(Present)                       put the present key with the session's lease, once the unit's info is seen and as long as
                                        that is there (the put compares it), now and with each new lease
    RenewFirst                          session.renew_now
    LeaseGone(lease)                    session.lease_gone
    Answered(ask, Answer)               the answer to `ask(now, ask, ...)`. A yes may be printed until `print_until`, by the
                                        printer's own reading of both clocks; from then the span counts.
    Elected, Disbelieved, Over          news: `term` has changed, the key is gone
    TransferFailed                      the transfer that was asked for is not begun
    Moved                               tick of each candidacy of the session, as above
    Arm, EndWork                        only where there is a guard: then guard_acknowledged | guard_gone, work_gone; a
                                        restarted agent says work_found first, before begin

At any instant the unit believes that it holds the office if `believes(now)`; a process that is stopped believes what it
believed, until its own clocks reach `session.sure_until`.

Ending an agent: `withdraw` each candidacy, delete the present keys (what is kept is kept no longer), `present_gone`, wait until
each has `left`, then `session.close`. Restarting it: new machines, `start` with the saved lease, `endings` from the folder.

The other files: `tables.py` which move follows from what; `term.py` the moves; `conduct.py` what a candidacy knows; `asks.py`
and `debts.py` is-leader; `writes.py` the transactions; `records.py` what the keys say; `timing.py` all the arithmetic;
`succession.py` who claims first.
"""
