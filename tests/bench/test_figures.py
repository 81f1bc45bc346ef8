"""The benchmarks' frame: what is held against what, and that a result is kept."""

from __future__ import annotations

import importlib
import io
import json

import pytest
from rich.console import Console

from bench.__main__ import PARTS, keep, table
from bench.figure import Figure, percentile, side_by_side_ms


@pytest.mark.parametrize(
    ("figure", "ok"),
    [
        (Figure("a", 3.0, "ms"), None),
        (Figure("a", 3.0, "ms", limit=3.0), True),
        (Figure("a", 3.1, "ms", limit=3.0), False),
        (Figure("a", 9.0, "events/s", limit=10.0, limit_is="value at least"), False),
        (Figure("a", 3.0, "ms", 2.0, "bare", limit=1.5, limit_is="ratio at most"), True),
        (Figure("a", 3.0, "ms", 1.9, "bare", limit=1.5, limit_is="ratio at most"), False),
        (Figure("a", 3.0, "ms", limit=1.5, limit_is="ratio at most"), False),
    ],
)
def test_a_figure_is_as_promised_or_not_or_nothing_is_promised(figure: Figure, ok: bool | None) -> None:
    assert figure.ok is ok


def test_every_part_is_there_and_can_be_measured() -> None:
    for part in PARTS:
        assert callable(importlib.import_module(f"bench.{part}").measure)


def test_a_part_that_was_not_measured_again_is_kept_as_it_was(tmp_path) -> None:
    file = tmp_path / "last.json"
    keep(file, {"store": [Figure("commit", 1.0, "ms", 0.5, "bare")], "idle": []}, {})
    keep(file, {"store": [Figure("commit", 2.0, "ms", 0.5, "bare")]}, {"tools": "RuntimeError: no"})
    parts = json.loads(file.read_text())["parts"]
    assert sorted(parts) == ["idle", "store", "tools"]
    assert (parts["store"]["figures"][0]["value"], parts["store"]["figures"][0]["ratio"]) == (2.0, 4.0)
    assert parts["tools"]["failure"] == "RuntimeError: no"


def test_the_table_shows_value_peer_ratio_target_and_verdict() -> None:
    out = io.StringIO()
    Console(width=150, file=out).print(
        table({"tools": [Figure("is-leader", 7.7, "ms", 7.0, "bare", 1.1, "ratio at most", "a note")]})
    )
    shown = out.getvalue()
    for text in ("is-leader", "7.7 ms", "7 ms (bare)", "1.10 ×", "≤ 1.1 ×", "yes", "a note"):
        assert text in shown


def test_calls_are_timed_in_turns() -> None:
    called: list[str] = []
    side_by_side_ms([lambda: called.append("a"), lambda: called.append("b")], rounds=2, warm_up=1)
    assert called == ["a", "b"] * 3
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
