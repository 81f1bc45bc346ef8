"""A unit's world for tests of its hook tools: a real store in memory, a real mirror, a real socket; leadership by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure.agent.context import HookContext, Models, Place
from tenure.agent.hook import Hook
from tenure.agent.tools import TOOLS
from tenure.agent.tools.base import Caller, NeedFile, Result
from tenure.agent.tools.install import install_tools
from tenure.agent.toolserver import ToolServer
from tenure.clock import Instant, KernelClock, ns
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.records import (
    Application,
    Databag,
    Endpoint,
    Machine,
    ModelInfo,
    Record,
    Relation,
    Said,
    Settings,
    Unit,
    UnitStatus,
    decode,
    encode,
)
from tenure.names import UnitName
from tenure.office.decisions import Answer
from tenure.store.api import Committed, Compare, Delete, Put, Store, modified_at
from tenure.store.memory import MemoryStore

LAYOUT = Layout("tests")
UNIT = UnitName("web", 0)
PEERS = 0
OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "string", "default": "web"},
    "size": {"type": "int", "default": 5},
    "ratio": {"type": "float", "default": 1.0},
    "debug": {"type": "boolean", "default": False},
    "extra": {"type": "string"},
}


@dataclass
class ByHand:
    """A candidacy whose term is the test's to decide."""

    holder: str
    term: int | None = None
    verdict: str = "yes"
    printable_s: float = 1.0
    asked: list[tuple[str | None, int | None]] = field(default_factory=list)

    async def is_leader(self, span_s: float | None = None, *, debtor: str | None, term: int | None = None) -> Answer:
        self.asked.append((debtor, term))
        if self.term is None or term not in (None, self.term):
            return Answer("no")
        if self.verdict != "yes":
            return Answer("unknown")
        return Answer("yes", self.term, KernelClock().now().after(ns(self.printable_s)), 59.0, 31.0)

    def fence(self, term: int) -> Compare:
        return modified_at(self.holder, term)


@dataclass
class Spoken:
    """What the charm has said of its unit."""

    said: Said = field(default_factory=lambda: Said(status="waiting", message="agent initialising"))
    version: str = ""

    def workload(self) -> Said:
        return self.said

    async def set_workload(self, status: str, message: str) -> None:
        self.said = Said(status=status, message=message)

    async def set_version(self, version: str) -> None:
        self.version = version


class UnitWorld:
    """web/0 of web/0 to web/2, with a peer relation `peers:0` in whose scope all of them are."""

    def __init__(self, store: Store, mirror: Mirror, folder: Path) -> None:
        self.store = store
        self.mirror = mirror
        self.folder = folder
        self.leadership = ByHand(LAYOUT.holder("web", "leader"))
        self.spoken = Spoken()
        self.logged: list[tuple[str, str]] = []
        self.place = Place(
            unit=UNIT,
            machine="m0",
            charm=folder / "charm",
            models=Models(mirror, LAYOUT),
            store=store,
            leadership=self.leadership,
            statuses=self.spoken,
            log=lambda level, line: self.logged.append((level, line)),
        )

    async def put(self, key: str, record: Record) -> int:
        """Put a record, and wait until the mirror shows it."""
        return await self.put_bytes(key, encode(record))

    async def put_bytes(self, key: str, value: bytes) -> int:
        outcome = await self.store.commit([], [Put(key, value)])
        assert isinstance(outcome, Committed)
        await self.mirror.wait_until(lambda snapshot: snapshot.revision >= outcome.revision)
        return outcome.revision

    async def remove(self, key: str) -> None:
        """Delete a key, and wait until the mirror shows that."""
        outcome = await self.store.commit([], [Delete(key)])
        assert isinstance(outcome, Committed)
        await self.mirror.wait_until(lambda snapshot: snapshot.revision >= outcome.revision)

    async def elect(self) -> int:
        """The unit becomes the leader, in a term of its own."""
        self.leadership.term = await self.put_bytes(self.leadership.holder, b"web/0")
        return self.leadership.term

    async def depose(self) -> None:
        """Somebody else holds the office."""
        await self.put_bytes(self.leadership.holder, b"web/1")
        self.leadership.term = None

    async def stored(self, key: str, kind: type[Any]) -> Any:
        """A record as it is in the store; None when there is none."""
        item = (await self.store.read(key)).items.get(key)
        return None if item is None else decode(kind, item.value, key)

    async def settings(self) -> dict[str, str]:
        """The leader settings in the store."""
        found = await self.stored(LAYOUT.settings("web"), Settings)
        return dict(found.values) if found else {}

    def context(
        self, hook: Hook | None = None, told: Mapping[int, Iterable[str]] | None = None, **more: Any
    ) -> HookContext:
        """The context of a hook (update-status, if none is given) that has been told of the peers."""
        told = {PEERS: ["web/1", "web/2"]} if told is None else told
        context_id = f"web/0-{hook.name if hook else 'run-commands'}-{os.urandom(16).hex()}"
        return HookContext(self.place, context_id, hook=hook, told=told, **more)


async def run(
    context: HookContext, tool: str, *arguments: str, files: Mapping[str, bytes | str] | None = None
) -> Result:
    """Call a tool as the server does."""
    return await TOOLS[tool].call(context, list(arguments), Caller(files or {}))


async def printed(context: HookContext, tool: str, *arguments: str, files: Mapping[str, bytes] | None = None) -> str:
    """What a tool prints that succeeds."""
    result = await run(context, tool, *arguments, files=files)
    assert (result.code, result.stderr) == (0, b"")
    return result.stdout.decode()


async def failure(
    context: HookContext, tool: str, *arguments: str, files: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """The exit code of a tool that fails, and what it says."""
    result = await run(context, tool, *arguments, files=files)
    assert result.code != 0
    assert result.stdout == b""
    return result.code, result.stderr.decode("utf-8", "surrogateescape")


@asynccontextmanager
async def unit_world(folder: Path) -> AsyncIterator[UnitWorld]:
    """A world that is there and seen."""
    store = MemoryStore()
    mirror = Mirror(store, LAYOUT.prefix)
    end = Endpoint(application="web", name="peers", role="peer", interface="web-peers")
    application = Application(
        charm="0" * 64, charm_name="web", options=OPTIONS, endpoints={"peers": end}, peer_relations={"peers": PEERS},
        ttl_s=60, guarantee_s=30.0,
    )  # fmt: skip
    machine = Machine(
        host="one", addresses=("10.0.0.1",), boot_id="b", identity="i", pid=1, socket="s", state_dir="d", started="t"
    )
    await store.commit(
        [],
        [
            Put(LAYOUT.info, encode(ModelInfo(uuid="a1b2"))),
            Put(LAYOUT.machine("m0"), encode(machine)),
            Put(LAYOUT.application_info("web"), encode(application)),
            Put(LAYOUT.relation_info(PEERS), encode(Relation(endpoints=(end,)))),
            *(Put(LAYOUT.unit_info(UnitName("web", number)), encode(Unit(machine="m0"))) for number in range(3)),
            *(
                Put(
                    LAYOUT.unit_bag(PEERS, UnitName("web", number)),
                    encode(Databag(values={"ingress-address": "10.0.0.1"})),
                )
                for number in range(3)
            ),
        ],
    )
    await mirror.start()
    try:
        yield UnitWorld(store, mirror, folder)
    finally:
        await mirror.close()
        await store.close()


class Shop:
    """A tool server with its client installed: runs hook tools as real processes."""

    def __init__(self, folder: Path) -> None:
        self.server = ToolServer(folder / "agent.sock")
        self.tools = folder / "tools" / UNIT.tag
        install_tools(self.tools)

    async def __aenter__(self) -> Shop:
        await self.server.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.server.close()

    def environment(self, context_id: str, **more: str) -> dict[str, str]:
        """What a hook of this context has."""
        return {**self.server.environment, "JUJU_CONTEXT_ID": context_id, "PATH": str(self.tools), **more}

    async def run(
        self,
        context: HookContext | str,
        tool: str,
        *arguments: str | bytes,
        stdin: bytes | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, bytes]:
        """Exit code, standard output and standard error of a tool's own process."""
        context_id = context if isinstance(context, str) else context.context_id
        process = await asyncio.create_subprocess_exec(
            str(self.tools / tool),
            *arguments,
            env={**self.environment(context_id), **(environment or {})},
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            out, err = await process.communicate(stdin)
        return process.returncode or 0, out, err


__all__ = [
    "LAYOUT",
    "PEERS",
    "UNIT",
    "ByHand",
    "Instant",
    "NeedFile",
    "Shop",
    "UnitStatus",
    "UnitWorld",
    "failure",
    "printed",
    "run",
    "unit_world",
]
