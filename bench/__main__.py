"""`python -m bench [--only PART] [--json FILE]`: measure, print a table, keep the result in bench/last.json."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.figure import Figure

PARTS = {
    "command": "what `tenure --help` and `status` cost",
    "tools": "what a hook tool's call costs",
    "asking": "what a script's question costs while a hook runs",
    "store": "what the store's calls cost",
    "election": "how soon the next leader is there",
    "settings": "how soon settings reach every unit",
    "acknowledged": "how soon every unit has acknowledged new settings",
    "holding": "how soon a command runs again elsewhere, and what its guard costs",
    "idle": "what an idle agent costs",
    "etcd": "what leadership on etcd costs",
    "simulation": "how fast the simulation is",
}
LAST = Path(__file__).with_name("last.json")


def main() -> int:
    """Measure what was asked for; 0, or 1 when a figure isn't as promised or could not be taken."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what Tenure promises to reach.")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}; may be repeated"
    )
    parser.add_argument(
        "--json", type=Path, default=LAST, metavar="FILE", help="where the result is kept (default: bench/last.json)"
    )
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    parts = options.only or list(PARTS)
    figures: dict[str, list[Figure]] = {}
    failures: dict[str, str] = {}
    for part in parts:
        began = time.monotonic()
        console.print(f"measuring: {PARTS[part]} …", style="dim")
        try:
            figures[part] = list(measured(part))
        except Exception as error:
            failures[part] = f"{type(error).__name__}: {error}"
            console.print(Text(f"  {part} could not be measured: {failures[part]}", style="red"))
        # After each part: an interrupted run keeps what it has measured.
        keep(options.json, figures, failures)
        console.print(f"  {time.monotonic() - began:.0f} s", style="dim")
    console.print(table(figures))
    missed = [figure.name for group in figures.values() for figure in group if figure.ok is False]
    if missed:
        console.print(Text(f"not as promised: {'; '.join(missed)}", style="bold red"))
    return 1 if missed or failures else 0


def measured(part: str) -> Iterable[Figure]:
    """A part's figures."""
    return importlib.import_module(f"bench.{part}").measure()


def table(figures: dict[str, list[Figure]]) -> Table:
    """All figures, as people read them."""
    made = Table("figure", "value", "floor or peer", "ratio", "target", "ok?")
    for column in (1, 3, 4):
        made.columns[column].justify = "right"
    for group in figures.values():
        for figure in group:
            peer = "" if figure.peer is None else f"{number(figure.peer)} {figure.unit} ({figure.peer_name})"
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} ×"
            mark = {True: Text("yes", "green"), False: Text("NO", "bold red"), None: Text("")}[figure.ok]
            name = figure.name + (f"\n  {figure.note}" if figure.note else "")
            made.add_row(name, f"{number(figure.value)} {figure.unit}", peer, ratio, figure.target, mark)
        made.add_section()
    return made


def number(value: float) -> str:
    """Three figures that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def keep(file: Path, figures: dict[str, list[Figure]], failures: dict[str, str]) -> None:
    """Write the result; the parts that were not measured this time stay as they were."""
    try:
        kept: dict[str, Any] = json.loads(file.read_text()).get("parts", {})
    except (OSError, ValueError):
        kept = {}
    host = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    for part, group in figures.items():
        rows = [{**asdict(figure), "ratio": figure.ratio, "target": figure.target, "ok": figure.ok} for figure in group]
        kept[part] = {"measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "host": host, "figures": rows}
    for part, reason in failures.items():
        kept[part] = {"measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "host": host, "failure": reason}
    temporary = file.with_suffix(".tmp")
    temporary.write_text(written(kept))
    temporary.replace(file)


def written(parts: dict[str, Any]) -> str:
    """The parts as JSON, a figure a line: what has changed since the last result can be seen."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    said = []
    for name, part in parts.items():
        rest = "".join(f" {line(key)}: {line(value)}," for key, value in part.items() if key != "figures")
        figures = ",\n".join(f"  {line(figure)}" for figure in part.get("figures", []))
        said.append(f' {line(name)}: {{{rest} "figures": [\n{figures}\n ]}}')
    return '{"parts": {\n' + ",\n".join(said) + "\n}}\n"


if __name__ == "__main__":
    sys.exit(main())
