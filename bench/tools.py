"""What a hook tool's call costs, end to end: started by a hook's environment, answered by a real agent, against a bare Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.figure import Figure, side_by_side_ms
from bench.world import World, charm, until, world
from tenure.agent.tools.install import interpreter

ROUNDS = 200
LIMIT = 1.1

# Shows its environment, then waits until somebody reads the pipe to its end.
_HOLDS_STILL = 'env -0 > "$JUJU_CHARM_DIR/env.new"; mv "$JUJU_CHARM_DIR/env.new" "$JUJU_CHARM_DIR/env"; echo > "{pipe}"'


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    with world() as made:
        pipe = made.folder / "pipe"
        os.mkfifo(pipe)
        held = charm(made, leader_elected="leader-set secret=0123456789abcdef", start=_HOLDS_STILL.format(pipe=pipe))
        made.start("m0")
        made.tenure("deploy", held, "web", "--to", "m0")
        environment = until("a hook that holds still", lambda: hook_environment(made))
        try:
            yield from called(environment)
        finally:
            pipe.read_bytes()


def hook_environment(made: World) -> dict[bytes, bytes] | None:
    """What the hook that holds still sees, once it does."""
    shown = made.folder / "m0" / "agents" / "unit-web-0" / "charm" / "env"
    if not shown.exists():
        return None
    pairs = (line.partition(b"=") for line in shown.read_bytes().split(b"\0") if line)
    return {name: value for name, _, value in pairs}


def called(environment: dict[bytes, bytes]) -> Iterator[Figure]:
    """Each tool in turn with a bare start of the same interpreter."""
    tools = Path(os.fsdecode(environment[b"PATH"].split(b":")[0]))
    calls = {
        "is-leader": [str(tools / "is-leader")],
        "leader-get": [str(tools / "leader-get"), "--format=json"],
        "config-get": [str(tools / "config-get"), "--all", "--format=json"],
        "relation-get": [str(tools / "relation-get"), "--format=json", "-r", "0", "-", "web/0"],
    }
    bare = [interpreter(), "-I", "-S", "-c", "pass"]
    *took, floor = side_by_side_ms([spawning(command, environment) for command in (*calls.values(), bare)], ROUNDS)
    for name, value in zip(calls, took, strict=True):
        yield Figure(name, value, "ms", floor, "python -I -S -c pass", LIMIT, "ratio at most")


def spawning(command: list[str], environment: dict[bytes, bytes]) -> Callable[[], None]:
    """Starts the command with as little of our own as can be, and waits for it. Raises RuntimeError where it fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)

    def call() -> None:
        pid = os.posix_spawn(command[0], command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)])
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"{command[0]} failed")

    return call
