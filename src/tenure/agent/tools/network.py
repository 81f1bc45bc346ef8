"""unit-get, network-get."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from tenure.agent.context import HookContext
from tenure.agent.interfaces import interface_of
from tenure.agent.tools.arguments import RELATION, Option, ToolError, UsageError
from tenure.agent.tools.base import Call, Tool
from tenure.agent.tools.output import go_quote

KINDS = ("private-address", "public-address")
ALWAYS_BOUND = "juju-info"
"""The endpoint that every charm has without saying so."""


async def unit_get(call: Call) -> str:
    """The machine's address: a host has no other public one that Tenure would know of."""
    if not call.arguments:
        raise UsageError("no setting specified")
    kind = call.arguments[0]
    if kind not in KINDS:
        raise UsageError(f"unknown setting {go_quote(kind)}")
    addresses = _addresses(call.context)
    if not addresses:
        raise ToolError(f"{kind.replace('-', ' ')} not found")
    return addresses[0]


async def network_get(call: Call) -> object:
    """The machine's addresses for an endpoint: every endpoint is bound to all of them."""
    context: HookContext = call.context
    if not call.arguments:
        raise UsageError("no arguments specified")
    binding = call.arguments[0]
    addresses = _addresses(context)
    known = {ALWAYS_BOUND, *context.view.application(context.application).info.endpoints}
    if binding not in known or not addresses:
        raise ToolError(f"no network config found for binding {go_quote(binding)}")
    first = addresses[0]
    egress = [f"{first}/{ipaddress.ip_address(first).max_prefixlen}"]
    asked = {
        "bind-address": first,
        "egress-subnets": egress,
        "ingress-address": first,
        "primary-address": first,
    }
    wanted = {name: value for name, value in asked.items() if call.options[name]}
    if not wanted:
        as_json = call.options["format"] == "json"
        bound = _bound(addresses, as_json)
        return {"bind-addresses": bound, "egress-subnets": egress, "ingress-addresses": [first]}
    return next(iter(wanted.values())) if len(wanted) == 1 else wanted


def _bound(addresses: Sequence[str], as_json: bool) -> list[dict[str, object]]:
    """The interfaces with their addresses. Juju's YAML says some of it by two names, its JSON by one."""
    by_name: dict[str, dict[str, object]] = {}
    for address in addresses:
        found = interface_of(address)
        entry = by_name.setdefault(
            found.name, {"mac-address": found.mac, "interface-name": found.name, "addresses": []}
        )
        if not as_json:
            entry |= {"macaddress": found.mac, "interfacename": found.name}
        known = entry["addresses"]
        assert isinstance(known, list)
        twice = {} if as_json else {"address": address}
        known.append({"hostname": "", "value": address, "cidr": found.cidr, **twice})
    return list(by_name.values())


def _addresses(context: HookContext) -> Sequence[str]:
    machine = context.view.machines.get(context.place.machine)
    return machine.addresses if machine is not None else ()


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
    Tool(
        "network-get",
        network_get,
        "Get network config.",
        "Prints the addresses of the unit's machine for a binding: an endpoint of the charm's, or juju-info. With one\n"
        "option its bare value is printed, with several a map of them.",
        synopsis="<binding-name>",
        options=(
            Option(("bind-address",), "bool", help="get the address for the binding on which the unit should listen"),
            Option(("egress-subnets",), "bool", help="get the egress subnets for the binding"),
            Option(("ingress-address",), "bool", help="get the ingress address for the binding"),
            Option(("primary-address",), "bool", help="(deprecated) get the primary address for the binding"),
            RELATION,
        ),
        output="smart",
        most_arguments=1,
    ),
)
