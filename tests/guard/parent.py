"""Who starts a guard, as a process of its own that a test can stop or kill: python parent.py SOURCE SETTINGS

SETTINGS is JSON: `until_s` (from now), what else a Spec has. Lines on standard input go to the guard (`extend 3.0` means:
until 3 s from now; `quiet` ends nothing but the talk); what the guard says is printed, after its pid.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from typing import Any

sys.path.append(sys.argv[1])

from tenure.guard import kernel
from tenure.guard.spec import Spec


def until(seconds: float) -> kernel.Moment:
    return kernel.before(kernel.now(), -round(seconds * 1e9))


def main() -> None:
    settings: dict[str, Any] = json.loads(sys.argv[2])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    spec = Spec(term=7, office="test", until=until(settings.pop("until_s")), link=theirs.fileno(), **settings)
    script = os.path.join(sys.argv[1], "tenure", "guard", "__main__.py")
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", script, *spec.words()], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()
    print(guard.pid, flush=True)
    os.set_blocking(0, False)
    while True:
        for file in select.select([0, ours.fileno()], [], [])[0]:
            if file == 0:
                text = os.read(0, 65536).decode()
                if not text:
                    return
                for line in text.splitlines():
                    word, _, rest = line.partition(" ")
                    if word == "extend":
                        boot, raw = until(float(rest))
                        line = f"extend {boot}:{raw}"
                    ours.send(line.encode())
            else:
                try:
                    message = ours.recv(65536)
                except ConnectionError:
                    message = b""
                print(message.decode() or "closed", flush=True)
                if not message:
                    guard.wait()
                    return


main()
