"""What a charm says of itself: `metadata.yaml` and `config.yaml`, with errors that name the file and the line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tenure.errors import BadInput
from tenure.model.options import PARSERS, fits
from tenure.model.yaml_file import YamlFile
from tenure.names import check_application

_RELATION_HOOKS = ("created", "joined", "changed", "departed", "broken")
_HOOKS = frozenset(
    {
        *("install", "start", "stop", "remove", "config-changed", "update-status", "upgrade-charm"),
        *("leader-elected", "leader-settings-changed", "leader-deposed"),
        *("secret-changed", "secret-rotate", "secret-expired", "secret-remove"),
    }
)
_ROLES: Mapping[str, Literal["peer", "provider", "requirer"]] = {
    "peers": "peer",
    "provides": "provider",
    "requires": "requirer",
}
_RELATION_NAME = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class EndpointDeclared:
    """An end that the charm has for relations."""

    name: str
    role: Literal["peer", "provider", "requirer"]
    interface: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """What of a charm's two files matters to Tenure."""

    name: str
    endpoints: tuple[EndpointDeclared, ...]
    options: dict[str, dict[str, Any]]

    def is_hook(self, name: str) -> bool:
        """Whether a file `hooks/<name>` would be run as a hook of this charm."""
        if name in _HOOKS:
            return True
        endpoint, _, event = name.rpartition("-relation-")
        return event in _RELATION_HOOKS and any(end.name == endpoint for end in self.endpoints)


def read_metadata(folder: Path) -> Metadata:
    """What the charm in `folder` says. Raises BadInput."""
    path = folder / "metadata.yaml"
    if not path.is_file():
        raise BadInput(f"{path} is missing", hint="a charm needs a metadata.yaml with at least its name in it")
    document = YamlFile.read(path)
    if "name" not in document.mapping():
        raise BadInput(f'{path}: "name" is missing', hint="a charm's metadata.yaml has at least its name in it")
    name = document.text("name")
    try:
        check_application(name)
    except BadInput as error:
        raise document.error(("name",), f'"{name}" is not a charm\'s name', hint=error.hint) from None
    endpoints: list[EndpointDeclared] = []
    for section, role in _ROLES.items():
        for endpoint in document.mapping(section):
            interface = document.text(section, endpoint, "interface")
            if not _RELATION_NAME.fullmatch(str(endpoint)):
                raise document.error((section, endpoint), f'"{endpoint}" is not a relation\'s name')
            if any(end.name == endpoint for end in endpoints):
                raise document.error((section, endpoint), f'a second relation is named "{endpoint}"')
            endpoints.append(EndpointDeclared(endpoint, role, interface))
    return Metadata(name, tuple(endpoints), _read_options(folder / "config.yaml"))


def _read_options(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    document = YamlFile.read(path)
    options: dict[str, dict[str, Any]] = {}
    for name in document.mapping("options"):
        option = document.mapping("options", name)
        kind = option.get("type", "string")
        if kind not in PARSERS:
            raise document.error(("options", name, "type"), f'"{kind}" is not a type', hint=", ".join(PARSERS))
        default = option.get("default")
        if default is not None and not fits(kind, default):
            raise document.error(("options", name, "default"), f'the default of "{name}" is not of its type, {kind}')
        kept = {"type": kind, "description": str(option.get("description", "")).strip()}
        options[str(name)] = (
            kept if default is None else {**kept, "default": float(default) if kind == "float" else default}
        )
    return options
