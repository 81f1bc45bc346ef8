"""What was promised with each True, and until when it is owed. No voluntary end comes before that."""

from __future__ import annotations

from tenure.clock import Instant


class Debts:
    """The debts of one term, one for each debtor: the latest promise covers the earlier ones.

    A debtor is a hook's context, whose debt ends with it, or None: all who asked from outside, owed in full.
    """

    __slots__ = ("_owed",)

    def __init__(self) -> None:
        self._owed: dict[str | None, Instant] = {}

    def owe(self, debtor: str | None, until: Instant) -> None:
        """Owed to `debtor` until `until` has surely passed."""
        before = self._owed.get(debtor)
        self._owed[debtor] = until if before is None else before.later(until)

    def settle(self, debtor: str) -> None:
        """The debtor is gone, with all its processes: nobody is left who was promised anything."""
        self._owed.pop(debtor, None)

    def forget(self) -> None:
        """The term is over, or its debts are broken on purpose."""
        self._owed.clear()

    def debtors(self) -> tuple[str | None, ...]:
        """Who is owed something, or was."""
        return tuple(self._owed)

    def until(self, now: Instant) -> Instant:
        """When all will have passed; `now` if nothing is owed."""
        latest = now
        for owed in self._owed.values():
            latest = latest.later(owed)
        return latest

    def left_ns(self, now: Instant) -> int:
        """For how much longer something is owed, on the line that counts for waiting; 0 or less: nothing is."""
        if not self._owed:
            return 0
        return max(owed.raw_ns for owed in self._owed.values()) - now.raw_ns
