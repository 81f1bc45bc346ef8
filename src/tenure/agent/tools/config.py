"""config-get."""

from __future__ import annotations

from tenure.agent.context import HookContext
from tenure.agent.tools.arguments import Option, UsageError
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote
from tenure.model.options import effective


async def config_get(call: Call) -> object:
    """The configuration in force when the hook began, typed; what is unset and has no default only with --all."""
    context: HookContext = call.context
    key = call.arguments[0] if call.arguments else ""
    if key and call.options["all"]:
        raise UsageError(f"cannot use argument --all together with key {go_quote(key)}")
    options = effective(context.view.application(context.application).info)
    if key:
        return options.get(key)
    return {name: value for name, value in options.items() if value is not None or call.options["all"]}


TOOLS = (
    Tool(
        "config-get",
        config_get,
        "Print application configuration.",
        "When no <key> is supplied, all keys with values or defaults are printed. With --all, those without either\n"
        "are printed too, as null.",
        synopsis="[<key>]",
        options=(Option(("all", "a"), "bool", help="print all keys"),),
        output="smart",
        most_arguments=1,
    ),
)
