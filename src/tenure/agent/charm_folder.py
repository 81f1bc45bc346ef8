"""Gets a unit's charm from the store into its folder: whole or not at all, and once, for what its hooks keep there is theirs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tenure.model.layout import Layout
from tenure.store.api import Store


async def ensure_charm(store: Store, layout: Layout, digest: str, folder: Path) -> None:
    """Have the charm in `folder`. Raises StoreBroken (not in the store, not whole), Unsure's kinds, OSError (the disk)."""
    if await asyncio.to_thread(os.path.lexists, folder):
        return
    # Only now: what reads charms reads YAML, too, and an agent that has its charms needs neither.
    from tenure.model.charms import fetch, unpack

    archive = await fetch(store, layout, digest)
    await asyncio.to_thread(unpack, archive, folder)
