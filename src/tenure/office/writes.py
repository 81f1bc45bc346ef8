"""The transactions of an office, made from what is known of its keys: each with the comparisons that make it safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from tenure.defaults import HISTORY_TERMS
from tenure.errors import StoreBroken
from tenure.office.keys import OfficeKeys
from tenure.office.records import (
    Holder,
    Last,
    Present,
    R,
    TermRecord,
    Unclean,
    decode,
    encode,
    number_of,
)
from tenure.store.api import Compare, Delete, Item, Put, Write, absent, created_at, modified_at

Transaction = tuple[tuple[Compare, ...], tuple[Write, ...]]


@dataclass(slots=True)
class Picture:
    """The office's keys as they are known here, at one revision."""

    keys: OfficeKeys
    revision: int = 0
    holder: Item | None = None
    last: Item | None = None
    unit_info: Item | None = None
    paused: Item | None = None
    candidates: Mapping[str, Item] = field(default_factory=dict)
    _said_by: Item | None = None
    _said: Last = field(default_factory=Last)

    def number(self) -> int:
        """The number of the term that lasts, or of the one that was the last."""
        return number_of(self.last, self.said())

    def said(self) -> Last:
        """What `last` says; nothing if it isn't there or can't be read."""
        if self.last is not self._said_by:
            self._said_by, self._said = self.last, read(Last, self.last) or Last()
        return self._said

    def unclean(self) -> tuple[Unclean, ...]:
        """The terms that `last` says must be waited out."""
        return self.said().unclean

    def present(self, unit: str) -> Present | None:
        """What a candidate says of itself; None if it isn't there."""
        return read(Present, self.candidates.get(unit))

    def priorities(self) -> Iterator[tuple[str, int]]:
        """The candidates that are there, with their priorities."""
        found = ((unit, read(Present, item)) for unit, item in self.candidates.items())
        return ((unit, said.priority if said else 0) for unit, said in found)


def read(kind: type[R], item: Item | None) -> R | None:
    """The record, or None where there is none that can be read: then it is nobody's that we know."""
    if item is None:
        return None
    try:
        return decode(kind, item)
    except StoreBroken:
        return None


def claim(picture: Picture, me: Holder, lease: int, ttl_s: int, *, may_end_early: bool) -> Transaction:
    """Take a vacant office: nobody holds it, nothing has happened to it meanwhile, the unit still is the one we know, and
    claims are not paused: none lands after a pause.

    A term that has ended without a word is entered in the history; where a lease may have ended before its time, it is
    also named as one to be waited out. Where leases end in time, the vacancy itself says that it is over.
    """
    keys, said = picture.keys, picture.said()
    when = [absent(keys.holder), modified_at(keys.last, picture.last.mod_revision if picture.last else 0)]
    if keys.unit_info:
        when.append(created_at(keys.unit_info, picture.unit_info.create_revision if picture.unit_info else 0))
    if keys.paused:
        when.append(absent(keys.paused))
    number, unclean, history = picture.number(), said.unclean, said.history
    then: list[Write] = [Put(keys.holder, encode(me), lease)]
    if number and not said.how:
        if may_end_early:
            unclean = (*unclean, Unclean(term=number, ttl_s=said.ttl_s or ttl_s))
        history, entries = _remember(keys, history, _over(said, number, "expired", me.began))
        then += entries
    last = Last(unit=me.unit, machine=me.machine, ttl_s=ttl_s, began=me.began, unclean=unclean, history=history)
    then.append(Put(keys.last, encode(last)))
    return tuple(when), tuple(then)


def release(picture: Picture, number: int, how: str, wall: str, *, unclean: tuple[Unclean, ...]) -> Transaction:
    """Vacate the office, if the term still is this one."""
    keys, said = picture.keys, _said_of(picture, number)
    history, entries = _remember(keys, said.history, _over(said, number, how, wall))
    last = msgspec.structs.replace(
        said, term=number, how=how, ended=wall, unclean=unclean, history=history, successor=""
    )
    return (modified_at(keys.holder, number),), (Delete(keys.holder), Put(keys.last, encode(last)), *entries)


def transfer(picture: Picture, number: int, to: str, how: str, wall: str) -> Transaction | None:
    """Give the office to `to` without a gap, on its own lease; None if it isn't there.

    Refused if the term is not this one any more, the successor's present key has changed (its lease with it), or `last`
    has: a successor is given nothing that must be waited out.
    """
    keys, said, successor = picture.keys, _said_of(picture, number), picture.candidates.get(to)
    present = picture.present(to)
    if successor is None or present is None or not successor.lease or said.unclean or picture.last is None:
        return None
    history, entries = _remember(keys, said.history, _over(said, number, how, wall))
    holder = Holder(unit=to, machine=present.machine, began=wall)
    last = Last(unit=to, machine=present.machine, ttl_s=present.ttl_s, began=wall, history=history)
    when = (
        modified_at(keys.holder, number),
        modified_at(successor.key, successor.mod_revision),
        modified_at(keys.last, picture.last.mod_revision),
    )
    return when, (Put(keys.holder, encode(holder), successor.lease), Put(keys.last, encode(last)), *entries)


def strike_off(picture: Picture, number: int) -> Transaction:
    """What had to be waited out has been: nobody needs to do so again."""
    return _rewrite_last(picture, number, msgspec.structs.replace(_said_of(picture, number), term=number, unclean=()))


def ask_successor(picture: Picture, number: int, to: str) -> Transaction:
    """Ask `to` whether it is there to succeed."""
    return _rewrite_last(picture, number, msgspec.structs.replace(_said_of(picture, number), term=number, successor=to))


def _rewrite_last(picture: Picture, number: int, last: Last) -> Transaction:
    keys = picture.keys
    when = (
        modified_at(keys.holder, number),
        modified_at(keys.last, picture.last.mod_revision if picture.last else 0),
    )
    return when, (Put(keys.last, encode(last)),)


def _said_of(picture: Picture, number: int) -> Last:
    """What `last` says of the term `number`; from the holder's key where it can't be read or speaks of another."""
    said = picture.said()
    if picture.number() == number:
        return said
    holder = read(Holder, picture.holder)
    if holder is None:
        return Last(unit="?", history=said.history, unclean=said.unclean)
    return Last(
        unit=holder.unit, machine=holder.machine, began=holder.began, history=said.history, unclean=said.unclean
    )


def _over(said: Last, number: int, how: str, wall: str) -> TermRecord:
    return TermRecord(number=number, unit=said.unit, machine=said.machine, began=said.began, ended=wall, how=how)


def _remember(keys: OfficeKeys, history: tuple[int, ...], term: TermRecord) -> tuple[tuple[int, ...], list[Write]]:
    history = (*(number for number in history if number != term.number), term.number)
    writes: list[Write] = [Put(f"{keys.terms}{term.number}", encode(term))]
    writes += (Delete(f"{keys.terms}{number}") for number in history[:-HISTORY_TERMS])
    return history[-HISTORY_TERMS:], writes
