"""What remove-unit and remove-application say and wait for once units are dying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.cli import shared

if TYPE_CHECKING:
    from tenure.model.removal import Removed
    from tenure.store.api import Store


async def end(
    settings: shared.Settings, store: Store, removed: Removed, *, force: bool, wait: bool, timeout_s: float | None
) -> None:
    """Say what became of the units, and wait until they are gone if that was asked for. Raises TimedOut."""
    from tenure.model.removal import wait_gone

    if removed.gone:
        shared.note(f"removed, for no agent had taken them up: {', '.join(map(str, removed.gone))}")
    if not removed.dying:
        return
    names = ", ".join(map(str, removed.dying))
    if not force and not wait:
        shared.note(f"to end: {names}")
        return
    async with shared.limited(timeout_s, f"the end of {names}; they are dying all the same"):
        await wait_gone(store, settings.layout, removed.dying, force=force, progress=shared.progress)
    shared.note(f"gone: {names}")
