"""An agent whose state folder, or whose store's file, is removed or replaced under it: it ends, in time, and says why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import World
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_S = 4


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def two(world: World) -> tuple[str, str]:
    """Two agents and a charm that is told of its deposal, from where no folder can be pulled away; (leader's machine, other)."""
    deposed = f'echo "$TENURE_TERM" >>{world.folder}/deposed'
    world.start("m0")
    world.start("m1")
    world.tenure(
        "deploy", world.charm(leader_elected="true", leader_deposed=deposed), "-n", "2", "--to", "m0,m1",
        "--lease", f"{LEASE_S}s",
    )  # fmt: skip
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    leader = f"m{world.tenure('leader', 'web').strip()[-1]}"
    return leader, {"m0": "m1", "m1": "m0"}[leader]


def last_lines(world: World, machine: str) -> list[str]:
    return (world.folder / f"{machine}.err").read_text().splitlines()[-2:]


@pytest.mark.parametrize("how", ["removed", "moved away", "replaced"])
def test_an_agent_whose_state_folder_goes_hands_over_and_ends(world: World, how: str) -> None:
    leader, other = two(world)
    folder = world.folder / leader
    if how == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(world.folder / "aside")
    if how == "replaced":
        folder.mkdir()
        (folder / "lock").touch()
    # It doesn't wait for its lease: nobody could know of it, so it gives up what it has as one that is told to end.
    assert world.agents[leader].wait(10) == 3
    assert last_lines(world, leader) == [
        f"error: the state folder {folder} was removed or replaced: what this agent's units held is given up",
        "hint: start it again; in a new folder its units run from their install hooks on",
    ]
    world.event(other, event="elected")
    assert world.tenure("leader", "web").strip() == f"web/{other[1]}"
    assert "Traceback" not in (world.folder / f"{leader}.err").read_text()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_agents_whose_stores_file_goes_end_and_say_so(world: World, how: str) -> None:
    leader, other = two(world)
    for path in list(world.folder.glob("tenure.db*")):
        path.rename(world.folder / f"old-{path.name}")
    if how == "replaced":
        shutil.copy(world.folder / "old-tenure.db", world.folder / "tenure.db")
    for machine in (leader, other):
        assert world.agents[machine].wait(20) == 3
        assert last_lines(world, machine) == [
            f"error: {world.folder}/tenure.db or a file beside it was removed or replaced while it was in use",
            "hint: end every process that uses it, then start them again",
        ]
        said = (world.folder / f"{machine}.err").read_text()
        assert "Traceback" not in said
        assert said.count("does not answer") <= 1
    # The work of the term has ended, as it does when an agent is told to end.
    until(lambda: (world.folder / "deposed").exists())
