"""juju-log."""

from __future__ import annotations

from tenure.agent.context import HookContext
from tenure.agent.tools.arguments import IGNORED_FORMAT, Option, UsageError
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


async def juju_log(call: Call) -> None:
    """In the unit's log when it returns. What isn't UTF-8 is shown as escapes, for a log is for people."""
    context: HookContext = call.context
    if not call.arguments:
        raise UsageError("no message specified")
    level = "DEBUG" if call.options["debug"] else call.options["log-level"].upper()
    if level not in LEVELS:
        context.place.log("WARNING", f"log level {go_quote(call.options['log-level'])} is unknown: INFO is used")
        level = "INFO"
    message = " ".join(call.arguments).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    hook = context.hook
    prefix = f"{hook.relation_id}: " if hook is not None and hook.relation_id else ""
    context.place.log(level, prefix + message)


TOOLS = (
    Tool(
        "juju-log",
        juju_log,
        "Write a message to the juju log.",
        "The arguments are joined by spaces. An unknown level is INFO.",
        synopsis="<message>",
        options=(
            Option(("debug",), "bool", help="log at debug level"),
            Option(("log-level", "l"), default="INFO", help="Send log message at the given level"),
            IGNORED_FORMAT,
        ),
        most_arguments=None,
    ),
)
