"""A slow cable: python pump.py HOST_PID SWITCH_PID PORT SECONDS. Needs no netem, which not every kernel has.

One end is `eth0` in the network namespace of HOST_PID, the other is PORT in that of SWITCH_PID; each frame comes out at the
other end after so many seconds, in order. Says "up" when both ends are there; they go with this process. The standard library alone.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
FRAME = 2048


def end_of_cable(pid: int, name: str) -> int:
    """A TAP device in that process's network; what is read from it came out of the host's stack."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def main() -> None:
    host, switch, port, seconds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    ends = end_of_cable(host, "eth0"), end_of_cable(switch, port)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    print("up", flush=True)
    under_way: collections.deque[tuple[float, int, bytes]] = collections.deque()
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(ends, [], [], wait)[0]:
            try:
                while True:
                    under_way.append((time.monotonic() + seconds, other[end], os.read(end, FRAME)))
            except BlockingIOError:
                pass
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, frame = under_way.popleft()
            try:
                os.write(end, frame)
            except OSError:
                pass  # its end is down, or full: a cable loses what nobody takes


main()
