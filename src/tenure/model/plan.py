"""An operator's change: made from a fresh reading, in one transaction, and made anew when somebody else was faster."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenure.errors import StoreBroken, StoreUnreachable
from tenure.model.commits import commit_with_id
from tenure.model.layout import Layout
from tenure.model.records import FORMAT, ModelInfo, encode
from tenure.model.view import ModelView, read_model
from tenure.store.api import Committed, Compare, Put, Store, Write, absent

T = TypeVar("T")

ATTEMPTS = 30
UNITS_AT_ONCE = 40
"""Units that one transaction makes or removes: with what goes with each, within the store's limit."""


@dataclass(slots=True)
class Plan(Generic[T]):
    """One transaction, and what to tell whoever asked for it once it has landed. Without writes nothing is sent."""

    result: T
    when: list[Compare] = field(default_factory=list)
    then: list[Write] = field(default_factory=list)


async def carry_out(
    store: Store, layout: Layout, make: Callable[[ModelView], Plan[T] | Awaitable[Plan[T]]]
) -> tuple[T, int]:
    """Make a plan from the model as it stands and commit it, again and again until nobody came between.

    Returns its result and the revision at which it landed. Raises what `make` raises, StoreUnsure, StoreUnreachable, StoreBroken.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(random.uniform(0, 0.002 * attempt))
        view = await read_model(store, layout)
        check_format(view)
        made = make(view)
        plan = made if isinstance(made, Plan) else await made
        if not plan.then:
            return plan.result, view.revision
        outcome = await commit_with_id(store, layout, plan.when, plan.then, view.commit_ids)
        if isinstance(outcome, Committed):
            return plan.result, outcome.revision
    raise StoreUnreachable(
        f"others changed the model {ATTEMPTS} times while this was tried; nothing was changed", hint="try again"
    )


def check_format(view: ModelView) -> None:
    """Raises StoreBroken when a newer Tenure has made the model in a way that this one can't read."""
    if view.info is not None and view.info.format > FORMAT:
        raise StoreBroken(
            f'the model "{view.layout.model}" has format {view.info.format}; this Tenure knows up to {FORMAT}',
            hint="use the Tenure that made it, or a newer one",
        )


async def ensure_model(store: Store, layout: Layout) -> ModelInfo:
    """The model's own record, made if nobody has yet. Raises as `carry_out`."""

    def make(view: ModelView) -> Plan[ModelInfo]:
        if view.info is not None:
            return Plan(view.info)
        info = ModelInfo(uuid=str(uuid.uuid4()))
        return Plan(info, [absent(layout.info)], [Put(layout.info, encode(info))])

    return (await carry_out(store, layout, make))[0]
