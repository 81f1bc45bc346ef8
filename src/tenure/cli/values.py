"""What may be given to commands: lengths of time, names, `name=value`; wrong ones are refused before anything is opened."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.errors import BadInput
from tenure.names import UnitName, check_application

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """A length of time in seconds: `30s`, `1m`, `500ms`, `2h`, or a number."""
    number = text.strip().rstrip("msh")
    unit = text.strip()[len(number) :] or "s"
    try:
        seconds = float(number) * _UNITS_S[unit]
    except (ValueError, KeyError):
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise click.BadParameter(f'"{text}" is not a length of time, like 30s, 1m or 500ms')
    return seconds


def unit(text: str) -> UnitName:
    """A unit's name: `web/0`."""
    try:
        return UnitName.parse(text)
    except BadInput as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from None


def application(text: str) -> str:
    """An application's name: `web`."""
    try:
        return check_application(text)
    except BadInput as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from None


def machines(text: str) -> tuple[str, ...]:
    """Machines' names: `m0,m1`; each may be given more than once."""
    return tuple(part for part in text.split(",") if part)


def assignments(given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` arguments; a value `@FILE` is what the file holds. Raises BadInput."""
    values: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadInput("an option is given like name=value", hint="port=8080, or port=@FILE")
        if name in values:
            raise BadInput(f'"{name}" is given twice')
        values[name] = _from_file(name, value[1:]) if value.startswith("@") else value
    return values


def _from_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f'the file for "{name}" can\'t be read: {path}: {error.strerror}') from None
    except UnicodeDecodeError:
        raise BadInput(f'the file for "{name}" is not UTF-8 text: {path}') from None
