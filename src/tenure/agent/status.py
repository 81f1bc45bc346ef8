"""What a unit and its agent say of themselves: one key, written at once for the charm and coalesced for the agent.

Every write wakes every watcher, so what changes with each hook is written only where it lasts: "executing" when a hook
has run for `EXECUTING_AFTER_S`, and "idle" again only after that.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from msgspec.structs import replace

from tenure.agent.hook import Hook
from tenure.errors import NoSuchThing, TenureError, Unsure
from tenure.model.commits import commit_surely
from tenure.model.records import Said, UnitStatus, encode
from tenure.model.walltime import now_text
from tenure.store.api import Committed, Compare, Item, Put, Refused, Store, modified_at

EXECUTING_AFTER_S = 0.5
"""A hook that is over sooner leaves no trace in the status: people would not see it, and watchers would wake twice."""

RETRY_S = 1.0

AGENTS_OWN = {
    ("waiting", "agent initialising"),
    ("waiting", "waiting for machine"),
    ("maintenance", "installing charm software"),
}
"""What the agent says for a charm that hasn't said anything yet. Juju's words."""

_log = logging.getLogger("tenure.agent")


class StatusWriter:
    """Writes one unit's status key; nobody else does. `alive`: what shows that the unit is still there."""

    def __init__(self, store: Store, key: str, alive: Compare, item: Item | None, status: UnitStatus | None) -> None:
        self._store, self._key, self._alive = store, key, alive
        self._revision = item.mod_revision if item else 0
        self._written = status
        self._wanted = status or UnitStatus(
            workload=Said(status="waiting", message="agent initialising", since=now_text()),
            agent=Said(status="allocating", since=now_text()),
        )
        self._lock = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    @property
    def current(self) -> UnitStatus:
        """The status, with what isn't written yet."""
        return self._wanted

    def workload(self) -> Said:
        """What the charm has last said, or the agent for it."""
        return self._wanted.workload

    async def set_workload(self, status: str, message: str) -> None:
        """The charm says it: written before this returns.

        Raises NoSuchThing (the unit is gone), StoreUnsure, StoreUnreachable, StoreBroken: it counts as not said then.
        """
        await self._set(replace(self._wanted, workload=Said(status=status, message=message, since=now_text())))

    async def set_version(self, version: str) -> None:
        """The workload's version; written, and raising, as `set_workload`."""
        await self._set(replace(self._wanted, workload_version=version))

    async def _set(self, wanted: UnitStatus) -> None:
        before, self._wanted = self._wanted, wanted
        try:
            await self._write()
        except TenureError:
            self._wanted = replace(self._wanted, workload=before.workload, workload_version=before.workload_version)
            raise

    @property
    def charm_has_spoken(self) -> bool:
        """Whether the workload's status is the charm's own word."""
        return (self._wanted.workload.status, self._wanted.workload.message) not in AGENTS_OWN

    def workload_is(self, status: str, message: str = "") -> None:
        """The agent says it for the charm; written with what is written next."""
        if _differs(self._wanted.workload, status, message, {}):
            self._wanted = replace(self._wanted, workload=Said(status=status, message=message, since=now_text()))
            self._write_within(EXECUTING_AFTER_S)

    def agent_is(self, status: str, message: str = "", data: dict[str, Any] | None = None) -> None:
        """The agent's own: soon written if it lasts; at once where something else than a hook's beginning is said."""
        if _differs(self._wanted.agent, status, message, data or {}):
            said = Said(status=status, message=message, since=now_text(), data=data or {})
            self._wanted = replace(self._wanted, agent=said)
        self._write_within(EXECUTING_AFTER_S if status == "executing" else 0.0)

    def before(self, hook: Hook) -> None:
        """`hook` is about to run."""
        match hook.kind:
            case "install" if not self.charm_has_spoken:
                self.workload_is("maintenance", "installing charm software")
            case "stop":
                self.workload_is("maintenance", "stopping charm software")
            case "remove":
                self.workload_is("maintenance", "cleaning up prior to charm deletion")
        if hook.kind != "update-status":
            self.agent_is("executing", hook.running)

    def after(self, hook: Hook) -> None:
        """`hook` has succeeded."""
        match hook.kind:
            case "start" if not self.charm_has_spoken:
                self.workload_is("unknown")
            case "stop":
                self.workload_is("maintenance")
            case "remove":
                self.workload_is("terminated")

    def failed(self, hook: Hook) -> None:
        """`hook` has failed: the unit is in error."""
        data = {"hook": hook.name, "relation-id": hook.relation_id, "remote-unit": hook.remote_unit}
        self.agent_is("error", f'hook failed: "{hook.name}"', {name: value for name, value in data.items() if value})

    async def close(self) -> None:
        """Write no more; what was to be written later isn't."""
        if self._later is not None:
            self._later.cancel()
            await asyncio.gather(self._later, return_exceptions=True)

    def _write_within(self, seconds: float) -> None:
        if not self._is_news():
            return
        if self._later is not None and not self._later.done():
            if seconds:
                return  # what is waiting already takes it along
            self._later.cancel()
        self._later = asyncio.create_task(self._write_later(seconds))

    def _is_news(self) -> bool:
        """Whether what is wanted differs from what is written by more than the time at which it was said."""
        written, wanted = self._written, self._wanted
        return (
            written is None
            or written.workload != wanted.workload
            or written.workload_version != wanted.workload_version
            or _differs(written.agent, wanted.agent.status, wanted.agent.message, wanted.agent.data)
        )

    async def _write_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while self._is_news():
            writing = asyncio.ensure_future(self._write())
            # Where a later word cancels this one, what is under way goes on, and its failure is the later one's to meet.
            writing.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                await asyncio.shield(writing)
            except NoSuchThing:
                return
            except TenureError as error:
                _log.warning("the status can't be written now: %s", error.message)
                await asyncio.sleep(RETRY_S)

    async def _write(self) -> None:
        async with self._lock:
            wanted = self._wanted
            if wanted == self._written:
                return
            value = encode(wanted)

            def landed(refused: Refused) -> int | None:
                item = refused.current.get(self._key)
                return item.mod_revision if item and item.value == value else None

            # Compared with what it was, so that a late copy of this write lands on nothing newer.
            when = [self._alive, modified_at(self._key, self._revision)]
            for _ in range(2):
                outcome = await commit_surely(self._store, when, [Put(self._key, value)], landed)
                if isinstance(outcome, Committed):
                    self._revision, self._written = outcome.revision, wanted
                    return
                if self._alive.key in outcome.current and not _holds(self._alive, outcome.current[self._alive.key]):
                    raise NoSuchThing("the unit is not in the model any more")
                item = outcome.current.get(self._key)
                when = [self._alive, modified_at(self._key, item.mod_revision if item else 0)]
            raise Unsure("the unit's status is written by somebody else, too", hint="do two agents speak for it?")


def _differs(said: Said, status: str, message: str, data: dict[str, Any]) -> bool:
    return (said.status, said.message, said.data) != (status, message, data)


def _holds(alive: Compare, item: Item | None) -> bool:
    return (item.create_revision if item else 0) == alive.create_revision
