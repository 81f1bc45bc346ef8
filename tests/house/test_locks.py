"""The locks: they pin what pyproject.toml asks for, with hashes, and name no place to get it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
WANTED = {
    "run.txt": PROJECT["project"]["dependencies"],
    "dev.txt": PROJECT["project"]["dependencies"] + GROUPS["test"] + GROUPS["lint"],
    "docs.txt": GROUPS["docs"],
    "build.txt": GROUPS["build"] + PROJECT["build-system"]["requires"],
}
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for match in PINNED.finditer((ROOT / "requirements" / lock).read_text()):
        found.setdefault(canonicalize_name(match["name"]), []).append(Version(match["version"]))
    return found


@pytest.mark.parametrize("lock", WANTED)
def test_a_lock_pins_all_that_the_project_asks_for(lock: str) -> None:
    pinned = pins(lock)
    for line in WANTED[lock]:
        wanted = Requirement(line)
        versions = pinned.get(canonicalize_name(wanted.name), [])
        assert versions, f"{lock} lacks {wanted.name}: make lock"
        assert all(version in wanted.specifier for version in versions), f"{lock} pins another {wanted}: make lock"


@pytest.mark.parametrize("lock", WANTED)
def test_every_pin_has_a_hash(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(entries) == sum(len(versions) for versions in pins(lock).values())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_locks_agree_with_each_other() -> None:
    seen: dict[str, set[Version]] = {}
    for lock in ("run.txt", "dev.txt", "build.txt"):
        for name, versions in pins(lock).items():
            seen.setdefault(name, set()).update(versions)
    assert {name: versions for name, versions in seen.items() if len(versions) > 1} == {}
