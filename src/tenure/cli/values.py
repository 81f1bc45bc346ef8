"""What may be given to commands: lengths of time, names, `name=value`; wrong ones are refused before anything is opened."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.errors import BadInput
from tenure.names import UnitName, check_application


class Duration(click.ParamType[float]):
    """A length of time: `30s`, `1m`, `500ms`, `2h`, or seconds as a number."""

    name = "duration"
    _UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}  # noqa: RUF012

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """In seconds."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip()
        number = text.rstrip("msh")
        unit = text[len(number) :] or "s"
        try:
            seconds = float(number) * self._UNITS[unit]
        except (ValueError, KeyError):
            seconds = -1.0
        if not 0 <= seconds < 1e9:
            self.fail(f'"{value}" is not a length of time, like 30s, 1m or 500ms', param, ctx)
        return seconds


class Unit(click.ParamType[UnitName]):
    """A unit's name: `web/0`."""

    name = "unit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> UnitName:
        """The name, taken apart."""
        try:
            return value if isinstance(value, UnitName) else UnitName.parse(str(value))
        except BadInput as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


class Application(click.ParamType[str]):
    """An application's name: `web`."""

    name = "application"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, checked."""
        try:
            return check_application(str(value))
        except BadInput as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


class Machines(click.ParamType[tuple[str, ...]]):
    """Machines' names: `m0,m1`."""

    name = "machines"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names; each may be given more than once."""
        return value if isinstance(value, tuple) else tuple(part for part in str(value).split(",") if part)


def assignments(given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` arguments; a value `@FILE` is what the file holds. Raises BadInput."""
    values: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadInput("an option is given like name=value", hint=f'what was given begins with "{text[:20]}"')
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
