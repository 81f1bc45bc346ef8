"""Asking a unit's own agent, through its control socket: only on the host that it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.errors import TenureError, Unsure

if TYPE_CHECKING:
    from tenure.model.view import ModelView
    from tenure.names import UnitName


async def ask_agent(view: ModelView, unit: UnitName, verb: str, **arguments: Any) -> dict[str, Any]:
    """What the agent of `unit` answers. Raises Unsure, saying why, when it can't be asked."""
    from tenure.agent.wire import call
    from tenure.clock import boot_id

    name = view.unit(unit).info.machine
    machine = view.machines.get(name) if name is not None else None
    if machine is None:
        raise Unsure("its agent is away" if name is not None else "it waits for a machine")
    if machine.boot_id != boot_id():
        raise Unsure(f"only its agent, on the host {machine.host}, can vouch for it")
    try:
        return await call(machine.socket, {"control": verb, "unit": str(unit), **arguments})
    except TenureError as error:
        raise Unsure(error.message) from error
