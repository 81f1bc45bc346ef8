"""What is written is what is read; what isn't a record is refused on either side, and named."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import StoreBroken
from tenure.model import records
from tenure.model.records import Databag, Endpoint, Record, Relation, Settings, decode, encode

TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
KINDS = [
    kind
    for kind in vars(records).values()
    if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
]


def made(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, such as JSON can hold."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Record):
        hints = get_type_hints(annotation)
        return st.fixed_dictionaries({name: made(hint) for name, hint in hints.items()}).map(
            lambda fields: annotation(**fields)
        )
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(made(inner[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, made(inner[1]), max_size=2)
    if origin in (Union, UnionType):
        return st.one_of([made(one) for one in inner])
    return SIMPLE[annotation]


SIMPLE = {
    str: TEXT,
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    Any: ANYTHING,
}


def _valid(record: Record) -> bool:
    try:
        record.check()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_written_is_what_is_read(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(made(kind).filter(_valid))
    assert decode(kind, encode(record), "/key") == record


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"null", b"\xff", b'{"values": 3}', b'{"values": {"a": 1}}'], ids=repr
)
def test_what_is_no_record_is_refused_and_its_key_is_named(value: bytes) -> None:
    with pytest.raises(StoreBroken, match="/the/key"):
        decode(Settings, value, "/the/key")


def test_a_field_of_a_newer_tenure_is_passed_over() -> None:
    assert decode(Databag, b'{"values": {"a": "1"}, "colour": 3}', "/key").values == {"a": "1"}


def test_a_record_that_does_not_fit_itself_is_neither_written_nor_read() -> None:
    end = Endpoint(application="web", name="cluster", role="peer", interface="cluster")
    wrong = Relation(endpoints=(end, end))
    with pytest.raises(ValueError, match="one end"):
        encode(wrong)
    with pytest.raises(StoreBroken, match="one end"):
        decode(Relation, msgspec.json.encode(wrong), "/key")
