"""Output has the shape that Go's libraries give it, in each of the three formats."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tenure.agent.tools.output import SHAPED_IN_LOOP_MAX, go_quote, go_quoted_list, shape, shape_aside, weight


@pytest.mark.parametrize(
    ("value", "smart", "as_json", "as_yaml"),
    [
        (None, "", "null\n", ""),
        ("text", "text\n", '"text"\n', "text\n"),
        ("", "", '""\n', '""\n'),
        (True, "True\n", "true\n", "true\n"),
        (False, "False\n", "false\n", "false\n"),
        (5, "5\n", "5\n", "5\n"),
        (1.0, "1\n", "1\n", "1\n"),
        (1.5, "1.5\n", "1.5\n", "1.5\n"),
        ([], "", "[]\n", "[]\n"),
        (["a", "b"], "a\nb\n", '["a","b"]\n', "- a\n- b\n"),
        ({}, "{}\n", "{}\n", "{}\n"),
        ({"b": "2", "a": "x"}, 'a: x\nb: "2"\n', '{"a":"x","b":"2"}\n', 'a: x\nb: "2"\n'),
        ({"a": None}, "a: null\n", '{"a":null}\n', "a: null\n"),
        ({"a": {"b": ["c"]}}, "a:\n  b:\n  - c\n", '{"a":{"b":["c"]}}\n', "a:\n  b:\n  - c\n"),
        ({"a": "two\nlines\n"}, "a: |\n  two\n  lines\n", '{"a":"two\\nlines\\n"}\n', "a: |\n  two\n  lines\n"),
        ("two\nlines", "two\nlines\n", '"two\\nlines"\n', "|-\n  two\n  lines\n"),
        ("true", "true\n", '"true"\n', '"true"\n'),
        ("<a>&b", "<a>&b\n", '"\\u003ca\\u003e\\u0026b"\n', "<a>&b\n"),
        ("ü漢🎉", "ü漢🎉\n", '"ü漢🎉"\n', "ü漢🎉\n"),
        ("\u2028", "\u2028\n", '"\\u2028"\n', '"\\L"\n'),
    ],
)
def test_each_value_in_each_format(value: Any, smart: str, as_json: str, as_yaml: str) -> None:
    assert [shape(value, form).decode() for form in ("smart", "json", "yaml")] == [smart, as_json, as_yaml]


SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
)


@given(VALUES)
def test_json_is_one_line_that_reads_back_the_same(value: Any) -> None:
    line = shape(value, "json")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == value


# PyYAML itself doesn't read back every control character; what a charm stores is text.
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]))


@given(st.dictionaries(PRINTABLE, PRINTABLE, min_size=1))
def test_yaml_reads_back_the_same(values: dict[str, str]) -> None:
    assert yaml.safe_load(shape(values, "yaml")) == values


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("x", '"x"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("\n\t\r\a", '"\\n\\t\\r\\a"'),
        ("\x01\x7f", '"\\x01\\x7f"'),
        ("é漢", '"é漢"'),
        ("\udcff", '"\\xff"'),
        ("\u200b", '"\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
    ],
)
def test_texts_are_quoted_as_go_quotes_them(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted


def test_a_list_of_texts_is_quoted_as_go_quotes_it() -> None:
    assert go_quoted_list(["a", "b c"]) == '["a" "b c"]'


@pytest.mark.parametrize("form", ["smart", "json", "yaml"])
async def test_what_is_large_is_shaped_beside_the_event_loop_and_the_same(form: str) -> None:
    large = {f"key{number}": ["x" * 100] for number in range(1000)}
    assert weight(large) > SHAPED_IN_LOOP_MAX
    assert await shape_aside(large, form) == shape(large, form)
    assert await shape_aside({"a": True, "b": [1.5]}, form) == shape({"a": True, "b": [1.5]}, form)
