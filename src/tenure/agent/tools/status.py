"""status-set, status-get, application-version-set."""

from __future__ import annotations

from tenure.agent.context import HookContext
from tenure.agent.tools.arguments import Option, ToolError, UsageError, checked_text
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote
from tenure.errors import NotLeader
from tenure.model.records import Said

MAY_SET = ("maintenance", "blocked", "waiting", "active")


async def status_set(call: Call) -> None:
    """In the store when it returns."""
    context: HookContext = call.context
    if not 1 <= len(call.arguments) <= 2:
        raise UsageError("invalid args, require <status> [message]")
    status, message = (*call.arguments, "")[:2]
    if status not in MAY_SET:
        raise UsageError(f"invalid status {go_quote(status)}, expected one of [{' '.join(MAY_SET)}]")
    checked_text(message, "the message")
    if call.options["application"]:
        await context.set_application_status(status, message)
    else:
        await context.place.statuses.set_workload(status, message)


async def status_get(call: Call) -> object:
    """The unit's status, or with --application the application's and that of each unit that is a member now."""
    context: HookContext = call.context
    smart = call.options["format"] == "smart"
    if not call.options["application"]:
        said = context.workload_status()
        if call.options["include-data"]:
            return _full(said)
        return said.status if smart else {"status": said.status}
    try:
        said, units = await context.application_status()
    except NotLeader as error:
        raise ToolError(f"finding application status: {error.message}") from None
    if smart and not call.options["include-data"]:
        return said.status
    full = {**_full(said), "units": {name: _full(of_unit) for name, of_unit in units.items()}}
    return {"application-status": full}


def _full(said: Said) -> dict[str, object]:
    return {"message": said.message, "status": said.status, "status-data": dict(said.data)}


async def application_version_set(call: Call) -> None:
    """The workload's version, in the store when it returns."""
    if not call.arguments:
        raise UsageError("no version specified")
    version = checked_text(call.arguments[0], "the version")
    await call.context.place.statuses.set_version(version)


TOOLS = (
    Tool(
        "status-set",
        status_set,
        "Set status information.",
        "Sets the workload status of the unit, or with --application that of the application, at once. Without a\n"
        "message the message becomes empty. The status is one of maintenance, blocked, waiting, active.",
        synopsis="<maintenance | blocked | waiting | active> [message]",
        options=(Option(("application",), "bool", help="set this status for the application: the leader alone may"),),
        most_arguments=None,
    ),
    Tool(
        "status-get",
        status_get,
        "Print status information.",
        "By default, only the status value is printed. With --application, in JSON and YAML (or with\n"
        "--include-data), what is printed has every unit that is a member of the application now, from its\n"
        "creation until it has left the peer relation. The first answer is kept for the hook.",
        options=(
            Option(
                ("application",), "bool", help="print status for all units of this application: the leader alone may"
            ),
            Option(("include-data",), "bool", help="print all status data"),
        ),
        output="smart",
    ),
    Tool(
        "application-version-set",
        application_version_set,
        "Specify which version of the application is deployed.",
        'An empty version ("") clears it.',
        synopsis="<new-version>",
        most_arguments=1,
    ),
)
