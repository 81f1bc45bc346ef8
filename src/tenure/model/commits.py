"""Commits whose answer may be lost: sent again until it is known whether they have landed, and never landing twice.

Each carries an id that the store keeps, and compares what it was made from. So the same commit, sent again, is either
new, or refused by its own first copy, whose id the refusal shows; a copy that arrives late is refused likewise.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence

from tenure.errors import StoreUnreachable, StoreUnsure, TenureError
from tenure.model.layout import Layout
from tenure.store.api import Committed, Compare, Delete, Item, Put, Refused, Store, Write, absent

SEND_MOST = 6
"""How often a commit is sent before its outcome is left unsure; with the waits between, about three seconds."""

RETRY_FIRST_S = 0.1

KEEP_IDS = 100
"""Ids of landed commits that are kept: a late copy of an older one is refused by what else it compares."""


def new_id() -> str:
    """An id that no other commit has."""
    return uuid.uuid4().hex


async def commit_surely(
    store: Store, when: Sequence[Compare], then: Sequence[Write], landed: Callable[[Refused], int | None]
) -> Committed | Refused:
    """One transaction, done or refused. `landed`: at which revision a refusal shows that an earlier copy has landed, if so.

    Raises StoreUnsure when the store stays silent after a copy was sent, StoreUnreachable when none was, and what `commit` raises.
    """
    unsure: StoreUnsure | None = None
    wait_s = RETRY_FIRST_S
    for attempt in range(SEND_MOST):
        if attempt:
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s *= 2
        try:
            outcome = await store.commit(when, then)
        except StoreUnsure as error:
            unsure = error
        except StoreUnreachable:
            if unsure is None:
                raise
        except TenureError as error:
            if unsure is None:
                raise
            raise StoreUnsure(unsure.message, hint=unsure.hint) from error
        else:
            revision = landed(outcome) if isinstance(outcome, Refused) else None
            return outcome if revision is None else Committed(revision)
    assert unsure is not None
    raise unsure


async def commit_with_id(
    store: Store, layout: Layout, when: Sequence[Compare], then: Sequence[Write], known_ids: Sequence[Item] = ()
) -> Committed | Refused:
    """One transaction on keys that many write, with an id key of its own. `known_ids`: those kept so far, to tidy up.

    Raises as `commit_surely`.
    """
    key = layout.commit_id(new_id())
    surplus = sorted(known_ids, key=lambda item: item.mod_revision)[: max(0, len(known_ids) - KEEP_IDS)][:10]

    def landed(refused: Refused) -> int | None:
        mine = refused.current.get(key)
        return None if mine is None else mine.mod_revision

    return await commit_surely(
        store, [absent(key), *when], [Put(key, b"{}"), *then, *(Delete(item.key) for item in surplus)], landed
    )
