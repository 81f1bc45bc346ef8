"""What a script's question costs: who leads, while a hook runs and while none does, on this host and through the store."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

from bench.figure import Figure, side_by_side_ms
from bench.world import TENURE, World, charm, until, world

ROUNDS = 15
LIMIT = 1.15

# The one unit's hook is held up until the file is there; the other's ends at once.
_HOLDS_STILL = 'if [ "$JUJU_UNIT_NAME" = busy/0 ]; then until [ -e "{go}" ]; do sleep 0.2; done; fi'


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    with world() as made:
        go = made.folder / "go"
        held = charm(made, start=_HOLDS_STILL.format(go=go))
        made.start("m0", "m1")
        for name, machine in (("busy", "m0"), ("quiet", "m1")):
            made.tenure("deploy", held, name, "--to", machine, "--lease", "60s")
            made.tenure("wait", name, "--for", "leader", "--timeout", "60s")
        made.stamp("start", 0, "busy/0")
        made.stamp("start", 0, "quiet/0")
        made.tenure("wait", "quiet", "--for", "idle", "--timeout", "60s")
        until("a hook that runs", lambda: True if _runs(made) else None)
        try:
            for way in ("socket", "store"):
                beside, alone = side_by_side_ms([_asks(made, unit, way) for unit in ("busy/0", "quiet/0")], ROUNDS)
                where = "" if way == "socket" else ", through the store"
                yield Figure(
                    f"is-leader beside a hook{where}", beside, "ms", alone, "while none runs", LIMIT, "ratio at most"
                )
        finally:
            go.touch()


def _runs(made: World) -> bool:
    return made.units("busy")["busy/0"]["juju-status"]["current"] == "executing"


def _asks(made: World, unit: str, way: str) -> Callable[[], None]:
    def call() -> None:
        subprocess.run(
            [TENURE, "is-leader", unit, "--through", way],
            env=made.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip

    return call
