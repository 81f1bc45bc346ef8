"""A lease for the length of a block: what a command of a person's puts with it goes when the command goes, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tenure.errors import LeaseLost, TenureError, Unsure
from tenure.store.api import Store

COMMAND_TTL_S = 15
"""How long a command's death goes unnoticed, and how long the store may be silent meanwhile."""

RENEW_EVERY_S = 3.0

REVOKE_WITHIN_S = 2.0
"""How long a command that ends tries to give its lease back; it ends by itself otherwise."""


@contextlib.asynccontextmanager
async def leased(store: Store) -> AsyncIterator[tuple[int, asyncio.Future[None]]]:
    """A lease, and a future that is done when it is lost, or may be. Raises Unsure's kinds."""
    lease = (await store.grant(COMMAND_TTL_S)).lease
    lost = asyncio.ensure_future(_renew(store, lease))
    try:
        yield lease, lost
    finally:
        lost.cancel()
        with contextlib.suppress(TenureError, TimeoutError):
            async with asyncio.timeout(REVOKE_WITHIN_S):
                await store.revoke(lease)


async def _renew(store: Store, lease: int) -> None:
    """Return when the lease is lost, or may be."""
    loop = asyncio.get_running_loop()
    renewed = loop.time()
    while loop.time() - renewed < COMMAND_TTL_S:
        await asyncio.sleep(RENEW_EVERY_S)
        sent = loop.time()
        try:
            async with asyncio.timeout(RENEW_EVERY_S):
                await store.renew(lease)
        except LeaseLost:
            return
        except (Unsure, TimeoutError):
            continue
        renewed = sent
