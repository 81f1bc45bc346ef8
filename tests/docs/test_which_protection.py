"""The page that compares the protections says nothing that no test has seen."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.page import ROOT

TEXT = (ROOT / "docs/explanation/which-protection.md").read_text()
TESTS = dict(re.findall(r"^- ([A-Z]\d) `([^`]+)`$", TEXT, re.MULTILINE))
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.partition("## What each survives")[2].partition("## What is still to come")[0].splitlines()
    if line.startswith("| ")
][1:]


def test_each_cell_names_its_test() -> None:
    assert len(ROWS) >= 12
    named = set()
    for fault, *cells in ROWS:
        assert len(cells) == 4, fault
        for cell in cells:
            label = re.search(r"\((\w+)\)$", cell)
            assert label or cell == "there is none", f"{fault}: {cell}"
            if label:
                assert label[1] in TESTS, f"{fault}: {cell}"
                named.add(label[1])
    assert named == set(TESTS), "and each test stands for a cell"


@pytest.mark.parametrize("name", sorted(set(TESTS.values())))
def test_each_test_that_is_named_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}, (
        name
    )
