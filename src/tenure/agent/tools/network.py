"""unit-get."""

from __future__ import annotations

from tenure.agent.context import HookContext
from tenure.agent.tools.arguments import ToolError, UsageError
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote

KINDS = ("private-address", "public-address")


async def unit_get(call: Call) -> str:
    """The machine's address: a host has no other public one that Tenure would know of."""
    context: HookContext = call.context
    if not call.arguments:
        raise UsageError("no setting specified")
    kind = call.arguments[0]
    if kind not in KINDS:
        raise UsageError(f"unknown setting {go_quote(kind)}")
    machine = context.view.machines.get(context.place.machine)
    if machine is None or not machine.addresses:
        raise ToolError(f"{kind.replace('-', ' ')} not found")
    return machine.addresses[0]


TOOLS = (
    Tool(
        "unit-get",
        unit_get,
        "Print public-address or private-address.",
        "Both print the first address of the unit's machine.",
        synopsis="<setting>",
        output="smart",
        most_arguments=1,
    ),
)
