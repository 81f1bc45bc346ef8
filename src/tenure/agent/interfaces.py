"""This host's network interfaces: which one has an address, and what network that is in."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
"""From linux/sockios.h."""


@dataclass(frozen=True, slots=True)
class Interface:
    """Where an address is. Empty texts for what the kernel doesn't tell."""

    name: str = ""
    mac: str = ""
    cidr: str = ""


def interface_of(address: str) -> Interface:
    """The interface that has `address`, as this host's kernel knows it now; an empty one if none has it."""
    wanted = ipaddress.ip_address(address)
    found = _find4(address) if wanted.version == 4 else _find6(wanted.packed)
    if found is None:
        return Interface()
    name, length = found
    return Interface(name, _mac(name), str(ipaddress.ip_network(f"{address}/{length}", strict=False)))


def _find4(address: str) -> tuple[str, str] | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if _ask4(asking, _SIOCGIFADDR, name) == address:
                return name, _ask4(asking, _SIOCGIFNETMASK, name) or "32"
    return None


def _ask4(asking: socket.socket, question: int, name: str) -> str | None:
    try:
        answer = fcntl.ioctl(asking, question, struct.pack("256s", name.encode()[:15]))
    except OSError:
        return None  # it has no address of this family
    return socket.inet_ntoa(answer[20:24])


def _find6(packed: bytes) -> tuple[str, str] | None:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        address, _, length, _, _, name = line.split()
        if bytes.fromhex(address) == packed:
            return name, str(int(length, 16))
    return None


def _mac(name: str) -> str:
    try:
        return Path("/sys/class/net", name, "address").read_text().strip()
    except OSError:
        return ""
