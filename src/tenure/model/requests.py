"""What an operator asks of a unit's agent, through the store: a key that the asker puts, and the agent's answer in it.

| kind | arguments | whose key | who answers, and when |
|---|---|---|---|
| `resolved` | `retry`: run the failed hook again (true), or count it as done (false) | the unit's | its agent: done, or refused when it isn't in error |
| `transfer` | `now`: break debts | the unit's that is to lead | the holder's agent: done, or refused and why |
| `remove` | `force` | the unit's | nobody: the unit goes, and the request with it |
| `exec` | the commands | the unit's | its agent, in keys beside the model: `tasks.py`; the request lives on the asker's lease |
| `is-leader` | `for_s` | the unit's | its agent, likewise, at once |
| `explain` | | the unit's | its agent, likewise, at once |
| `log` | `limit`, `after`, `follow` | a unit's of that machine | its agent, likewise, with its own log |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tenure.errors import No
from tenure.model.commits import commit_surely, commit_with_id, new_id
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.records import Request, decode, encode
from tenure.model.view import ModelView, UnitView
from tenure.model.walltime import now_text
from tenure.names import UnitName
from tenure.store.api import Delete, Item, Put, Refused, Store, created_at, modified_at

Kind = Literal["resolved", "transfer", "remove", "exec", "is-leader", "explain", "log"]

KEEP_ANSWERED = 10
"""Answered requests of a unit that are kept, for an asker that was slow to look."""


def new_request(layout: Layout, unit: UnitName, kind: Kind, arguments: Mapping[str, Any]) -> tuple[str, Put]:
    """A request's id and what puts it."""
    request_id = new_id()
    record = Request(kind=kind, arguments=dict(arguments), asked=now_text())
    return request_id, Put(layout.request(unit, request_id), encode(record))


async def ask(store: Store, view: ModelView, unit: UnitName, kind: Kind, arguments: Mapping[str, Any]) -> str:
    """Ask it; returns the request's id. Raises NoSuchThing, No when the unit has gone meanwhile, Unsure's kinds."""
    info = view.unit(unit).info_item
    request_id, put = new_request(view.layout, unit, kind, arguments)
    outcome = await commit_with_id(
        store, view.layout, [created_at(info.key, info.create_revision)], [put], view.commit_ids
    )
    if isinstance(outcome, Refused):
        raise No(f"{unit} has been removed meanwhile")
    return request_id


async def wait_answer(mirror: Mirror, layout: Layout, unit: UnitName, request_id: str) -> Request | None:
    """The request once it is done or refused; None when it is gone, the unit with it."""
    key = layout.request(unit, request_id)
    # The mirror may be older than the request: that it isn't there yet is not that it is gone.
    shown = False

    def answered(item: Item | None) -> bool:
        nonlocal shown
        shown = shown or item is not None
        return shown if item is None else decode(Request, item.value, key).state in ("done", "refused")

    snapshot = await mirror.wait_until(lambda snapshot: answered(snapshot.get(key)))
    item = snapshot.get(key)
    return None if item is None else decode(Request, item.value, key)


async def withdraw(store: Store, layout: Layout, unit: UnitName, request_id: str) -> None:
    """Remove a request: one that was answered, or one that is not to be followed any more. Raises Unsure's kinds."""
    await store.commit([], [Delete(layout.request(unit, request_id))])


def pending(view: ModelView, application: str, kind: Kind) -> list[tuple[UnitView, str, Request]]:
    """The requests of a kind that nobody has answered yet, on any unit of an application, in the order they were asked.

    For the agent of the office's holder, whom transfers to other units concern.
    """
    found = [
        (unit.request_items[request_id].create_revision, unit, request_id, request)
        for unit in view.application(application).units.values()
        for request_id, request in unit.requests.items()
        if request.kind == kind and request.state in ("asked", "answered")
    ]
    return [(unit, request_id, request) for _, unit, request_id, request in sorted(found, key=lambda one: one[0])]


async def answer(store: Store, item: Item, state: Literal["answered", "done", "refused"], text: str = "") -> bool:
    """Answer the request that `item` is. False: it was withdrawn, or answered by somebody else, meanwhile.

    For agents. Raises Unsure's kinds.
    """
    record = msgspec.structs.replace(decode(Request, item.value, item.key), state=state, answer=text)
    value = encode(record)

    def landed(refused: Refused) -> int | None:
        now = refused.current.get(item.key)
        return now.mod_revision if now is not None and now.value == value else None

    outcome = await commit_surely(store, [modified_at(item.key, item.mod_revision)], [Put(item.key, value)], landed)
    return not isinstance(outcome, Refused)


def surplus(unit: UnitView) -> list[Delete]:
    """What deletes the answered requests that nobody fetched; for the agent to put into a commit of its own."""
    answered = [
        unit.request_items[request_id]
        for request_id, request in unit.requests.items()
        if request.state in ("done", "refused")
    ]
    return [Delete(item.key) for item in answered[: max(0, len(answered) - KEEP_ANSWERED)]]
