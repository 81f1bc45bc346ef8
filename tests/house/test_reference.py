"""What exists is in the reference, and the reference is what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tenure import errors
from tenure.agent.environment import Surroundings, hook_environment
from tenure.agent.hook import Hook, Kind

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def leaves(kind: type[errors.TenureError]) -> list[type[errors.TenureError]]:
    """Every class below `kind` that people meet by its name; an engine's own kind of one is met as that one."""
    below = [found for child in kind.__subclasses__() for found in (child, *leaves(child))]
    return [found for found in below if found.__module__ == errors.__name__]


def test_no_page_of_the_reference_is_stale() -> None:
    checked = subprocess.run(
        [sys.executable, "tools/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("error", leaves(errors.TenureError), ids=lambda error: error.__name__)
def test_every_error_is_in_the_reference_with_its_exit_code(error: type[errors.TenureError]) -> None:
    rows = [line for line in (REFERENCE / "errors.md").read_text().splitlines() if f"`{error.__name__}`" in line]
    assert len(rows) == 1
    assert f"| {error.exit_code} |" in rows[0]


def test_every_page_of_the_documents_can_be_reached() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [
        str(page.relative_to(ROOT / "docs").with_suffix(""))
        for page in (ROOT / "docs").rglob("*.md")
        if "_build" not in page.parts and page.name != "index.md"
    ]
    assert [page for page in pages if page not in index.split()] == []


def test_a_hooks_whole_environment_is_in_the_reference() -> None:
    page = (REFERENCE / "charms.md").read_text()
    socket = {"JUJU_AGENT_SOCKET_ADDRESS": "/run/a", "JUJU_AGENT_SOCKET_NETWORK": "unix"}
    around = Surroundings("web/0", Path("/charm"), Path("/tools"), "default", "uuid", "m0", "10.0.0.1:0", socket)
    hook = Hook(kind="relation-departed", relation=1, endpoint="peers", remote_unit="web/1", departing_unit="web/1")
    names = set(hook_environment(around, hook, "context", 7))
    proxies = {name for name in names if name.startswith("JUJU_CHARM_") and name.endswith("_PROXY")}
    assert {name for name in names - proxies if f"`{name}`" not in page} == set()
    assert proxies
    assert "`JUJU_CHARM_…_PROXY`" in page


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_hook_is_in_the_reference(kind: str) -> None:
    table = (REFERENCE / "charms.md").read_text().split("## The hooks", 1)[1].split("\n## ", 1)[0]
    relation = kind.removeprefix("relation-")
    assert f"`{kind}`" in table or f"-relation-{relation}`" in table or f"`-{relation}`" in table


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md"])
def test_no_link_outside_of_the_documents_leads_nowhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_target_of_make_says_what_it_is_for() -> None:
    targets = re.findall(r"^([a-z-]+):(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "bench", "lint", "docs", "simulate", "help"} <= {name for name, _ in targets}
    assert [name for name, rest in targets if "## " not in rest] == []
