"""A hook tool's arguments, parsed as Juju's tools parse theirs (juju/gnuflag), and `key=value` pairs and files of them.

Options may stand after other arguments; `--` ends them; a lone `-` is no option. All texts are Juju's: charms look for
parts of them. Values are text in UTF-8 and without NUL: what else a caller sends is refused before anything is done,
since a store's record, an environment and an argument can't all carry it unchanged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tenure.agent.tools.output import go_quote

TRUE_WORDS = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE_WORDS = frozenset(("0", "f", "F", "false", "FALSE", "False"))
FORMATS = ("json", "smart", "yaml")

PARSE_IN_LOOP_MAX = 64 * 1024
"""Bytes of a file that are parsed in the event loop: more would hold up the renewals of leases."""


class ToolError(Exception):
    """The tool failed: its one line, and exit code 1."""

    code = 1


class UsageError(ToolError):
    """Bad arguments: exit code 2, which charmhelpers tells from 1."""

    code = 2


class HelpWanted(Exception):
    """`--help` or `-h` was given."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its names, the long one first."""

    names: tuple[str, ...]
    kind: Literal["text", "bool", "relation", "format"] = "text"
    default: Any = None
    help: str = ""
    formats: tuple[str, ...] = FORMATS
    """Of the kind "format": those that the tool knows."""

    @property
    def usage(self) -> str:
        """Its part of `--help`."""
        names = ", ".join(sorted((_dashed(name) for name in self.names), key=len))
        if self.kind == "bool":
            shown = "false"
        elif self.kind == "format" and self.default:
            shown = self.default
        else:
            shown = '""' if self.default in (None, "") else str(self.default)
        return f"{names} (= {shown})\n    {self.help}"


FORMAT = Option(("format",), "format", default="smart", help="Specify output format (json|smart|yaml)")
YAML_FORMAT = Option(
    ("format",), "format", default="yaml", help="Specify output format (json|yaml)", formats=("json", "yaml")
)
OUTPUT_FILE = Option(("output", "o"), default="", help="Specify an output file")
RELATION = Option(("relation", "r"), "relation", help="Specify a relation by id")
FILE = Option(("file",), default="", help='file containing key-value pairs in YAML or JSON; "-" is standard input')
IGNORED_FORMAT = Option(("format",), default=None, help="deprecated format flag")


def parse(
    arguments: Iterable[str], options: Iterable[Option], relation_known: Callable[[int], bool]
) -> tuple[dict[str, Any], list[str]]:
    """The options by their long names, and what remains. Raises UsageError, HelpWanted."""
    known = {name: option for option in options for name in option.names}
    found = {option.names[0]: False if option.kind == "bool" else option.default for option in known.values()}
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest.extend(words)
        elif word == "-" or not word.startswith("-"):
            rest.append(word)
        else:
            for name, value in _options_of(word, known, words):
                option = known[name]
                found[option.names[0]] = _value(option, name, value, relation_known)
    return found, rest


def _options_of(word: str, known: Mapping[str, Option], words: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    """The options of one word, `--name`, `--name=value` or short ones together, with their values; None: a bare bool's."""
    if word.startswith("--"):
        name, has_value, value = word[2:].partition("=")
        option = _known(name, known, f"--{name}")
        yield name, value if has_value else _next_value(option, name, words)
        return
    left = word[1:]
    while left:
        name, left = left[0], left[1:]
        option = _known(name, known, f"-{name}")
        if left.startswith("="):
            yield name, left[1:]
            return
        if option.kind != "bool":
            yield name, left or _next_value(option, name, words)
            return
        yield name, None


def _known(name: str, known: Mapping[str, Option], as_given: str) -> Option:
    if name not in known:
        if name in ("help", "h"):
            raise HelpWanted
        raise UsageError(f"option provided but not defined: {as_given}")
    return known[name]


def _next_value(option: Option, name: str, words: Iterator[str]) -> str | None:
    if option.kind == "bool":
        return None
    value = next(words, None)
    if value is None:
        raise UsageError(f"option needs an argument: {_dashed(name)}")
    return value


def _value(option: Option, name: str, value: str | None, relation_known: Callable[[int], bool]) -> Any:
    if option.kind == "bool":
        if value is None or value in TRUE_WORDS:
            return True
        if value in FALSE_WORDS:
            return False
        raise _invalid(value, name, f"strconv.ParseBool: parsing {go_quote(value)}: invalid syntax")
    assert value is not None
    if option.kind == "format" and value not in option.formats:
        raise _invalid(value, name, f"unknown format {go_quote(value)}")
    if option.kind == "relation":
        number = relation_number(value)
        if number is None:
            raise _invalid(value, name, "invalid relation id")
        if not relation_known(number):
            raise _invalid(value, name, "relation not found")
        return number
    return checked_text(value, f"the value of {_dashed(name)}")


def _invalid(value: str, name: str, why: str) -> UsageError:
    return UsageError(f"invalid value {go_quote(value)} for option {_dashed(name)}: {why}")


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"


def relation_number(text: str) -> int | None:
    """The relation that `5` or `EP:5` names: only what follows the last colon is looked at."""
    number = text.rpartition(":")[2]
    return int(number) if number.isascii() and number.isdigit() else None


def checked_text(value: str, what: str) -> str:
    """`value`, if it is text that can be kept and given back unchanged. Raises UsageError."""
    if "\0" in value:
        raise UsageError(f"{what} has a NUL byte, which no argument or environment can carry; encode it, as base64 say")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{what} is not valid UTF-8; encode it, as base64 say") from None
    return value


def key_values(arguments: Iterable[str]) -> dict[str, str]:
    """`key=value` arguments; an empty value deletes. Raises UsageError."""
    found: dict[str, str] = {}
    for argument in arguments:
        key, has_value, value = argument.partition("=")
        if not has_value or not key:
            raise UsageError(f'expected "key=value", got {go_quote(argument)}')
        if key in found:
            raise UsageError(f"key {go_quote(key)} specified more than once")
        found[checked_text(key, f"the key {go_quote(key)}")] = checked_text(value, f"the value of {go_quote(key)}")
    return found


async def key_value_file(data: bytes, name: str) -> dict[str, str]:
    """A file of keys and scalars in YAML or JSON, each scalar as it is written; null and "" delete. Raises ToolError."""
    if len(data) > PARSE_IN_LOOP_MAX:
        return await asyncio.to_thread(_parse_file, data, name)
    return _parse_file(data, name)


def _parse_file(data: bytes, name: str) -> dict[str, str]:
    what = "standard input" if name == "-" else name
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"{what} is not valid UTF-8, at byte {error.start}") from None
    pairs = _json_pairs(text)
    if pairs is None:
        pairs = _yaml_pairs(text, what)
    found: dict[str, str] = {}
    for key, value in pairs:
        if value is None:
            raise ToolError(f"{what}: the value of {go_quote(key)} is not a scalar")
        try:
            found[checked_text(key, f"the key {go_quote(key)}")] = checked_text(value, f"the value of {go_quote(key)}")
        except UsageError as error:
            raise ToolError(f"{what}: {error}") from None
    return found


Pairs = list[tuple[str, str | None]]
"""Keys and values as they are written; None for what isn't a scalar."""


def _json_pairs(text: str) -> Pairs | None:
    # Tried first: Python's json writes an emoji as two escapes, which is JSON and which a YAML parser takes for two
    # broken characters; and it is faster on megabytes.
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text, object_pairs_hook=_Map, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return [(key, _json_text(value)) for key, value in found]


class _Map(list[tuple[str, Any]]):
    """A JSON object's pairs, in order."""


def _json_text(value: Any) -> str | None:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def _yaml_pairs(text: str, what: str) -> Pairs:
    # Event by event, not as a tree: each step lets the event loop's thread in between, and nothing nests.
    import yaml

    events: Iterator[Any] = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    pairs: Pairs = []
    try:
        if not _begins_map(yaml, events, what):
            return pairs
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise ToolError(f"{what}, line {key.start_mark.line + 1}: a key is not a scalar")
            value = next(events)
            pairs.append((key.value, _yaml_text(value) if isinstance(value, yaml.ScalarEvent) else None))
            if pairs[-1][1] is None:
                # A bracket that is never closed looks like a list at first: what is read to its end tells them apart.
                for _ in events:
                    pass
                break
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
        raise ToolError(f"{what} is not valid YAML{where}: {why}") from None
    return pairs


def _begins_map(yaml: Any, events: Iterator[Any], what: str) -> bool:
    """Whether a map follows; not, in an empty file."""
    for event in events:
        if isinstance(event, yaml.MappingStartEvent):
            return True
        empty = isinstance(event, yaml.ScalarEvent) and not _yaml_text(event)
        if isinstance(event, yaml.StreamEndEvent) or empty:
            return False
        if not isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            break
    raise ToolError(f"{what} does not hold a map of keys and values")


_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


def _yaml_text(scalar: Any) -> str:
    plain = scalar.implicit[0] and scalar.value in _NULLS
    return "" if plain or scalar.tag == "tag:yaml.org,2002:null" else str(scalar.value)
