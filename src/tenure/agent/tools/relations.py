"""relation-ids, relation-list, relation-get, relation-set, relation-model-get."""

from __future__ import annotations

from collections.abc import Mapping

from tenure.agent.context import HookContext
from tenure.agent.tools.arguments import (
    FILE,
    IGNORED_FORMAT,
    RELATION,
    Option,
    ToolError,
    UsageError,
    key_value_file,
    key_values,
)
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote
from tenure.errors import BadInput
from tenure.model.records import Endpoint, Relation
from tenure.names import UnitName


async def relation_ids(call: Call) -> list[str]:
    """The relations of one endpoint that the unit has been told of, but those that are dying and left by everybody."""
    context: HookContext = call.context
    hook = context.hook
    endpoint = call.arguments[0] if call.arguments else (hook.endpoint if hook else "")
    if not endpoint:
        raise UsageError("no endpoint name specified")
    found = []
    for number, members in context.told.items():
        if not context.relation_known(number):
            continue
        info = context.relation(number).info
        if _own_end(context, info).name == endpoint and (info.life == "alive" or members or _is_peer(info)):
            found.append(f"{endpoint}:{number}")
    return sorted(found)


async def relation_list(call: Call) -> object:
    """The remote units, as of the hook; with --app the remote application."""
    context: HookContext = call.context
    relation = _relation(call)
    if call.options["app"]:
        return _remote_application(context, relation)
    return sorted(context.told.get(relation, frozenset()) - {str(context.unit)})


async def relation_get(call: Call) -> object:
    """A databag, or the value of one key of it."""
    context: HookContext = call.context
    relation = _relation(call)
    key = call.arguments[0] if call.arguments else "-"
    bag = await _bag(context, relation, _whose(call))
    return dict(bag) if key in ("-", "") else bag.get(key)


def _whose(call: Call) -> str:
    """The unit (it has a slash) or application whose databag is asked for."""
    context: HookContext = call.context
    hook = context.hook
    as_application = call.options["app"]
    whose = call.arguments[1] if len(call.arguments) > 1 else ""
    if not whose and hook is not None:
        whose = hook.remote_unit
        if not whose and hook.remote_application:
            whose, as_application = hook.remote_application, True
    if not whose:
        raise UsageError("no unit or application specified")
    if as_application:
        return whose.partition("/")[0]
    if "/" not in whose:
        raise UsageError(f"expected unit name, got application name {go_quote(whose)}")
    return whose


async def _bag(context: HookContext, relation: int, whose: str) -> Mapping[str, str]:
    info = context.relation(relation).info
    if whose == str(context.unit):
        return context.own_bag(relation)
    application, _, number = whose.partition("/")
    if application not in {end.application for end in info.endpoints}:
        raise ToolError("permission denied")
    if not number:
        if application != context.application:
            return context.relation(relation).application_bag(application)
        leads, _ = await context.is_leader()
        if not leads and not _is_peer(info):
            raise ToolError("permission denied")
        return await context.own_application_bag(relation)
    try:
        unit = UnitName.parse(whose)
    except BadInput:
        raise UsageError(f"invalid unit name {go_quote(whose)}") from None
    if application == context.application and not _is_peer(info):
        raise ToolError("permission denied")
    bag = context.relation(relation).unit_bag(unit)
    if bag is not None:
        return bag
    # A unit that has left stays readable, as it was last told of; where even that isn't known, it is no error then.
    last = context.place.last_bag(relation, whose)
    if not last and not _departs(context, whose):
        relation_name = f"{_own_end(context, info).name}:{relation}"
        raise ToolError(
            f"cannot read settings for unit {go_quote(whose)} in relation {go_quote(relation_name)}: "
            f"unit {go_quote(whose)}: settings not found"
        )
    return last


def _departs(context: HookContext, unit: str) -> bool:
    return context.hook is not None and unit in (context.hook.remote_unit, context.hook.departing_unit)


async def relation_set(call: Call) -> None:
    """Buffered until the hook has succeeded."""
    context: HookContext = call.context
    relation = _relation(call)
    given = key_values(call.arguments)
    if name := call.options["file"]:
        given = {**await key_value_file(call.caller.read(name), name), **given}
    if call.options["app"]:
        leads, _ = await context.is_leader()
        if not leads:
            raise ToolError("cannot write relation settings")
        context.change_application_bag(relation, given)
    elif given:
        context.change_own_bag(relation, given)


async def relation_model_get(call: Call) -> dict[str, str]:
    """The remote side's model: always this one, for relations don't leave it."""
    _relation(call)
    info = call.context.view.info
    return {"uuid": info.uuid if info is not None else ""}


def _relation(call: Call) -> int:
    given: int | None = call.options["relation"]
    if given is not None:
        return given
    hook = call.context.hook
    if hook is None or hook.relation is None:
        raise UsageError("no relation id specified")
    number: int = hook.relation
    if not call.context.relation_known(number):
        raise ToolError("permission denied")
    return number


def _is_peer(info: Relation) -> bool:
    return info.endpoints[0].role == "peer"


def _own_end(context: HookContext, info: Relation) -> Endpoint:
    return next(end for end in info.endpoints if end.application == context.application)


def _remote_application(context: HookContext, relation: int) -> str:
    ends = context.relation(relation).info.endpoints
    return next((end.application for end in ends if end.application != context.application), context.application)


_APP = Option(("app",), "bool", help="Get the relation data for the overall application, not just a unit")

TOOLS = (
    Tool(
        "relation-ids",
        relation_ids,
        "List all relation IDs for the given endpoint.",
        "Without an endpoint, that of the hook's relation is meant.",
        synopsis="[<endpoint>]",
        output="smart",
        most_arguments=1,
    ),
    Tool(
        "relation-list",
        relation_list,
        "List relation units.",
        "-r must be specified when not in a relation hook.",
        options=(Option(("app",), "bool", help="List remote application instead of participating units"), RELATION),
        output="smart",
    ),
    Tool(
        "relation-get",
        relation_get,
        "Get relation settings.",
        "relation-get prints the value of a unit's relation setting, specified by key. If no key is given, or if\n"
        'the key is "-", all keys and values are printed. A remote unit\'s settings are those that stood when the\n'
        "hook began, and the own unit's those with what the hook has set.",
        synopsis="[<key>|-] [<unit>|<application>]",
        options=(_APP, RELATION),
        output="smart",
        most_arguments=2,
    ),
    Tool(
        "relation-set",
        relation_set,
        "Set relation settings.",
        "relation-set writes the local unit's settings for a relation, or with --app, on the leader, the\n"
        "application's, once the hook has succeeded. An empty value removes the key. --file is read at once; pairs\n"
        "given as arguments win over it.",
        synopsis="<key>=<value> [...]",
        options=(
            Option(("app",), "bool", help="pick whether you are setting application data or unit data"),
            RELATION,
            FILE,
            IGNORED_FORMAT,
        ),
        most_arguments=None,
    ),
    Tool(
        "relation-model-get",
        relation_model_get,
        "Get details about the model housing a related application.",
        "-r must be specified when not in a relation hook.",
        options=(RELATION,),
        output="smart",
    ),
)
