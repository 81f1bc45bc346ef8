"""is-leader, leader-get, leader-set."""

from __future__ import annotations

from tenure.agent.tools.arguments import FILE, ToolError, UsageError, key_value_file, key_values
from tenure.agent.tools.base import Call, Timed, Tool, one_line
from tenure.agent.tools.output import go_quote
from tenure.errors import TenureError


async def is_leader(call: Call) -> Timed:
    """True only when the unit surely leads for the guarantee more, counted from when it is printed."""
    if call.caller.too_late:
        call.context.leader.say_no()
    leads, print_until = await call.context.is_leader()
    return Timed(leads, print_until)


async def leader_get(call: Call) -> object:
    """All settings, or the value of one."""
    key = call.arguments[0] if call.arguments else "-"
    if "=" in key:
        raise UsageError(f"invalid key {go_quote(key)}")
    try:
        settings = await call.context.settings()
    except TenureError as error:
        raise ToolError(f"cannot read leadership settings: cannot read settings: {one_line(error)}") from None
    return dict(settings) if key in ("-", "") else settings.get(key)


async def leader_set(call: Call) -> None:
    """Fenced, and landed when it returns."""
    given = key_values(call.arguments)
    if name := call.options["file"]:
        given = {**await key_value_file(call.caller.read(name), name), **given}
    try:
        await call.context.set_settings(given)
    except TenureError as error:
        raise ToolError(f"cannot write leadership settings: cannot write settings: {one_line(error)}") from None


TOOLS = (
    Tool(
        "is-leader",
        is_leader,
        "Print application leadership status.",
        "is-leader prints a boolean indicating whether the local unit is guaranteed to be application leader for at\n"
        "least the guarantee's length more: 30 seconds, or half of the lease that the application was deployed with.\n"
        "If it fails, you should assume that there is no such guarantee. In one hook, the first False stays, and a\n"
        "True is for the term of the first True.",
        output="smart",
    ),
    Tool(
        "leader-get",
        leader_get,
        "Print application leadership settings.",
        "leader-get prints the value of a leadership setting specified by key. If no key is given, or if\n"
        'the key is "-", all keys and values are printed.',
        synopsis="[<key>]",
        output="smart",
        most_arguments=1,
    ),
    Tool(
        "leader-set",
        leader_set,
        "Write application leadership settings.",
        "leader-set immediately writes the supplied key/value pairs, all or none of them. It fails if called\n"
        "without arguments by a unit that is not the leader, or in any term but that of the hook's first True.\n"
        "An empty value removes the key. --file is Tenure's own: it takes what is too large, or too secret, for\n"
        "an argument; pairs given as arguments win over it.",
        synopsis="<key>=<value> [...]",
        options=(FILE,),
        most_arguments=None,
    ),
)
