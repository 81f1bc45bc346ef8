"""Asking a unit's own agent, through its control socket: only on the host that it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.errors import TenureError, Unsure

if TYPE_CHECKING:
    from tenure.model.view import ModelView
    from tenure.names import UnitName

LOSSES_WITHIN_S = 1.0
"""How long an agent may take to say what is only to be shown: a stopped one must not hold up `status`."""


async def ask_agent(view: ModelView, unit: UnitName, verb: str, **arguments: Any) -> dict[str, Any]:
    """What the agent of `unit` answers. Raises Unsure, saying why, when it can't be asked."""
    from tenure.agent.wire import call
    from tenure.clock import boot_id

    info = view.unit(unit).info
    if info.program:
        raise Unsure(f"only its program, {info.program}, can vouch for it")
    name = info.machine
    machine = view.machines.get(name) if name is not None else None
    if machine is None:
        raise Unsure("its agent is away" if name is not None else "it waits for a machine")
    if machine.boot_id != boot_id():
        raise Unsure(f"only its agent, on the host {machine.host}, can vouch for it")
    try:
        return await call(machine.socket, {"control": verb, "unit": str(unit), **arguments})
    except TenureError as error:
        raise Unsure(error.message) from error


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
