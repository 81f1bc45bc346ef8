"""What a charm says of itself: `metadata.yaml` and `config.yaml`, with errors that name the file and the line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from tenure.errors import BadInput
from tenure.model.options import PARSERS, fits
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
    document = _Document.read(path)
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
    document = _Document.read(path)
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


class _Document:
    """A YAML file with its lines, so that an error can say where."""

    def __init__(self, path: Path, root: yaml.Node | None, value: Any) -> None:
        self._path, self._root, self._value = path, root, value

    @classmethod
    def read(cls, path: Path) -> _Document:
        try:
            data = path.read_bytes()
            text = data.decode("utf-8")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_names_given_twice(path, root)
            value = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{path}, line {mark.line + 1}" if mark else str(path)
            raise BadInput(f"{where}: this is not YAML: {error.problem or error.context}") from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise BadInput(f"{path}, line {line}: this is not UTF-8", hint="save the file as UTF-8") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise BadInput(f"{path}, line {line}: this is not YAML: {error.reason}") from None
        except (yaml.YAMLError, ValueError) as error:
            raise BadInput(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
        except OSError as error:
            raise BadInput(f"{path} can't be read: {error.strerror}") from None
        document = cls(path, root, {} if value is None else value)
        document.mapping()
        return document

    def mapping(self, *keys: str) -> dict[str, Any]:
        value = self._get(*keys)
        if value is None:
            return {}
        if not isinstance(value, dict):
            what = f'"{keys[-1]}"' if keys else "the file"
            raise self.error(keys, f"{what} must be a mapping: name: value")
        for key in value:
            if not isinstance(key, str):
                raise self.error(keys, f"{key!r} must be a text, to be a name")
        return cast("dict[str, Any]", value)

    def text(self, *keys: str) -> str:
        value = self._get(*keys) if self._has(*keys) else None
        if not isinstance(value, str):
            raise self.error(keys, f'"{keys[-1]}" must be a text')
        return value

    def error(self, keys: tuple[str, ...], message: str, hint: str | None = None) -> BadInput:
        return BadInput(f"{self._path}, line {self._line(keys)}: {message}", hint=hint)

    def _has(self, *keys: str) -> bool:
        parent = self.mapping(*keys[:-1])
        return keys[-1] in parent

    def _get(self, *keys: str) -> Any:
        value = self._value
        for key in keys:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    def _line(self, keys: tuple[str, ...]) -> int:
        """Where `keys` lead, or the last of them that is there."""
        node, line = self._root, 1
        for key in keys:
            if not isinstance(node, yaml.MappingNode):
                break
            found = [pair for pair in node.value if getattr(pair[0], "value", None) == key]
            if not found:
                break
            line, node = found[-1][0].start_mark.line + 1, found[-1][1]
        return line


def _refuse_names_given_twice(path: Path, root: yaml.Node | None) -> None:
    """Raises BadInput: PyYAML would keep the last value of a name and drop the others without a word."""
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes.extend(node.value)
        if isinstance(node, yaml.MappingNode):
            names = set[tuple[str, str]]()
            for key, value in node.value:
                nodes.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (key.tag, key.value) in names:
                    raise BadInput(f'{path}, line {key.start_mark.line + 1}: "{key.value}" is there twice')
                names.add((key.tag, key.value))
