"""A hook as a value: which event, about whom, and what it will have told the unit once it has run. No input or output."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal[
    "install",
    "leader-elected",
    "leader-settings-changed",
    "leader-deposed",
    "config-changed",
    "start",
    "update-status",
    "stop",
    "remove",
    "relation-created",
    "relation-joined",
    "relation-changed",
    "relation-departed",
]


class Hook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One event of one unit. What it is about was captured when it was chosen: what changes later fires once more."""

    kind: Kind
    relation: int | None = None
    """The relation's number, in a relation's hook."""
    endpoint: str = ""
    remote_unit: str = ""
    """Empty in -created, and in a -changed that is about an application's databag."""
    remote_application: str = ""
    departing_unit: str = ""
    """In -departed: the unit that goes, the own one when that is dying."""
    term: int | None = None
    """In leader-elected: the term that it announces."""
    version: int = 0
    """Of the settings or the databag that it tells of."""
    config: str = ""
    """In config-changed: the digest of the configuration that it tells of."""

    def check(self) -> None:
        """Raise ValueError where the fields don't fit each other."""
        if self.kind.startswith("relation-") != (self.relation is not None):
            raise ValueError("a relation's hook, and no other, names a relation")
        if (self.kind == "leader-elected") != (self.term is not None):
            raise ValueError("leader-elected, and no other hook, announces a term")
        if self.relation is not None and not self.endpoint:
            raise ValueError("a relation's hook names its endpoint")

    @property
    def name(self) -> str:
        """The name of the file that a charm has for it: `config-changed`, `peers-relation-joined`."""
        return self.kind if self.relation is None else f"{self.endpoint}-{self.kind}"

    @property
    def relation_id(self) -> str:
        """`peers:3`, as the hook tools write it; empty in other hooks."""
        return "" if self.relation is None else f"{self.endpoint}:{self.relation}"

    @property
    def running(self) -> str:
        """The agent status's message while it runs, as Juju words it."""
        return f"running {self.name} hook" + (f" for {self.remote_unit}" if self.remote_unit else "")
