"""Every public call says what it promises and what it raises; what waits says how long, and what cancelling does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from tenure import api, blocking, fencing, testing


def calls() -> Iterator[tuple[str, Any]]:
    for module in (api, blocking, fencing, testing):
        for name in module.__all__:
            thing = getattr(module, name)
            if not isinstance(thing, type):
                yield f"{module.__name__}.{name}", thing
                continue
            for method, function in inspect.getmembers(thing, lambda one: callable(one) or isinstance(one, property)):
                ours = isinstance(function, property) or (getattr(function, "__module__", None) or "").startswith(
                    "tenure"
                )
                if ours and not method.startswith("_"):
                    yield f"{module.__name__}.{name}.{method}", function


CALLS = dict(calls())


def test_the_public_calls_are_seen() -> None:
    assert {"tenure.api.Office.hold", "tenure.blocking.Unit.is_leader", "tenure.fencing.replace_file"} <= set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_says_what_it_is_for(name: str) -> None:
    assert len(inspect.getdoc(CALLS[name]) or "") > 20


WAITING = [
    name
    for name, call in CALLS.items()
    if name.startswith("tenure.api")
    and (inspect.iscoroutinefunction(inspect.unwrap(call)) or inspect.isasyncgenfunction(inspect.unwrap(call)))
]


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_says_what_it_promises_and_raises(name: str) -> None:
    said = inspect.getdoc(CALLS[name]) or ""
    if " in this term alone." in said or "as `write_settings`" in said:
        return  # it is described by the call that it names
    assert {word for word in ("romises", "ancelling", "aises") if word not in said} == set()
