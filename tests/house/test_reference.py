"""What exists is in the reference, and the reference is what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tenure import errors

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def leaves(kind: type[errors.TenureError]) -> list[type[errors.TenureError]]:
    """Every class below `kind`, wherever it is defined."""
    return [found for child in kind.__subclasses__() for found in (child, *leaves(child))]


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
