"""What a charm says to Tenure alone: `tenure.yaml` beside its metadata, with errors that name the file and the line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.defaults import GIVE_UP_FAILURES, GIVE_UP_WITHIN_S
from tenure.errors import BadInput
from tenure.model.records import Health, Restart, Singleton
from tenure.model.yaml_file import YamlFile
from tenure.names import LEADER_OFFICE, check_office
from tenure.office.timing import Timing

NAME = "tenure.yaml"

_KEYS = (
    *("command", "office", "lease", "stop-timeout", "stop-command", "user", "environment", "namespace", "restart"),
    *("health", "preferred-unit", "give-up"),
)
_HEALTH = ("command", "interval", "timeout", "failures")
_RESTARTS: tuple[Restart, ...] = ("always", "on-failure", "never")
_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_S = 1e9


@dataclass(frozen=True, slots=True)
class SingletonDeclared:
    """A singleton as the charm declares it, and where its lease and its stop time-out stand, for errors."""

    name: str
    singleton: Singleton
    where_lease: str
    where_stop: str

    def check(self, application: Timing, least_ttl_s: int, most_ttl_s: int) -> None:
        """Raises BadInput where the lease, its own or the application's, can't be had, or the stop time-out doesn't fit it."""
        ttl_s = self.singleton.ttl_s
        if ttl_s and not least_ttl_s <= ttl_s <= most_ttl_s:
            raise BadInput(
                f"{self.where_lease}: a lease of {ttl_s} s can't be had from this store",
                hint=f"from {least_ttl_s} s to {most_ttl_s} s",
            )
        try:
            spelled = "lease: {0}s" if ttl_s else "lease: {0}s there, or tenure deploy --lease {0}s,"
            self.singleton.timing(application).stop_timeout_s(self.singleton.stop_timeout_s, spelled=spelled)
        except BadInput as error:
            raise BadInput(f"{self.where_stop}: {error.message}", hint=error.hint) from None


def read_singletons(folder: Path) -> tuple[SingletonDeclared, ...]:
    """What the charm in `folder` wants run on one unit at a time; none where there is no such file. Raises BadInput."""
    path = folder / NAME
    if not path.exists():
        return ()
    file = YamlFile.read(path)
    file.only((), ("singletons",))
    found: list[SingletonDeclared] = []
    for name in file.mapping("singletons"):
        one = _Reader(file, name).read()
        for other in found:
            if other.singleton.office == one.singleton.office:
                raise file.error(
                    ("singletons", name, "office"),
                    f'"{name}" has the same office as "{other.name}": "{one.singleton.office}"',
                    "an office has one process; give each an office of its own",
                )
        found.append(one)
    return tuple(found)


class _Reader:
    """Reads one singleton."""

    def __init__(self, file: YamlFile, name: str) -> None:
        self._file = file
        self._name = name
        self._at = ("singletons", name)

    def read(self) -> SingletonDeclared:
        file, name, at = self._file, self._name, self._at
        given = file.mapping(*at)
        file.only(at, _KEYS)
        self._office(at, name)
        office = file.text(*at, "office") if "office" in given else name
        self._office((*at, "office"), office)
        if office == LEADER_OFFICE:
            raise file.error(
                (*at, "office"), '"leader" is the office of the unit that leads', "choose another name, or office"
            )
        give_up = (*at, "give-up")
        file.only(give_up, ("failures", "within"))
        singleton = Singleton(
            command=self._command(*at, "command"),
            office=office,
            ttl_s=self._lease(),
            stop_timeout_s=self._seconds(*at, "stop-timeout") if "stop-timeout" in given else None,
            stop_command=self._command(*at, "stop-command") if "stop-command" in given else (),
            user=file.text(*at, "user") if "user" in given else "",
            environment=self._environment(),
            namespace=self._namespace(given.get("namespace", True)),
            restart=self._restart(given.get("restart", "always")),
            health=self._health() if "health" in given else None,
            preferred_unit=self._count(*at, "preferred-unit", least=0) if "preferred-unit" in given else None,
            failures=self._count(*give_up, "failures", default=GIVE_UP_FAILURES),
            within_s=self._seconds(*give_up, "within", default=GIVE_UP_WITHIN_S),
        )
        return SingletonDeclared(name, singleton, file.where((*at, "lease")), file.where((*at, "stop-timeout")))

    def _office(self, at: tuple[str, ...], name: str) -> None:
        try:
            check_office(name)
        except BadInput as error:
            raise self._file.error(at, error.message, error.hint) from None

    def _health(self) -> Health:
        at = (*self._at, "health")
        self._file.only(at, _HEALTH)
        return Health(
            command=self._command(*at, "command"),
            interval_s=self._seconds(*at, "interval", default=10.0),
            timeout_s=self._seconds(*at, "timeout", default=3.0),
            failures=self._count(*at, "failures", default=3),
        )

    def _value(self, *at: str) -> Any:
        return self._file.mapping(*at[:-1]).get(at[-1])

    def _command(self, *at: str) -> tuple[str, ...]:
        value = self._value(*at)
        if value is None:
            raise self._file.error(at, f'"{at[-1]}" is missing')
        try:
            words = shlex.split(value) if isinstance(value, str) else value
        except ValueError as error:
            raise self._file.error(at, f"{error}: {value}") from None
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise self._file.error(
                at, f'"{at[-1]}" must be a command: a text, or a list of texts', "for a shell: sh -c 'one; two'"
            )
        if any("\0" in word for word in words) or not words[0]:
            raise self._file.error(at, f'"{at[-1]}" can\'t be run')
        return tuple(words)

    def _seconds(self, *at: str, default: float | None = None) -> float:
        value = self._value(*at)
        if value is None and default is not None:
            return default
        text = str(value)
        number = text.rstrip("msh")
        try:
            seconds = -1.0 if isinstance(value, bool) else float(number) * _UNITS_S[text[len(number) :]]
        except (ValueError, KeyError):
            seconds = -1.0
        if not 0 < seconds < _LONGEST_S:
            raise self._file.error(at, f'"{text}" is not a length of time', "like 30s, 1m or 500ms")
        return seconds

    def _lease(self) -> int:
        at = (*self._at, "lease")
        if self._value(*at) is None:
            return 0
        seconds = self._seconds(*at)
        if seconds != int(seconds):
            raise self._file.error(at, f"a lease of {seconds:g} s can't be had", "whole seconds, like 15s")
        return int(seconds)

    def _count(self, *at: str, default: int = 1, least: int = 1) -> int:
        value = self._value(*at)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._file.error(at, f'"{at[-1]}" must be a number, {least} or more')
        return value

    def _restart(self, value: Any) -> Restart:
        found = next((known for known in _RESTARTS if known == value), None)
        if found is None:
            at = (*self._at, "restart")
            raise self._file.error(at, f'"{value}" is not a restart policy', _alternatives(_RESTARTS))
        return found

    def _namespace(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._file.error((*self._at, "namespace"), f'"{value}" is neither true nor false')
        return value

    def _environment(self) -> dict[str, str]:
        at = (*self._at, "environment")
        found: dict[str, str] = {}
        for name, value in self._file.mapping(*at).items():
            if "=" in name or "\0" in name or not name or name.startswith("TENURE_"):
                raise self._file.error((*at, name), f'"{name}" can\'t be the name of a variable here')
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise self._file.error((*at, name), f'"{name}" must be a text or a number', "in quotes it is a text")
            found[name] = str(value)
        return found


def _alternatives(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
