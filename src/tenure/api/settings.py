"""What units share, as a mapping that is always as new as the mirror is, with a watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from types import MappingProxyType

from tenure.model.mirror import Mirror
from tenure.model.snapshot import MirrorSnapshot
from tenure.store.api import Item

Read = Callable[[MirrorSnapshot], tuple[Mapping[str, str], Item | None]]


class Settings(Mapping[str, str]):
    """Texts by their names, as the newest snapshot of the store that has come here shows them.

    Promises: whoever has written here sees it at once; what others have written is seen within milliseconds, while the
    store answers. All names are of one revision for as long as no `await` comes between: what was written as a group is
    seen whole or not at all. Reading is free: it never waits, and raises nothing but KeyError.
    """

    def __init__(self, mirror: Mirror, read: Read) -> None:
        self._mirror, self._read = mirror, read

    def __getitem__(self, name: str) -> str:
        return self._now()[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now()[0])

    def __len__(self) -> int:
        return len(self._now()[0])

    def __repr__(self) -> str:
        # Values may be secrets, and what is printed lands in logs.
        return f"<Settings of revision {self.revision}: {', '.join(self) or 'none'}>"

    @property
    def revision(self) -> int:
        """The store's revision at which they were last written; 0: never. It grows with each change."""
        item = self._now()[1]
        return 0 if item is None else item.mod_revision

    async def changes(self) -> AsyncGenerator[Mapping[str, str], None]:
        """The settings as they are now, then again after each change: `async for settings in unit.settings.changes()`.

        Promises: each mapping is of one revision, doesn't change any more, and is newer than the one before. Whoever is
        slow gets the newest, not each one. Times: none; it goes on until the connection is closed, and then ends.
        Cancelling: at any time. Raises: nothing of its own; while the store is silent there is no news.
        """
        shown: int | None = None
        async with aclosing(self._mirror.after(-1)) as snapshots:
            async for snapshot in snapshots:
                values, item = self._read(snapshot)
                revision = 0 if item is None else item.mod_revision
                if revision != shown:
                    shown = revision
                    yield MappingProxyType(dict(values))

    def _now(self) -> tuple[Mapping[str, str], Item | None]:
        return self._read(self._mirror.current)
