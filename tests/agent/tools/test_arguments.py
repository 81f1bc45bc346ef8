"""Arguments are parsed as Juju's tools parse theirs, and what can't be kept unchanged is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tenure.agent.tools.arguments import (
    FORMAT,
    PARSE_IN_LOOP_MAX,
    RELATION,
    HelpWanted,
    Option,
    ToolError,
    UsageError,
    key_value_file,
    key_values,
    parse,
    relation_number,
)

APP = Option(("app",), "bool")
ALL = Option(("all", "a"), "bool")
FILE = Option(("file",), default="")
OPTIONS = (APP, ALL, FILE, RELATION, FORMAT)
NOTHING: dict[str, Any] = {"app": False, "all": False, "file": "", "relation": None, "format": "smart"}


def parsed(*arguments: str) -> tuple[dict[str, Any], list[str]]:
    options, rest = parse(arguments, OPTIONS, lambda number: number == 5)
    return {name: value for name, value in options.items() if value != NOTHING[name]}, rest


@pytest.mark.parametrize(
    ("arguments", "options", "rest"),
    [
        ([], {}, []),
        (["a", "b"], {}, ["a", "b"]),
        (["-"], {}, ["-"]),
        (["a", "--app", "b"], {"app": True}, ["a", "b"]),
        (["--app", "false"], {"app": True}, ["false"]),
        (["--app=False", "active"], {}, ["active"]),
        (["--app=t"], {"app": True}, []),
        (["--file", "-"], {"file": "-"}, []),
        (["--file=x=y"], {"file": "x=y"}, []),
        (["--file="], {}, []),
        (["--file", "--app"], {"file": "--app"}, []),
        (["-r5"], {"relation": 5}, []),
        (["-r", "5"], {"relation": 5}, []),
        (["-r=5"], {"relation": 5}, []),
        (["-r", "peers:5"], {"relation": 5}, []),
        (["--relation=peers:5"], {"relation": 5}, []),
        (["-r", "wrong:5"], {"relation": 5}, []),
        (["-a"], {"all": True}, []),
        (["-ar5"], {"all": True, "relation": 5}, []),
        (["--format", "json", "x"], {"format": "json"}, ["x"]),
        (["--", "--app", "-r"], {}, ["--app", "-r"]),
        (["active", "--", "-", "--app"], {}, ["active", "-", "--app"]),
        (["--app", "--app=false"], {}, []),
    ],
)
def test_options_stand_anywhere_and_end_at_two_dashes(
    arguments: list[str], options: dict[str, Any], rest: list[str]
) -> None:
    assert parsed(*arguments) == (options, rest)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foo"], "option provided but not defined: --foo"),
        (["--foo=1"], "option provided but not defined: --foo"),
        (["-x"], "option provided but not defined: -x"),
        (["-relation"], 'invalid value "elation" for option -r: invalid relation id'),
        (["--file"], "option needs an argument: --file"),
        (["-r"], "option needs an argument: -r"),
        (["--app=maybe"], 'invalid value "maybe" for option --app: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["--format", "xml"], 'invalid value "xml" for option --format: unknown format "xml"'),
        (["-r", "x"], 'invalid value "x" for option -r: invalid relation id'),
        (["-r", "peers:x"], 'invalid value "peers:x" for option -r: invalid relation id'),
        (["-r", "-5"], 'invalid value "-5" for option -r: invalid relation id'),
        (["-r", "²"], 'invalid value "²" for option -r: invalid relation id'),
        (["-r", "99"], 'invalid value "99" for option -r: relation not found'),
        (["--relation", "peers:99"], 'invalid value "peers:99" for option --relation: relation not found'),
        (["--file", "\udcff"], "the value of --file is not valid UTF-8; encode it, as base64 say"),
    ],
)
def test_bad_options_are_refused_in_jujus_words_with_code_2(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parsed(*arguments)
    assert (str(raised.value), raised.value.code) == (message, 2)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["a", "--help"], ["--app", "-h"]])
def test_help_is_asked_for_anywhere(arguments: list[str]) -> None:
    with pytest.raises(HelpWanted):
        parsed(*arguments)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_whatever_comes_after_two_dashes_is_kept_as_it_is(words: list[str]) -> None:
    assert parsed("--", *words) == ({}, words)


@given(st.lists(st.text(st.characters(exclude_characters="\0")), max_size=5))
def test_no_arguments_break_the_parser(words: list[str]) -> None:
    try:
        _, rest = parsed(*words)
    except (UsageError, HelpWanted):
        return
    assert all(word in words for word in rest)


@pytest.mark.parametrize(
    ("text", "number"), [("5", 5), ("peers:5", 5), ("a:b:5", 5), ("", None), ("peers:", None), ("5:x", None)]
)
def test_only_what_follows_the_last_colon_names_a_relation(text: str, number: int | None) -> None:
    assert relation_number(text) == number


def test_pairs_are_split_at_the_first_equals_sign_and_not_trimmed() -> None:
    assert key_values(["a=b=c", " k = v ", "gone="]) == {"a": "b=c", " k ": " v ", "gone": ""}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], 'expected "key=value", got "x"'),
        (["=x"], 'expected "key=value", got "=x"'),
        (["a=1", "a=2"], 'key "a" specified more than once'),
        (["a=\udcff"], 'the value of "a" is not valid UTF-8; encode it, as base64 say'),
        (["\udcff=a"], 'the key "\\xff" is not valid UTF-8; encode it, as base64 say'),
    ],
)
def test_bad_pairs_are_refused_with_code_2(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        key_values(arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("{}", {}),
        ("a: 1\nb: two words\n", {"a": "1", "b": "two words"}),
        ("a: true\nb: 1.0\nc: 010\nd: 0x1F\ne: 1e3\n", {"a": "true", "b": "1.0", "c": "010", "d": "0x1F", "e": "1e3"}),
        ("a: null\nb: ~\nc:\nd: ''\ne: 'null'\n", {"a": "", "b": "", "c": "", "d": "", "e": "null"}),
        ('{"a": 1.0, "b": true, "c": null, "d": "", "e": "x"}', {"a": "1.0", "b": "true", "c": "", "d": "", "e": "x"}),
        ("{a: 1, b: yes}", {"a": "1", "b": "yes"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("1: x\n", {"1": "x"}),
        ('{"party": "\\ud83c\\udf89"}', {"party": "🎉"}),
        ("k: =x\n", {"k": "=x"}),
    ],
)
async def test_a_files_scalars_keep_their_text(text: str, pairs: dict[str, str]) -> None:
    assert await key_value_file(text.encode(), "f") == pairs


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: [1]", 'f: the value of "a" is not a scalar'),
        (b"a: {b: c}", 'f: the value of "a" is not a scalar'),
        (b'{"a": {"b": "c"}}', 'f: the value of "a" is not a scalar'),
        (b'{"a": ["b"]}', 'f: the value of "a" is not a scalar'),
        (b"a: [1\n", "f is not valid YAML, line 2: did not find expected ',' or ']'"),
        (b"a: {b: c\nd: 1\n", "f is not valid YAML, line 2: did not find expected ',' or '}'"),
        (b"- a\n- b\n", "f does not hold a map of keys and values"),
        (b"just text", "f does not hold a map of keys and values"),
        (b"a: 'open", "f is not valid YAML, line 1: found unexpected end of stream"),
        (b"ok: 1\n? [x]\n: y\n", "f, line 2: a key is not a scalar"),
        (b"a: \xff", "f is not valid UTF-8, at byte 3"),
        (
            b'{"a": "\\u0000"}',
            'f: the value of "a" has a NUL byte, which no argument or environment can carry; encode it, as base64 say',
        ),
        (
            b'a: "\\0"',
            'f: the value of "a" has a NUL byte, which no argument or environment can carry; encode it, as base64 say',
        ),
        (b'{"a": "\\ud800"}', 'f: the value of "a" is not valid UTF-8; encode it, as base64 say'),
    ],
)
async def test_a_file_that_cannot_be_kept_is_refused_with_code_1(data: bytes, message: str) -> None:
    with pytest.raises(ToolError) as raised:
        await key_value_file(data, "f")
    assert (str(raised.value), raised.value.code) == (message, 1)


async def test_a_raw_nul_in_a_file_is_refused() -> None:
    for data in (b"a: b\0c", b'{"a": "b\0c"}'):
        with pytest.raises(ToolError):
            await key_value_file(data, "-")


async def test_nesting_without_end_is_refused() -> None:
    for data in (b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(ToolError):
            await key_value_file(data, "f")


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT, TEXT))
async def test_what_is_written_as_json_or_yaml_is_read_as_it_was(pairs: dict[str, str]) -> None:
    assert await key_value_file(json.dumps(pairs).encode(), "f") == pairs
    assert await key_value_file(json.dumps(pairs, ensure_ascii=False).encode(), "f") == pairs
    assert await key_value_file(yaml.safe_dump(pairs).encode(), "f") == pairs


async def test_a_large_file_is_parsed_beside_the_event_loop() -> None:
    pairs = {"a": "x" * PARSE_IN_LOOP_MAX, "b": "y"}
    assert await key_value_file(json.dumps(pairs).encode(), "f") == pairs


@pytest.mark.parametrize("text", ["# nothing\n", "---\n", "null\n", "~", "--- {}\n", "\n\n"])
async def test_a_file_of_nothing_is_no_pairs(text: str) -> None:
    assert await key_value_file(text.encode(), "f") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x\n", 'f: the value of "b" is not a scalar'),
        ("a: !!map {}\n", 'f: the value of "a" is not a scalar'),
        ("a: 1\n b: 2\n", "f is not valid YAML, line 2: mapping values are not allowed in this context"),
        ("\ta: 1\n", "f is not valid YAML, line 1: found character that cannot start any token"),
    ],
)
async def test_yaml_that_is_no_flat_map_is_refused(text: str, message: str) -> None:
    with pytest.raises(ToolError) as raised:
        await key_value_file(text.encode(), "f")
    assert str(raised.value) == message


async def test_tags_and_quotes_say_what_is_text() -> None:
    text = "a: !!str null\nb: !!null x\nc: 'null'\nd: \"~\"\n"
    assert await key_value_file(text.encode(), "f") == {"a": "null", "b": "", "c": "null", "d": "~"}
