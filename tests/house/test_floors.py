"""Imports go one way (import-linter's contract in pyproject.toml says the floors); these are the rules that it can't say."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tenure"

# Outside the floors: nothing of Tenure's may lean on them.
BESIDE = ("simulation", "testing")
# Costly to import, or the reader's alone: wanted at the moment of use, never when a module is loaded.
LAZY = ("rich",)
# What would make the protocol do input or output, wait, or log.
FOREIGN_TO_THE_PROTOCOL = (
    "asyncio",
    "time",
    "socket",
    "select",
    "os",
    "subprocess",
    "threading",
    "logging",
    "sqlite3",
    "random",
)


def imports(path: Path, *, at_load: bool = False) -> set[str]:
    """The dotted names that a module imports; with `at_load` only those that loading it imports (not under TYPE_CHECKING)."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "tenure")
        elif at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo.extend(node.orelse)
            continue
        todo.extend(ast.iter_child_nodes(node))
    return found


def modules(folder: str = "") -> list[Path]:
    return sorted((SOURCE / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


# The driver is what waits.
PROTOCOL = [path for path in modules("office") if "driver" not in (path.stem, path.parent.name)]


@pytest.mark.parametrize("path", PROTOCOL, ids=name_of)
def test_the_protocol_does_no_input_or_output_reads_no_clock_and_logs_nothing(path: Path) -> None:
    assert {name for name in imports(path) if name.split(".")[0] in FOREIGN_TO_THE_PROTOCOL} == set()
    awaits = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith)
    ]
    assert awaits == []


def test_the_charm_library_needs_the_standard_library_alone() -> None:
    assert {name.split(".")[0] for name in imports(SOURCE / "charm.py")} <= set(sys.stdlib_module_names)


def test_nothing_leans_on_the_simulation_or_on_the_fixtures_for_tests() -> None:
    beside = tuple(f"tenure.{folder}" for folder in BESIDE)
    floors = [path for path in modules() if path.relative_to(SOURCE).parts[0] not in BESIDE]
    assert {f"{name_of(path)}: {name}" for path in floors for name in imports(path) if name.startswith(beside)} == set()


def test_what_is_slow_to_import_is_imported_where_it_is_used() -> None:
    assert {
        f"{name_of(path)}: {name}"
        for path in modules()
        for name in imports(path, at_load=True)
        if name.split(".")[0] in LAZY
    } == set()


def test_every_folder_of_the_source_is_a_floor_or_stands_beside_them() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    named = {
        name.strip("() ").removeprefix("tenure.")
        for layer in contract["layers"]
        for name in layer.replace("|", ":").split(":")
    }
    tops = {
        path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert tops - named - set(BESIDE) - {"__init__", "__main__"} == set(), "give it a floor in pyproject.toml"
