"""Every error that a user can meet, in one tree: the class knows the exit code.

A message has up to three parts: what happened, what still holds, what to do (`hint`). The command line prints
them on standard error and exits with `exit_code`; nowhere else is an exit code written down.
"""

from __future__ import annotations


class TenureError(Exception):
    """Root of all that can go wrong for a user; never raised itself."""

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class No(TenureError):
    """The answer is surely no: nothing was changed, and asking again won't help by itself."""

    exit_code = 1


class NotLeader(No):
    """The unit doesn't hold the office, or no longer in the term that it acts for."""


class Vacant(No):
    """Nobody holds the office."""


class BadInput(TenureError):
    """The caller's to mend: a wrong name, value, file or URL. Nothing was changed."""

    exit_code = 2


class NoSuchThing(BadInput):
    """A unit, application, machine, office, charm or key that doesn't exist was named."""


class Unsure(TenureError):
    """It can't be known: the store is out of reach, or an answer was lost."""

    exit_code = 3


class Lost(Unsure):
    """What was asked of an agent through the store can't be followed to its end: the agent, the unit or the lease has gone."""

    def __init__(self, why: str, outcome: str = "the outcome is unknown") -> None:
        super().__init__(f"{why}: {outcome}")
        self.why = why


class StoreUnreachable(Unsure):
    """The store did not take the call: nothing of it has happened, nor will it happen later."""


class StoreUnsure(Unsure):
    """The answer was lost: the commit may have landed, or may land yet. Read to find out; never assume either."""


class StoreBroken(Unsure):
    """The store can't be used as it is: corrupt, of a newer format, full, read-only. Nothing was changed."""


class StoreDenied(StoreBroken):
    """The store's server does not let this user in, or not do that: a wrong password, no permission. Nothing was changed."""


class StoreReplaced(StoreBroken):
    """The store was removed, replaced or put back to an older state while it was in use: this process is done with it."""


class TimedOut(TenureError):
    """The caller's own time-out passed; nothing is said about the rest."""

    exit_code = 124


class Failed(TenureError):
    """Tenure itself has failed at running someone's command, whose own exit code can't be told for that."""

    exit_code = 125


class LeaseLost(Exception):
    """The lease isn't there any more, and with it every key that was put with it. Met by programs, not by people."""


class Compacted(Exception):
    """The changes after the wanted revision are gone from the store's history: read a snapshot and watch from there."""


class Broken(BaseException):
    """A promise of Tenure's own doesn't hold. Nobody catches it: the process ends."""


def invariant(holds: bool, promise: str) -> None:
    """Raise Broken, whatever the interpreter's flags, unless `holds`."""
    if not holds:
        raise Broken(promise)
