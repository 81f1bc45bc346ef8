"""state-get, state-set, state-delete: what a charm keeps of its unit from one hook to the next, in the model."""

from __future__ import annotations

from collections.abc import Mapping

from tenure.agent.context import HookContext
from tenure.agent.tools.arguments import FILE, Option, ToolError, UsageError, key_value_file, key_values
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote

KEY_MAX, VALUE_MAX = 256, 64 * 1024
"""Bytes. Juju's figures."""


async def state_get(call: Call) -> object:
    """All of the unit's state, or the value of one key of it, with what the hook itself has set."""
    context: HookContext = call.context
    key = call.arguments[0] if call.arguments else "-"
    state = context.state()
    if key in ("-", ""):
        return dict(state)
    if call.options["strict"] and key not in state:
        raise ToolError(f"{go_quote(key)} not found")
    return state.get(key, "")


async def state_set(call: Call) -> None:
    """Buffered until the hook has succeeded."""
    context: HookContext = call.context
    given = key_values(call.arguments)
    if name := call.options["file"]:
        given = {**await key_value_file(call.caller.read(name), name), **given}
    _check(given)
    context.change_state(given)


async def state_delete(call: Call) -> None:
    """Buffered, too; a key that isn't there is none."""
    context: HookContext = call.context
    if call.arguments:
        context.change_state({call.arguments[0]: ""})


def _check(given: Mapping[str, str]) -> None:
    for key, value in given.items():
        if not key:
            raise UsageError("a key is empty")
        if len(key.encode()) > KEY_MAX:
            raise ToolError(f"the key {go_quote(key[:40])}... is longer than {KEY_MAX} bytes")
        if len(value.encode()) > VALUE_MAX:
            raise ToolError(f"the value of {go_quote(key)} is longer than {VALUE_MAX} bytes")


TOOLS = (
    Tool(
        "state-get",
        state_get,
        "Print server-side-state value.",
        'state-get prints the value of the unit\'s state specified by key. If no key is given, or if the key is "-",\n'
        "all keys and values are printed.",
        synopsis="[<key>]",
        options=(Option(("strict",), "bool", help="Return an error if the requested key does not exist"),),
        output="smart",
        most_arguments=1,
    ),
    Tool(
        "state-set",
        state_set,
        "Set server-side-state values.",
        "state-set keeps the supplied key/value pairs in the model, once the hook has succeeded. An empty value\n"
        "removes the key. --file is read at once; pairs given as arguments win over it.",
        synopsis="<key>=<value> [...]",
        options=(FILE,),
        most_arguments=None,
    ),
    Tool(
        "state-delete",
        state_delete,
        "Delete server-side-state key value pairs.",
        "state-delete removes a key of the unit's state, once the hook has succeeded.",
        synopsis="<key>",
        most_arguments=1,
    ),
)
