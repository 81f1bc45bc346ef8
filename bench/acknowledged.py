"""How soon every unit has applied and acknowledged a new version of the settings: twenty agents of one unit each."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.world import TENURE, World, charm, world
from tenure.howto.acknowledged import roll_out
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.view import ModelView
from tenure.store import open_store

UNITS = 20
ROUNDS = 9
LIMIT = 2.5
HOOK_MS = 50.0

# A hook that works for so long; then its unit says that it has applied the settings.
APPLY = """\
i=0; while [ $i -lt {turns} ]; do i=$((i+1)); done
relation-set -r "$(relation-ids members)" "settings-acknowledged=$(leader-get settings-version)"
"""


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    turns = turns_for(HOOK_MS)
    with world() as made:
        machines = [f"m{number}" for number in range(UNITS)]
        made.start(*machines)
        folder = charm(made, leader_settings_changed=APPLY.format(turns=turns))
        # Before anything is published there is nothing to say, and no relation to say it on.
        hook = folder / "hooks" / "leader-settings-changed"
        hook.write_text(hook.read_text().replace("\ni=0;", '\n[ -n "$(leader-get settings-version)" ] || exit 0\ni=0;'))
        made.tenure("deploy", folder, "web", "-n", str(UNITS), "--to", ",".join(machines), "--lease", "30s")
        made.all_idle(UNITS)
        ours, floors = [], []
        for version in range(1, ROUNDS + 1):
            ours.append(asyncio.run(rolled_out(made, version, turns)))
            made.all_idle(UNITS)
            floors.append(bare_ms(made, turns))
    yield Figure(
        f"leader-set's call until the last of {UNITS} agents' acknowledgements is in the store (median)",
        statistics.median(ours),
        "ms",
        statistics.median(floors),
        f"{UNITS} of these hooks bare, of {HOOK_MS:.0f} ms and their tools",
        LIMIT,
        "ratio at most",
        note=f"best {min(ours):.0f}, worst {max(ours):.0f} ms",
    )


async def rolled_out(made: World, version: int, turns: int) -> float:
    """Publish a version as the leader, which applies it as the others do; ms until everyone has acknowledged it."""
    store = await open_store(made.url)
    layout = Layout("default")
    mirror = Mirror(store, layout.prefix)
    await mirror.start()
    publish = (
        f'echo "$(date +%s%N) $JUJU_UNIT_NAME published" >> {made.stamps_file}; leader-set settings-version={version}\n'
    )
    began = time.time_ns()
    leads = await asyncio.create_subprocess_exec(
        str(TENURE), "exec", "--unit", "web/leader", "--", publish + APPLY.format(turns=turns),
        env={**made.environment, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            async for snapshot in mirror.after(-1):
                come = roll_out(ModelView(snapshot, layout), "web")
                if come is not None and come.version == version and not come.missing:
                    break
        ended = time.time_ns()
        await leads.wait()
    finally:
        await mirror.close()
        await store.close()
    return (ended - made.stamp("published", began)) / 1e6


def bare_ms(made: World, turns: int) -> float:
    """As many of the same hooks at once, without an agent; each of their tools is a bare interpreter."""
    tools = made.folder / "bare"
    tools.mkdir(exist_ok=True)
    for name in ("leader-get", "relation-ids", "relation-set"):
        tool = tools / name
        tool.write_text(f"#!{Path(sys.executable).resolve()} -IS\npass\n")
        tool.chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    script = APPLY.format(turns=turns)
    began = time.perf_counter()
    # Each in a session of its own, as an agent starts its hooks: on a busy host the kernel shares out by sessions.
    started = [
        subprocess.Popen(["/bin/sh", "-c", script], env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(UNITS)
    ]
    for process in started:
        process.wait()
    return (time.perf_counter() - began) * 1e3


def turns_for(ms: float) -> int:
    """How many turns of the loop take a shell so long on this host."""
    turns = 20_000
    script = APPLY.format(turns=turns).splitlines()[0]
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(["/bin/sh", "-c", script], check=True)
        times.append((time.perf_counter() - began) * 1e3)
    return max(1, round(turns * ms / min(times)))
