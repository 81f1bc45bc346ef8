"""The rules of the house that no linter knows: the size of files, what none of them may hold, what each must say."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_MOST = 600
GENERATED = ("requirements/", "docs/reference/", "LICENSE")

# The registries' names are put together here, so that this file doesn't hold what it forbids.
REGISTRIES = re.compile(
    "|".join(
        re.escape(host + rest)
        for host, rest in [
            ("pypi", ".org"),
            ("pythonhosted", ".org"),
            ("npmjs", ".org"),
            ("npmjs", ".com"),
            ("proxy.golang", ".org"),
            ("crates", ".io"),
        ]
    )
    + r"|--(?:extra-)?index-url[ =]|--find-links[ =]|/pypi/simple"
)

READS_THE_WALL_CLOCK = re.compile(
    r"\btime\.time(?:_ns)?\(|\bdatetime\.(?:now|utcnow|today)\(|CLOCK_REALTIME|\btime\.localtime\("
)


def tracked() -> list[str]:
    """Every file of the repository, as git knows it (new ones too, ignored ones not); where there is no git, as they lie there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
    else:
        names = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if not path.relative_to(ROOT).parts[0].startswith(".")
        ]
    return sorted(name for name in names if name and (ROOT / name).is_file())


FILES = tracked()
PYTHON = [name for name in FILES if name.endswith(".py")]
SOURCE = [name for name in PYTHON if name.startswith("src/")]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def code_lines(name: str) -> Iterator[tuple[int, str]]:
    """The lines of a Python file that are neither comment nor text of several lines, with their numbers."""
    source = text(name)
    prose = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.end_lineno != node.lineno
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for number, line in enumerate(source.splitlines(), 1):
        if number not in prose:
            yield number, line.split("#", 1)[0]


def test_the_repository_is_seen() -> None:
    assert "pyproject.toml" in FILES
    assert SOURCE


def test_no_file_is_longer_than_600_lines() -> None:
    lengths = {name: len(text(name).splitlines()) for name in FILES if not name.startswith(GENERATED)}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_MOST} == {}


def test_no_file_names_a_package_registry() -> None:
    assert [f"{name}: {found[0]}" for name in FILES if name != _THIS and (found := REGISTRIES.search(text(name)))] == []


_THIS = str(Path(__file__).relative_to(ROOT))

# Wall-clock time is for people alone. Each of these says when something happened; nothing is decided by it.
MAY_READ_THE_WALL_CLOCK = {
    "src/tenure/model/walltime.py": "the one place that makes times for people to read",
    "src/tenure/charm.py": "a file of its own in a charm: when settings were published, for people",
}


def test_no_decision_is_made_by_the_wall_clock() -> None:
    readers = {
        f"{name}:{number}"
        for name in SOURCE
        if name not in MAY_READ_THE_WALL_CLOCK
        for number, line in code_lines(name)
        if READS_THE_WALL_CLOCK.search(line)
    }
    assert readers == set(), "show times to people by what MAY_READ_THE_WALL_CLOCK lists; decide by tenure.clock"


def test_no_test_sleeps_to_wait_for_something() -> None:
    sleeps = re.compile(r"\btime\.sleep\(|\basyncio\.sleep\((?!0\))")
    found = [
        f"{name}:{number}"
        for name in PYTHON
        if name.startswith("tests/") and name not in (_THIS, *MAY_POLL)
        for number, line in code_lines(name)
        if sleeps.search(line)
    ]
    assert found == [], "wait for the event itself, with a limit: see tests/waiting.py"


MAY_POLL = {"tests/waiting.py": "the one loop that looks again until a condition holds, with a limit"}


def test_each_module_says_what_it_is_for() -> None:
    silent = [name for name in PYTHON if (source := text(name)).strip() and not ast.get_docstring(ast.parse(source))]
    assert silent == []


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    words = re.compile(r"#.*\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    assert [
        f"{name}:{number}"
        for name in PYTHON
        for number, line in enumerate(text(name).splitlines(), 1)
        if words.search(line)
    ] == []


def test_no_file_names_a_folder_of_whoever_wrote_it() -> None:
    home = re.compile(r"(?<![\w.>])/(?:root|home/(?!user\b|alice\b)\w+|work)/")
    assert [f"{name}: {found[0]}" for name in FILES if name != _THIS and (found := home.search(text(name)))] == []
