"""A YAML file that people write, with its lines, so that an error can say where."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml

from tenure.errors import BadInput


class YamlFile:
    """What is in the file, by the names that lead to it."""

    def __init__(self, path: Path, root: yaml.Node | None, value: Any) -> None:
        self._path, self._root, self._value = path, root, value

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """The file, with a mapping at its root. Raises BadInput."""
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
        """The mapping that `keys` lead to; empty where there is nothing. Raises BadInput."""
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
        """The text that `keys` lead to. Raises BadInput where there is none."""
        value = self._get(*keys) if self._has(*keys) else None
        if not isinstance(value, str):
            raise self.error(keys, f'"{keys[-1]}" must be a text')
        return value

    def only(self, keys: tuple[str, ...], known: Collection[str]) -> None:
        """Raises BadInput, with the nearest right one, where the mapping that `keys` lead to has another key."""
        for key in self.mapping(*keys):
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f'did you mean "{near[0]}"?' if near else f"what may stand here: {', '.join(known)}"
                raise self.error((*keys, key), f'"{key}" is not known here', hint)

    def where(self, keys: tuple[str, ...]) -> str:
        """The file, and the line that `keys` lead to, or the last of them that is there."""
        return f"{self._path}, line {self._line(keys)}"

    def error(self, keys: tuple[str, ...], message: str, hint: str | None = None) -> BadInput:
        """What is wrong with what `keys` lead to."""
        return BadInput(f"{self.where(keys)}: {message}", hint=hint)

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
