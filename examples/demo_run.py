"""How a demo is run: a fresh folder and store, the agents' machines, what is seen, and an end that leaves nothing behind."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from demo_etcd import Etcd
from demo_stage import Stage, Watch
from demo_world import Agent, NotAsPromised, World
from rich.console import Console
from rich.live import Live
from rich.text import Text

Play = Callable[[World, Stage, Watch, int], None]


def run(description: str | None, play: Play, machines: Sequence[str], lease_s: int = 5) -> int:
    """Play it on a fresh store; the exit code: 0, or 1 when anything was not as promised, with the reason."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n", 1)[0])
    parser.add_argument(
        "--lease", type=int, default=lease_s, metavar="SECONDS", help=f"the lease's length (default: {lease_s})"
    )
    parser.add_argument("--keep", action="store_true", help="leave the folder with store, state and logs")
    parser.add_argument("--store", choices=("sqlite", "etcd"), default="sqlite", help="where the model is kept")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with _cleaned_up(options.keep) as folder, contextlib.ExitStack() as stack:
        stage, agents = Stage(console), list[Agent]()
        try:
            world = World(folder, _open_store(options.store, folder, stage, stack))
            world.agents = {name: Agent(name, folder, world.environment) for name in machines}
            stack.callback(world.close)
            agents += world.agents.values()
            _perform(world, stage, play, options.lease)
        except KeyboardInterrupt:
            console.print("\ninterrupted: ending the agents")
            return 128 + signal.SIGINT
        except Exception as error:
            console.print(Text.assemble(("\n✗ not as promised: ", "bold red"), str(error)))
            for agent in agents:
                console.print(Text(f"\nthe last lines of {agent.machine}'s log:", style="bold"))
                console.print(Text(agent.last_words()))
            return 1
        finally:
            if options.keep:
                console.print(f"kept: {folder}")
    return 0


def _open_store(engine: str, folder: Path, stage: Stage, stack: contextlib.ExitStack) -> str:
    """The URL of a fresh store in the folder; `stack` ends what it needs."""
    if engine == "sqlite":
        return f"sqlite://{folder / 'tenure.db'}"
    stage.heading("0. Three members of etcd start")
    began = time.monotonic()
    etcd = Etcd(folder)
    stack.callback(etcd.close)
    etcd.wait()
    stage.verify("etcd serves", f"{time.monotonic() - began:.1f} s; {etcd.url}")
    return etcd.url


def _perform(world: World, stage: Stage, play: Play, lease_s: int) -> None:
    """Watch and play, then end the agents and sum up."""
    with contextlib.ExitStack() as stack:
        if stage.console.is_terminal:
            stage.live = stack.enter_context(Live(console=stage.console, refresh_per_second=8, transient=True))
        with Watch(world, stage) as watch:
            play(world, stage, watch, lease_s)
        stage.heading("The agents end (SIGTERM)")
        began = time.monotonic()
        codes = world.close()
        expect(set(codes.values()) <= {0, -signal.SIGKILL}, f"every agent hands over and exits with 0 ({codes})")
        stage.verify("all agents that ran handed over and ended", f"{time.monotonic() - began:.1f} s")
    stage.sum_up()


def expect(holds: bool, promise: str) -> None:
    """Raises NotAsPromised unless it `holds`."""
    if not holds:
        raise NotAsPromised(f"it does not hold that {promise}")


@contextlib.contextmanager
def _cleaned_up(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tenure-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
