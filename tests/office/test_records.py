"""What the office's keys say is checked by whoever writes it and by whoever reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import StoreBroken
from tenure.office.records import Ending, Holder, Last, Present, TermRecord, Unclean, decode, encode, number_of
from tenure.store.api import Item

numbers = st.integers(1, 1 << 53)
names = st.text(min_size=1, max_size=20)
records = st.one_of(
    st.builds(Holder, unit=names, machine=names, began=names),
    st.builds(
        Last,
        term=numbers,
        unit=names,
        machine=names,
        ttl_s=numbers,
        how=names,
        unclean=st.lists(st.builds(Unclean, term=numbers, ttl_s=numbers), max_size=3).map(tuple),
        history=st.lists(numbers, max_size=5).map(tuple),
    ),
    st.builds(TermRecord, number=numbers, unit=names, machine=names, how=names),
    st.builds(Present, machine=names, ttl_s=numbers, priority=st.integers(-9, 9), answers=numbers),
    st.builds(Ending, term=numbers, lease=numbers, how=names, owed_until=st.tuples(numbers, numbers)),
)


def item(value: bytes) -> Item:
    return Item("office/last", value, 3, 9, 1, 0)


@given(records)
def test_what_is_written_is_what_is_read(record: Holder) -> None:
    assert decode(type(record), item(encode(record))) == record


@pytest.mark.parametrize(
    "record",
    [
        Last(term=-1),
        Last(how="released"),
        Last(unclean=(Unclean(term=0, ttl_s=1),)),
        TermRecord(number=1, unit="web/0", machine="m0", how=""),
        Ending(term=0, lease=1, how="released", owed_until=(0, 0)),
    ],
)
def test_a_record_whose_fields_do_not_fit_each_other_is_not_written(record: Last) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        encode(record)


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"term": "seven"}', b'{"how": "released"}'])
def test_a_record_that_something_else_has_written_is_refused_naming_its_key(value: bytes) -> None:
    with pytest.raises(StoreBroken, match="office/last does not hold a valid Last"):
        decode(Last, item(value))


def test_a_term_that_lasts_has_the_number_of_the_revision_that_began_it() -> None:
    assert number_of(item(b"{}"), Last(unit="web/0")) == 9
    assert number_of(item(b"{}"), Last(unit="web/0", term=7)) == 7
    assert number_of(None, Last()) == 0
