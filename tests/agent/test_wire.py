"""Frames arrive as they were sent, however the bytes were cut; no byte of an argument is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.agent import wire
from tenure.clock import Instant
from tenure.errors import BadInput, NoSuchThing

ARGUMENTS = st.lists(st.binary().map(lambda data: data.replace(b"\0", b"")), min_size=2, max_size=6)


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=50)), max_size=5),
    st.lists(st.integers(min_value=1, max_value=20)),
)
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(wire.frame(kind, body) for kind, body in sent)
    frames = wire.Frames()
    got: list[tuple[bytes, bytes]] = []
    for cut in cuts:
        got += frames.feed(data[:cut])
        data = data[cut:]
    got += frames.feed(data)
    assert got == sent


@given(ARGUMENTS)
def test_any_bytes_that_the_kernel_passes_reach_the_tool_and_come_back(words: list[bytes]) -> None:
    context_id, tool, *arguments = map(wire.text, words)
    assert wire.parse_tool_call(wire.tool_call(context_id, tool, arguments)) == (context_id, tool, arguments)
    assert [wire.raw(word) for word in (context_id, tool, *arguments)] == words


def test_a_frame_over_the_limit_is_refused_by_both_sides() -> None:
    with pytest.raises(BadInput):
        wire.frame(b"T", b"x" * wire.FRAME_MAX)
    with pytest.raises(ValueError, match="impossible length"):
        list(wire.Frames().feed((wire.FRAME_MAX + 1).to_bytes(4, "big")))
    assert len(list(wire.Frames().feed(wire.frame(b"T", b"x" * (wire.FRAME_MAX - 1))))) == 1


def test_a_call_without_a_tool_is_no_call() -> None:
    with pytest.raises(ValueError, match="unpack"):
        wire.parse_tool_call(b"context")


def test_an_answer_says_how_long_each_of_its_parts_is() -> None:
    answer = wire.tool_answer(1, b"out\n", b"err\n", print_until=Instant(5, 6), output_file="f\udcff")
    assert answer == b"1 5 6 2 4 4\nf\xffout\nerr\n"
    assert wire.tool_answer(0, b"", b"") == b"0 0 0 0 0 0\n"


def test_an_error_is_raised_again_as_what_it_was() -> None:
    raised = wire.raised(wire.error_answer(NoSuchThing("no such unit", hint="look"))["error"])
    assert isinstance(raised, NoSuchThing)
    assert (raised.message, raised.hint, raised.exit_code) == ("no such unit", "look", 2)
    assert wire.raised({"class": "invariant", "message": "x"}).exit_code == 1
