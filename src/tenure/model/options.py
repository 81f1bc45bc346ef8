"""A charm's configuration: its options' types, what an operator may write for them, and what is in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tenure.errors import BadInput, NoSuchThing
from tenure.model.records import Application

Value = str | int | float | bool

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


PARSERS: Mapping[str, Callable[[str], Value]] = {
    "string": str,
    "secret": str,
    "int": int,
    "float": float,
    "boolean": _boolean,
}
"""The types that an option may have, as Juju has them, and what reads each."""

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "secret": (str,),
    "int": (int,),
    "float": (float, int),
    "boolean": (bool,),
}


def fits(kind: str, value: object) -> bool:
    """Whether a YAML value is one that an option of this type may have."""
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _PYTHON_TYPES[kind])


def parse(options: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, Value]:
    """The values that an operator gives, typed. Raises NoSuchThing (no such option), BadInput (not of its type)."""
    return {name: _parse_one(options, name, text) for name, text in given.items()}


def check_known(options: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Raises NoSuchThing unless the charm has the option."""
    if name not in options:
        known = ", ".join(sorted(options))
        raise NoSuchThing(
            f'the charm has no option "{name}"',
            hint=f"its options: {known}" if known else "the charm has no config.yaml, or no options in it",
        )


def effective(info: Application) -> dict[str, Value | None]:
    """What is in force: what was set, else the charm's default, else None. All options, sorted."""
    return {name: info.config.get(name, info.options[name].get("default")) for name in sorted(info.options)}


def _parse_one(options: Mapping[str, Mapping[str, Any]], name: str, text: str) -> Value:
    check_known(options, name)
    kind = options[name].get("type", "string")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f'the value of "{name}" is not UTF-8 text') from None
    try:
        return PARSERS[kind](text)
    except ValueError:
        # The value itself isn't shown: it may be a secret.
        raise BadInput(f'the value given for "{name}" is not of its type, {kind}') from None
