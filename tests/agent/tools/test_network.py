"""unit-get and network-get, to the letter, and on this host's own interfaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tenure.agent.interfaces import Interface, interface_of
from tenure.model.records import Machine
from tenure.store.api import Delete
from tests.agent.tools.unit_world import LAYOUT, UnitWorld, failure, printed


async def at(world: UnitWorld, *addresses: str) -> None:
    """The machine has these addresses."""
    await world.put(
        LAYOUT.machine("m0"),
        Machine(
            host="h", addresses=addresses, boot_id="b", identity="i", pid=1, socket="s", state_dir="d", started="t"
        ),
    )


@pytest.mark.parametrize("kind", ["private-address", "public-address"])
async def test_unit_get_prints_the_machines_address(world: UnitWorld, kind: str) -> None:
    assert await printed(world.context(), "unit-get", kind) == "10.0.0.1\n"
    assert await printed(world.context(), "unit-get", "--format=json", kind) == '"10.0.0.1"\n'


async def test_unit_get_says_what_it_does_not_know(world: UnitWorld) -> None:
    assert await failure(world.context(), "unit-get") == (2, "ERROR no setting specified\n")
    assert await failure(world.context(), "unit-get", "x") == (2, 'ERROR unknown setting "x"\n')
    await at(world)
    assert await failure(world.context(), "unit-get", "public-address") == (1, "ERROR public address not found\n")
    await world.store.commit([], [Delete(LAYOUT.machine("m0"))])
    await world.mirror.wait_until(lambda snapshot: snapshot.get(LAYOUT.machine("m0")) is None)
    assert await failure(world.context(), "unit-get", "private-address") == (1, "ERROR private address not found\n")


@pytest.mark.parametrize("binding", ["peers", "juju-info"])
async def test_network_get_prints_a_bindings_addresses(world: UnitWorld, binding: str) -> None:
    await at(world, "127.0.0.1", "198.51.100.7")
    found = json.loads(await printed(world.context(), "network-get", "--format=json", binding))
    mac = Path("/sys/class/net/lo/address").read_text().strip()
    assert found == {
        "bind-addresses": [
            {
                "addresses": [{"cidr": "127.0.0.0/8", "hostname": "", "value": "127.0.0.1"}],
                "interface-name": "lo",
                "mac-address": mac,
            },
            {
                "addresses": [{"cidr": "", "hostname": "", "value": "198.51.100.7"}],
                "interface-name": "",
                "mac-address": "",
            },
        ],
        "egress-subnets": ["127.0.0.1/32"],
        "ingress-addresses": ["127.0.0.1"],
    }


async def test_network_get_in_yaml_says_some_of_it_twice(world: UnitWorld) -> None:
    shown = await printed(world.context(), "network-get", "peers")
    assert "  - address: 10.0.0.1\n" in shown
    assert "  interfacename:" in shown
    assert "ingress-addresses:\n- 10.0.0.1\n" in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--ingress-address"], "10.0.0.1\n"),
        (["--bind-address"], "10.0.0.1\n"),
        (["--primary-address"], "10.0.0.1\n"),
        (["--egress-subnets"], "10.0.0.1/32\n"),
        (["--egress-subnets", "--format=json"], '["10.0.0.1/32"]\n'),
        (
            ["--bind-address", "--ingress-address", "--format=json"],
            '{"bind-address":"10.0.0.1","ingress-address":"10.0.0.1"}\n',
        ),
        (["-r", "0", "--ingress-address"], "10.0.0.1\n"),
    ],
)
async def test_one_option_prints_its_bare_value_several_a_map(
    world: UnitWorld, options: list[str], expected: str
) -> None:
    assert await printed(world.context(), "network-get", "peers", *options) == expected


async def test_network_get_of_an_ipv6_address(world: UnitWorld) -> None:
    await at(world, "2001:db8::1")
    assert await printed(world.context(), "network-get", "peers", "--egress-subnets") == "2001:db8::1/128\n"


async def test_network_get_says_what_it_does_not_know(world: UnitWorld) -> None:
    assert await failure(world.context(), "network-get") == (2, "ERROR no arguments specified\n")
    unknown = (1, 'ERROR no network config found for binding "x"\n')
    assert await failure(world.context(), "network-get", "x") == unknown
    assert await failure(world.context(), "network-get", "a", "b") == (2, 'ERROR unrecognized args: ["b"]\n')
    await at(world)
    assert (await failure(world.context(), "network-get", "peers"))[0] == 1


def test_an_address_that_no_interface_has_is_on_none() -> None:
    assert interface_of("198.51.100.7") == Interface()
    assert interface_of("2001:db8::1") == Interface()
