"""All that a store holds of Tenure's, as a file; and the file in a store of any engine again.

What lives on leases isn't in it (who is present, who holds what): after a restore every office is vacant, and the terms
that lasted count as run out. Requests and the ids of operators' commits are left out too: what was asked in one life of
a model must not be done in another.

The file is text, one JSON document a line: a header, a line for each key, and an end that counts them, so that a file
which was cut short is told from a whole one. It holds settings and databags: it is for its owner's eyes alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from tenure.errors import BadInput, StoreUnreachable
from tenure.model.layout import CHARMS_ROOT, ROOT
from tenure.model.records import Unit, decode, encode
from tenure.model.walltime import now_text
from tenure.office import records as office
from tenure.office.records import Last
from tenure.store.advance import advance
from tenure.store.api import Item, Put, Refused, Store, absent

FORMAT = 1

MARGIN = 10_000
"""Revisions that a restored store skips beyond the backup's own: as many changes may have been made after it unseen."""

_WRITES_AT_ONCE = 64
_BYTES_AT_ONCE = 512 * 1024
_COMMON = ROOT.rstrip("/")
"""What both roots begin with: read together, they are of one instant."""

Progress = Callable[[str], None]
Line = TypeVar("Line", bound=msgspec.Struct)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line."""

    tenure_backup: int
    """The file's format."""
    revision: int
    """Of the store that it was made from: no term has a greater number, unless it began later."""
    store: str
    """That store's engine."""
    made: str
    models: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file: a key."""

    key: str
    value: bytes


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The file's last line."""

    keys: int


@dataclass(frozen=True, slots=True)
class Backup:
    """A file's content."""

    header: Header
    entries: tuple[Entry, ...]


async def take(store: Store) -> Backup:
    """All of Tenure's in the store, at one revision, whatever its agents do meanwhile. Raises Unsure's kinds, StoreBroken."""
    snapshot = await store.read(_COMMON)
    entries = tuple(Entry(key=item.key, value=_lasting(item)) for item in snapshot.items.values() if _is_kept(item))
    models = {entry.key[len(ROOT) :].partition("/")[0] for entry in entries if entry.key.startswith(ROOT)}
    header = Header(
        tenure_backup=FORMAT,
        revision=snapshot.revision,
        store=store.traits.name,
        made=now_text(),
        models=tuple(sorted(models)),
    )
    return Backup(header, entries)


def write(backup: Backup, path: Path) -> None:
    """The backup in a file that is whole or not there, its owner's alone. Raises BadInput (it is there already, the disk)."""
    lines = (msgspec.json.encode(line) for line in (backup.header, *backup.entries, End(keys=len(backup.entries))))
    written = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.writelines(line + b"\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.link(written, path)
    except FileExistsError:
        raise BadInput(f"{path} is there already", hint="name a file that isn't") from None
    except OSError as error:
        raise BadInput(f"{path} can't be written: {error.strerror}") from None
    finally:
        written.unlink(missing_ok=True)


def load(path: Path) -> Backup:
    """What `write` has written. Raises BadInput, naming the line, for any other file and for one that was cut short."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}") from None
    header = _line(path, lines, 1, Header)
    if header.tenure_backup > FORMAT:
        raise BadInput(f"{path} was written by a newer Tenure (format {header.tenure_backup})", hint="use that one")
    end = _line(path, lines, len(lines), End) if len(lines) > 1 else None
    if end is None or end.keys != len(lines) - 2:
        raise BadInput(
            f"{path}, line {len(lines)}: the backup ends in the middle", hint="it was cut short; take another"
        )
    return Backup(header, tuple(_line(path, lines, number, Entry) for number in range(2, len(lines))))


async def restore(store: Store, backup: Backup, *, beyond: int = MARGIN, progress: Progress = lambda text: None) -> int:
    """The backup's models in a store that has none of them; returns the revision from which term numbers go on.

    Numbers are moved on first: by `beyond` past the backup's, so that no term gets a number that one had after it. Cut
    short and begun again, it goes on. Raises BadInput when the store has other keys of Tenure's, Unsure's kinds.
    """
    there = (await store.read(_COMMON)).items
    wanted = {entry.key: entry.value for entry in backup.entries}
    other = [key for key, item in there.items() if wanted.get(key) != item.value and not _is_scratch(key)]
    if other:
        raise BadInput(
            f"the store has something of Tenure's already, {other[0]} among it; nothing was changed",
            hint="restore into a store that has nothing of Tenure's",
        )
    newest = await advance(
        store, backup.header.revision + beyond, lambda done, of: progress(f"revision {done} of {of} …")
    )
    done = 0
    missing = [entry for entry in _in_order(backup.entries) if entry.key not in there]
    for part in _parts(missing):
        puts = [Put(entry.key, entry.value) for entry in part]
        outcome = await store.commit([absent(entry.key) for entry in part], puts)
        if isinstance(outcome, Refused):
            raise StoreUnreachable(
                "somebody else writes to the store while it is restored", hint="end all agents first"
            )
        done += len(part)
        progress(f"{done} of {len(missing)} keys …")
    return newest


def _is_kept(item: Item) -> bool:
    if item.lease:
        return False
    if item.key.startswith(CHARMS_ROOT):
        return True
    parts = item.key.removeprefix(ROOT).split("/") if item.key.startswith(ROOT) else []
    return len(parts) > 1 and parts[1] != "ids" and "requests" not in parts[2:-1]


def _is_scratch(key: str) -> bool:
    return not key.startswith((ROOT, CHARMS_ROOT))


def _lasting(item: Item) -> bytes:
    """What the key says, where it speaks of revisions: in a store whose revisions are others."""
    parts = item.key.split("/")
    if item.key.startswith(CHARMS_ROOT):
        return item.value
    if parts[-1] == "last" and "offices" in parts:
        last = office.decode(Last, item)
        number = office.number_of(item, last)
        return office.encode(msgspec.structs.replace(last, term=number, successor=""))
    if parts[-1] == "info" and "units" in parts:
        unit = decode(Unit, item.value, item.key)
        return encode(msgspec.structs.replace(unit, born=unit.born or item.create_revision))
    return item.value


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    """What other keys lean on comes last: an application, then a model, is there once all of it is."""

    def depth(entry: Entry) -> int:
        parts = entry.key.split("/")
        if entry.key.startswith(CHARMS_ROOT) or parts[-1] != "info":
            return 0
        return {4: 3, 6: 2}.get(len(parts), 1)

    return sorted(entries, key=depth)


def _parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        if part and (len(part) == _WRITES_AT_ONCE or size + len(entry.value) > _BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.value)
    if part:
        yield part


def _line(path: Path, lines: Sequence[bytes], number: int, kind: type[Line]) -> Line:
    try:
        return msgspec.json.decode(lines[number - 1] if lines else b"", type=kind)
    except msgspec.MsgspecError:
        what = "this is no backup" if kind is Header else "the backup is damaged, or was cut short"
        raise BadInput(f"{path}, line {number}: {what}", hint="`tenure store backup FILE` makes one") from None
