"""One revision of a mirrored prefix, as a value: nothing in it ever changes, and the next shares what stayed the same.

Keys are kept in segments, one for each folder of the prefix (`apps/web/`, `relations/3/`, `machines/`), so a change
copies the segment that it touches and the short table of segments, never the rest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

from tenure.model.records import Record, decode
from tenure.store.api import Change, Item

R = TypeVar("R", bound=Record)
T = TypeVar("T")

SEGMENT_DEPTH = 2
"""Folders below the prefix that make a segment: an application, a relation."""


class Decoded:
    """Records decoded once for each mod revision of their key, whatever the number of snapshots that show it."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[str, tuple[Item, Record]] = {}

    def record(self, kind: type[R], item: Item) -> R:
        """What `item` holds. Raises StoreBroken when it isn't a record of `kind`."""
        known = self._records.get(item.key)
        if known is not None and (known[0] is item or known[0] == item) and type(known[1]) is kind:
            return known[1]
        record = decode(kind, item.value, item.key)
        self._records[item.key] = (item, record)
        return record

    def forget(self, key: str) -> None:
        """The key is gone; what it held need not be kept."""
        self._records.pop(key, None)


class Segment:
    """The keys of one folder at some revision; the same object for as long as none of them changes."""

    def __init__(self, items: dict[str, Item]) -> None:
        self._items = items
        self._memo: dict[str, Any] = {}

    @property
    def items(self) -> Mapping[str, Item]:
        """Its keys, in no order."""
        return self._items

    @cached_property
    def keys(self) -> list[str]:
        """Its keys' names, sorted."""
        return sorted(self._items)

    def changed(self, changes: Iterable[Change]) -> Segment:
        """The segment after `changes`."""
        items = self._items.copy()
        for change in changes:
            if change.item is None:
                items.pop(change.key, None)
            else:
                items[change.key] = change.item
        return Segment(items)

    def under(self, prefix: str) -> Iterator[Item]:
        """Its items whose keys begin with `prefix`, in order."""
        keys = self.keys
        for index in range(bisect_left(keys, prefix), len(keys)):
            if not keys[index].startswith(prefix):
                return
            yield self._items[keys[index]]

    def memo(self, name: str, make: Callable[[], T]) -> T:
        """What `make` has made of this segment under `name`: made once, kept as long as the segment is."""
        if name not in self._memo:
            self._memo[name] = make()
        return cast(T, self._memo[name])


class MirrorSnapshot:
    """All keys of a prefix at one revision: consistent, immutable, cheap to hold."""

    __slots__ = ("_segments", "decoded", "prefix", "revision")

    def __init__(self, prefix: str, revision: int, segments: dict[str, Segment], decoded: Decoded) -> None:
        self.prefix = prefix
        self.revision = revision
        self.decoded = decoded
        self._segments = segments

    @classmethod
    def of(cls, prefix: str, revision: int, items: Mapping[str, Item]) -> MirrorSnapshot:
        """A snapshot of `items` that shares nothing yet."""
        return cls(prefix, revision, _segments(prefix, items), Decoded())

    def get(self, key: str) -> Item | None:
        """The key as it stands; None when it is absent."""
        segment = self._segments.get(segment_of(self.prefix, key))
        return None if segment is None else segment.items.get(key)

    def under(self, prefix: str) -> list[Item]:
        """The items whose keys begin with `prefix`, in order."""
        if (name := segment_of(self.prefix, prefix)) in self._segments and _is_within(self.prefix, name, prefix):
            return list(self._segments[name].under(prefix))
        found = [
            item
            for name, segment in self._segments.items()
            if (self.prefix + name).startswith(prefix) or prefix.startswith(self.prefix + name)
            for item in segment.under(prefix)
        ]
        return sorted(found, key=lambda item: item.key)

    @property
    def items(self) -> dict[str, Item]:
        """Every key, in order: what `Store.read` shows at this revision. For tests; costs a copy."""
        return {item.key: item for item in self.under(self.prefix)}

    def segment(self, prefix: str) -> Segment | None:
        """The segment whose folder is `prefix` (a full key's beginning, ending in "/"), if it has keys."""
        return self._segments.get(prefix.removeprefix(self.prefix))

    def segments(self, folder: str) -> list[tuple[str, Segment]]:
        """Segments within `folder` (a full key's beginning, ending in "/"), by the name below it, sorted."""
        start = folder.removeprefix(self.prefix)
        return sorted(
            (name.removeprefix(start).rstrip("/"), segment)
            for name, segment in self._segments.items()
            if name.startswith(start) and name != start
        )

    def changed(self, revision: int, changes: Iterable[Change]) -> MirrorSnapshot:
        """The snapshot after one batch."""
        touched: dict[str, list[Change]] = {}
        for change in changes:
            touched.setdefault(segment_of(self.prefix, change.key), []).append(change)
            if change.item is None:
                self.decoded.forget(change.key)
        segments = self._segments.copy()
        for name, of_segment in touched.items():
            segment = segments[name].changed(of_segment) if name in segments else Segment({}).changed(of_segment)
            if segment.items:
                segments[name] = segment
            else:
                segments.pop(name, None)
        return MirrorSnapshot(self.prefix, revision, segments, self.decoded)

    def replaced(self, revision: int, items: Mapping[str, Item]) -> MirrorSnapshot:
        """A whole new picture that keeps each segment (and what was made of it) that looks the same in both."""
        segments = _segments(self.prefix, items)
        for name, segment in segments.items():
            known = self._segments.get(name)
            if known is not None and known.items == segment.items:
                segments[name] = known
        return MirrorSnapshot(self.prefix, revision, segments, Decoded())


def segment_of(prefix: str, key: str) -> str:
    """The folder below `prefix` that `key` is kept in: at most `SEGMENT_DEPTH` names deep."""
    end = len(prefix)
    for _ in range(SEGMENT_DEPTH):
        slash = key.find("/", end)
        if slash < 0:
            break
        end = slash + 1
    return key[len(prefix) : end]


def _is_within(root: str, name: str, prefix: str) -> bool:
    """Whether every key that begins with `prefix` is in the segment `name`."""
    return name.count("/") == SEGMENT_DEPTH and prefix.startswith(root + name)


def _segments(prefix: str, items: Mapping[str, Item]) -> dict[str, Segment]:
    parts: dict[str, dict[str, Item]] = {}
    for key, item in items.items():
        parts.setdefault(segment_of(prefix, key), {})[key] = item
    return {name: Segment(part) for name, part in parts.items()}
