"""The soak, for a short time; and that it can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def soak(root: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of a soak in a process of its own, which is a subreaper, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", *arguments], cwd=root, capture_output=True, text=True, timeout=400
    )
    print(done.stdout, done.stderr, sep="\n")
    return done.returncode, done.stdout


@pytest.mark.timeout(450)
def test_under_faults_there_are_never_two_and_nothing_is_lost(root: Path) -> None:
    code, said = soak(root, "--minutes", "1", "--seed", "2")
    assert "overlaps 0, settings lost 0, writes of deposed leaders accepted 0" in said
    assert code == 0


@pytest.mark.timeout(450)
def test_the_soak_finds_an_overlap_where_there_is_no_guard(root: Path) -> None:
    code, said = soak(root, "--without-guard", "--seed", "1")
    assert code == 1
    assert "overlaps 0" not in said
