"""A hook tool's output in its three shapes, as Go's libraries write them: JSON, YAML, and Juju's "smart"."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import yaml

SHAPED_IN_LOOP_MAX = 8192
"""Characters of a value that is shaped in the event loop: some milliseconds' worth of YAML."""


def shape(value: Any, form: str) -> bytes:
    """`value` in a format: what a tool prints, its last newline included, or nothing."""
    if form == "json":
        return (go_json(value) + "\n").encode("utf-8")
    if value is None:
        return b""
    if form == "smart":
        if isinstance(value, bool):
            return b"True\n" if value else b"False\n"
        if isinstance(value, str):
            return value.encode("utf-8") + b"\n" if value else b""
        if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
            return "".join(f"{line}\n" for line in value).encode("utf-8")
    return go_yaml(value).encode("utf-8")


async def shape_aside(value: Any, form: str) -> bytes:
    """The same; what is large is shaped beside the event loop, whose renewals can't wait for it."""
    if weight(value) <= SHAPED_IN_LOOP_MAX:
        return shape(value, form)
    return await asyncio.to_thread(shape, value, form)


def weight(value: Any) -> int:
    """About how many characters a value has, and one for each part."""
    if isinstance(value, str):
        return 1 + len(value)
    if isinstance(value, dict):
        return 1 + sum(weight(key) + weight(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return 1 + sum(map(weight, value))
    return 1


def go_json(value: Any) -> str:
    """JSON as Go's encoder writes it: keys sorted, no spaces, `<>&` escaped, whole floats without their point."""
    text = json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# The first three for HTML's sake, the line separators for JavaScript's: Go escapes them in any JSON.
_ESCAPED = re.compile("[<>&\u2028\u2029]")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def go_yaml(value: Any) -> str:
    """YAML in the shape of Go's: block style, keys sorted, doubtful text in double quotes, several lines as a block."""
    text: str = yaml.dump(
        _plain(value),
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=True,
        allow_unicode=True,
        width=float("inf"),
    )
    return text.removesuffix("...\n")


class _Dumper(yaml.SafeDumper):
    """PyYAML's, with Go's choice of quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    resolve: Callable[..., str] = dumper.resolve
    doubtful = not value or resolve(yaml.ScalarNode, value, (True, False)) != "tag:yaml.org,2002:str"
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style='"' if doubtful or not value.isprintable() else None
    )


_Dumper.add_representer(str, _text)


def go_quote(text: str) -> str:
    """A string as Go's `%q` shows it: in double quotes, what can't be printed escaped, stray bytes as `\\xff`."""
    return '"' + "".join(map(_quoted, text)) + '"'


def go_quoted_list(texts: Iterable[str]) -> str:
    """A slice of strings as Go's `%q` shows it."""
    return "[" + " ".join(map(go_quote, texts)) + "]"


_NAMED = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _quoted(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
