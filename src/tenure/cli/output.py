"""Printing results: a table for people, JSON or YAML for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

COLOURS = {
    "active": "green",
    "error": "red",
    "blocked": "red",
    "lost": "red",
    "maintenance": "yellow",
    "waiting": "yellow",
    "executing": "yellow",
}


def emit(chosen: str | None, document: Any, tabular: Callable[[], str]) -> None:
    """Print a result in the format that was chosen."""
    match chosen:
        case "json":
            import json

            click.echo(json.dumps(document, ensure_ascii=False))
        case "yaml":
            click.echo(as_yaml(document), nl=False)
        case _:
            if text := tabular():
                click.echo(text)


def as_yaml(document: Any) -> str:
    """`document` as YAML, in the order that it has."""
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, gap: int = 2) -> str:
    """Columns as wide as what stands in them, the last one open; a row is a line, whatever its cells hold."""
    lines = [head, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "".join(
            _coloured(cell) + " " * (width - len(cell) + gap) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def one_line(text: str) -> str:
    """`text` with nothing in it that a terminal would act on."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def colours() -> bool:
    """Whether standard output is a terminal that may be coloured."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _coloured(cell: str) -> str:
    colour = COLOURS.get(cell)
    return click.style(cell, fg=colour) if colour is not None and colours() else cell
