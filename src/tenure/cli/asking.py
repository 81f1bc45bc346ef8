"""Asking a unit's own agent: through its control socket on the host that it runs on, through the store from any other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from tenure.errors import No, TenureError, Unsure

if TYPE_CHECKING:
    from tenure.cli.shared import Settings
    from tenure.model.mirror import Mirror
    from tenure.model.requests import Kind
    from tenure.model.view import ModelView, UnitView
    from tenure.names import UnitName
    from tenure.store.api import Store

Through = Literal["socket", "store"]

LOSSES_WITHIN_S = 1.0
"""How long an agent may take to say what is only to be shown: a stopped one must not hold up `status`."""


ANSWERS_WITHIN_S = 5.0
"""How long an agent may take to answer through the store."""


async def ask_agent(
    view: ModelView,
    unit: UnitName,
    verb: Literal["is-leader", "explain"],
    way: StoreWay,
    through: Through | None = None,
    within_s: float = ANSWERS_WITHIN_S,
    **arguments: Any,
) -> dict[str, Any]:
    """What the agent of `unit` answers, from its socket or, within `within_s`, through the store. Raises Unsure, saying why."""
    from tenure.agent.wire import call

    try:
        found = view.unit(unit)
        socket = socket_of(found, view, through, command=False)
        if socket is None:
            return await _through_store(view, found, verb, arguments, way, within_s)
        return await call(socket, {"control": verb, "unit": str(unit), **arguments})
    except TenureError as error:
        raise Unsure(error.message) from error


async def _through_store(
    view: ModelView, unit: UnitView, verb: Kind, arguments: dict[str, Any], way: StoreWay, within_s: float
) -> dict[str, Any]:
    from tenure.agent.wire import raised
    from tenure.errors import Lost
    from tenure.model.tasks import asking

    store, model = await way.get()
    try:
        async with asking(store, view.layout, unit, verb, arguments) as asked:
            answer = await asked.follow(model, _unread, within_s)
    except Lost as error:
        raise Unsure(error.why) from None
    if "error" in answer:
        raise Unsure(raised(answer["error"]).message)
    return answer


async def _unread(stream: str, data: bytes) -> None:
    """Such an answer has no output."""


def through_option(function: Any) -> Any:
    """`--through`: how agents are asked."""
    return click.option(
        "--through",
        type=click.Choice(["socket", "store"]),
        help="How an agent is asked.  [default: its socket, where that is on this host, else the store]",
    )(function)


def socket_of(unit: UnitView, view: ModelView, through: Through | None, *, command: bool = True) -> str | None:
    """Where the agent of `unit` is to be asked on this host; None: through the store. `command`: to run one.

    Raises Unsure, No: it can't be asked.
    """
    from tenure.clock import boot_id

    name = unit.info.machine
    nothing = ": nothing was run" if command else ""
    if unit.info.program:
        who = f"its program, {unit.info.program}"
        raise Unsure(f"nothing can be run in {who}" if command else f"only {who}, can vouch for it")
    if name is None:
        raise Unsure(f"it waits for a machine{nothing}")
    machine = view.machines.get(name)
    if machine is None:
        raise Unsure(f"the agent of {name} is lost{nothing}" if command else "its agent is away")
    if command and os.environ.get("JUJU_CONTEXT_ID") and os.environ.get("JUJU_MACHINE_ID") == name:
        raise No("this is a hook of the same machine, and would wait for its own end: nothing was run")
    if through == "store":
        return None
    # One kernel may run several hosts' containers: there the socket isn't to be seen.
    here = machine.boot_id == boot_id() and os.path.exists(machine.socket)
    if not here and through == "socket":
        raise Unsure(f"its agent is on the host {machine.host}, out of its socket's reach{nothing}")
    return machine.socket if here else None


async def ask_leader(
    view: ModelView, unit: UnitName, span_s: float | None, way: StoreWay, through: Through | None
) -> dict[str, Any]:
    """What the agent of `unit` answers to is-leader, of which `span_s` (None: the guarantee) are left until `print_until`.

    That is an instant of this host's, None in an answer that is no yes: whoever says yes looks at the clock first.
    Through the store it comes late: `office/late.py` has what is left of it then. Raises Unsure, saying why, when it
    can't be known; BadInput.
    """
    from tenure.clock import Instant, KernelClock, ns
    from tenure.office.late import asked_for_s, left_on_arrival_s

    found = view.unit(unit)
    try:
        socket = socket_of(found, view, through, command=False)
    except Unsure:
        socket = ""
    if socket is not None:
        answer = await ask_agent(view, unit, "is-leader", way, through, for_s=span_s)
        return answer | {"print_until": Instant(*answer["print_until"]) if answer["print_until"] else None}
    timing = view.application(unit.application).info.timing
    for_s, within_s = asked_for_s(timing, span_s)
    await way.get()
    clock = KernelClock()
    sent = clock.now()
    answer = await _through_store(view, found, "is-leader", {"for_s": for_s}, way, within_s)
    arrived = clock.now()
    if answer["verdict"] == "yes":
        answer |= {name: left_on_arrival_s(answer[name], sent, arrived) for name in ("surely_left_s", "owed_s")}
        wanted_s = timing.guarantee_s if span_s is None else span_s
        if min(answer["surely_left_s"], answer["owed_s"]) < wanted_s:
            raise Unsure(f"its answer came too late through the store to leave {wanted_s:g} s of it")
        left_s = min(answer["surely_left_s"], answer["owed_s"])
        answer["print_until"] = arrived.after(ns(left_s - wanted_s))
    return answer


@dataclass
class StoreWay:
    """What is needed to ask through the store: opened when it is first needed."""

    settings: Settings
    _closing: contextlib.AsyncExitStack
    _open: tuple[Store, Mirror] | None = None

    async def get(self) -> tuple[Store, Mirror]:
        """The store, and a mirror of the model."""
        from tenure.cli import shared

        if self._open is None:
            self._open = await self._closing.enter_async_context(shared.mirrored(self.settings))
        return self._open


@contextlib.asynccontextmanager
async def store_way(settings: Settings) -> AsyncIterator[StoreWay]:
    """The way through the store, for the length of a block."""
    async with contextlib.AsyncExitStack() as closing:
        yield StoreWay(settings, closing)


async def ask_losses(view: ModelView) -> dict[str, float]:
    """For how many seconds machines' agents have been lost, as agents on this host have seen it; empty when none can be asked."""
    import asyncio

    from tenure.agent.wire import call
    from tenure.clock import boot_id

    async def ask(socket: str) -> dict[str, float]:
        try:
            seen = (await call(socket, {"control": "losses"}, LOSSES_WITHIN_S))["machines"]
        except TenureError:
            return {}
        return {str(name): float(seconds) for name, seconds in seen.items()}

    here = boot_id()
    answers = await asyncio.gather(*(ask(one.socket) for one in view.machines.values() if one.boot_id == here))
    longest: dict[str, float] = {}
    for name, seconds in (pair for answer in answers for pair in answer.items()):
        longest[name] = max(seconds, longest.get(name, 0.0))
    return {name: seconds for name, seconds in longest.items() if name not in view.machines}
