"""What the page about settings that change says for those who need no acknowledgements, tried with hook tools that need no agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.page import ROOT, steps
from tests.fake_tools import FakeTools

AROUND = """
import charm
{code}
with charm.waiting_for_leader():
    shared.set()
    charm.status_set("active", shared.get()["colour"])
"""


@pytest.fixture
def tools(tmp_path: Path) -> FakeTools:
    return FakeTools(tmp_path / "tools")


def hook(tools: FakeTools) -> list[str]:
    """Run a hook that is written so; what it says of itself."""
    (code,) = [step.body for step in steps("how-to/share-settings-that-change.md") if step.kind == "python"]
    subprocess.run(
        [sys.executable, "-c", AROUND.format(code=code)],
        env={
            "PATH": f"{tools.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "examples/shared-secret-python/lib"),
            "JUJU_UNIT_NAME": "web/0",
        },
        cwd=tools.bin,
        check=True,
    )
    return [word for word in tools.told("status-set")[-1]["arguments"] if word != "--"]


def test_the_leader_publishes_what_has_changed_and_a_minion_waits_for_it(tools: FakeTools) -> None:
    tools.answer(leader=True, config={"colour": "red"})
    assert hook(tools) == ["active", "red"]
    tools.answer(leader=False, config={"colour": "blue"})
    assert hook(tools) == ["waiting", "for leader"]
    tools.answer(leader=True)
    assert hook(tools) == ["active", "blue"]
    tools.answer(leader=False)
    assert hook(tools) == ["active", "blue"]
