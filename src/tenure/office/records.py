"""What an office's own keys say. Times in them are wall-clock text for people; nothing is decided by those."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from tenure.errors import StoreBroken
from tenure.store.api import Item


class OfficeRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Base of the records; `check` is asked on both sides of the store."""

    def check(self) -> None:
        """Raise ValueError where the fields don't fit each other."""


R = TypeVar("R", bound=OfficeRecord)


class Holder(OfficeRecord, frozen=True, kw_only=True):
    """`holder`: who holds the office. The key's mod revision is the term's number, its lease the one the term lives on."""

    unit: str
    machine: str
    began: str = ""


class Unclean(OfficeRecord, frozen=True, kw_only=True):
    """A term that nobody has seen end: to be waited out by whoever takes the office up next."""

    term: int
    ttl_s: int

    def check(self) -> None:
        """A term has a number, a lease a length."""
        if self.term <= 0 or self.ttl_s <= 0:
            raise ValueError("an unclean term has a number and a lease's length")


class Last(OfficeRecord, frozen=True, kw_only=True):
    """`last`: the office's latest term and how it stands; put in one transaction with each beginning and each orderly end."""

    term: int = 0
    """0: the term that began at this key's own mod revision."""
    unit: str = ""
    machine: str = ""
    ttl_s: int = 0
    began: str = ""
    ended: str = ""
    how: str = ""
    """Empty while nobody has said how it ended: it lasts, or its lease ran out."""
    unclean: tuple[Unclean, ...] = ()
    successor: str = ""
    """The unit that the holder wants to hand over to; it answers with this key's mod revision."""
    history: tuple[int, ...] = ()
    """The terms that `terms/` remembers, oldest first."""

    def check(self) -> None:
        """An end has a number, a number is positive."""
        if self.term < 0 or (self.how and not self.term):
            raise ValueError("a term that has ended has a number")
        for term in self.unclean:
            term.check()


class TermRecord(OfficeRecord, frozen=True, kw_only=True):
    """`terms/<number>`: a term that is over."""

    number: int
    unit: str
    machine: str
    began: str = ""
    ended: str = ""
    how: str
    """released, transferred, deposed, expired, …; says also where debts were broken on purpose."""

    def check(self) -> None:
        """A term that is over says how."""
        if self.number <= 0 or not self.how:
            raise ValueError("a past term has a number and says how it ended")


class Present(OfficeRecord, frozen=True, kw_only=True):
    """A candidate's `present` key: it is there, and what others must know to let it succeed them."""

    machine: str
    ttl_s: int
    priority: int = 0
    answers: int = 0
    """The mod revision of `last` in which this unit was asked to succeed, once it agrees."""


class Ending(OfficeRecord, frozen=True, kw_only=True):
    """In the state folder, never in the store: the verdict that a term is over, before its key is deleted."""

    term: int
    lease: int
    how: str
    owed_until: tuple[int, int]
    """An instant's two readings: the hooks' debts in full."""

    def check(self) -> None:
        """A verdict names its term."""
        if self.term <= 0 or not self.how:
            raise ValueError("a verdict names its term and why it ends")


def encode(record: OfficeRecord) -> bytes:
    """The record as it is stored. Raises ValueError when it isn't a valid one."""
    record.check()
    return msgspec.json.encode(record)


def decode(kind: type[R], item: Item) -> R:
    """The record that a key holds. Raises StoreBroken, naming the key, when it isn't one of `kind`."""
    try:
        record = msgspec.json.decode(item.value, type=kind)
        record.check()
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreBroken(
            f"{item.key} does not hold a valid {kind.__name__} record: {error}",
            hint="it was written by something else, or by a newer Tenure",
        ) from None
    return record


def number_of(last: Item | None, record: Last) -> int:
    """The number of the term that `last` speaks of; 0: there was none."""
    if last is None or not record.unit:
        return 0
    return record.term or last.mod_revision
