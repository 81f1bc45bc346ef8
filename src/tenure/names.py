"""Names of models, machines, applications, units and offices: what they may look like, in one place."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from tenure.errors import BadInput

LEADER_OFFICE = "leader"
"""The office that every application has."""

_APPLICATION = re.compile(r"[a-z](?:[a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*)")
_PLAIN = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?")
_UNIT = re.compile(r"(?P<application>[a-z][a-z0-9-]*)/(?P<number>0|[1-9][0-9]*)")
_LONGEST = 100


class UnitName(NamedTuple):
    """`web/0`: an application's name and a number that is never used twice. Sorts by number, not as text."""

    application: str
    number: int

    def __str__(self) -> str:
        return f"{self.application}/{self.number}"

    @property
    def tag(self) -> str:
        """`unit-web-0`: the unit's name where a slash can't stand, as Juju writes it."""
        return f"unit-{self.application}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The unit that `text` names. Raises BadInput."""
        found = _UNIT.fullmatch(text)
        if found is None:
            raise BadInput(f'"{text}" is not a unit\'s name', hint="a unit is named like web/0")
        return cls(check_application(found["application"]), int(found["number"]))


def check_application(name: str) -> str:
    """Return `name` if an application may have it, as Juju allows them. Raises BadInput."""
    if not _APPLICATION.fullmatch(name) or len(name) > _LONGEST:
        raise BadInput(
            f'"{name}" is not an application\'s name',
            hint="small letters, digits and hyphens, beginning with a letter; no part between hyphens is a number alone",
        )
    return name


def check_model(name: str) -> str:
    """Return `name` if a model may have it. Raises BadInput."""
    return _check_plain("model", name)


def check_machine(name: str) -> str:
    """Return `name` if a machine may have it. Raises BadInput."""
    return _check_plain("machine", name)


def check_office(name: str) -> str:
    """Return `name` if an office may have it. Raises BadInput."""
    return _check_plain("office", name)


def _check_plain(kind: str, name: str) -> str:
    if not _PLAIN.fullmatch(name) or len(name) > _LONGEST:
        a = "an" if kind == "office" else "a"
        raise BadInput(f'"{name}" is not {a} {kind}\'s name', hint="letters, digits, dot, hyphen and underscore")
    return name
