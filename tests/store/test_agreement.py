"""Every step is done to every engine, and what comes of it is compared: `memory` is the meaning."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tenure.errors import BadInput, Compacted, LeaseLost
from tenure.store.api import (
    Batch,
    Change,
    Committed,
    Compare,
    Delete,
    DeletePrefix,
    Grant,
    Item,
    Put,
    Refused,
    Renewal,
    Snapshot,
    Store,
    Write,
)
from tests.etcd import EtcdCluster, versions
from tests.store.engines import ENGINES, Engine, HeldEngine
from tests.store.etcd.engine import EtcdEngine
from tests.waiting import until_async

KEYS = st.sampled_from(["/a", "/a/b", "/a/c", "/a/ä", "/a0", "/b"])
PREFIXES = st.sampled_from(["", "/", "/a", "/a/", "/b", "/none"])
VALUES = st.sampled_from([b"", b"1", b"2"])

Comparison = tuple[str, bytes | None, int | None, int | None]
"""A key and a value; revisions as so many before the newest, so that they often are real ones."""


class Peer:
    """One engine with two connections. Its leases are known by the order in which they were granted."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.stores: list[Store] = []
        self.leases: list[int] = [0]
        self.base = 0
        """The revision at which this world was empty: what is compared is counted from it."""
        self.seen: list[Any] = []
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.stores = [await self.engine.open(), await self.engine.open()]
        self.base = (await self.stores[0].read("")).revision
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        assert self._following is not None
        self._following.cancel()
        await asyncio.wait([self._following])
        await self.engine.close()

    async def has_seen(self, revision: int) -> list[Any]:
        """What the watch that has been open all along has shown since the last time, up to `revision`."""
        if revision:
            await until_async(lambda: (self.seen and self.seen[-1][0] >= revision) or self._check_following())
        seen, self.seen = self.seen, self.seen[-1:]
        return seen

    def _check_following(self) -> bool:
        assert self._following is not None
        assert not self._following.done(), self._following
        return False

    async def _follow(self) -> None:
        async for batch in self.stores[1].watch("", self.base):
            self.seen.append(self.plain(batch))

    async def outcome(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What a call returned or raised, without what differs between engines."""
        try:
            return self.plain(await call())
        except (BadInput, LeaseLost, Compacted) as error:
            return type(error)

    def revision(self, revision: int) -> int:
        """This world's own, of one that is counted from its beginning; 0 is that of what isn't there."""
        return revision + self.base if revision else 0

    def plain(self, value: Any) -> Any:
        """`value` with lease numbers replaced by the leases' order, and revisions counted from the world's beginning."""
        match value:
            case Item():
                lease = self.leases.index(value.lease)
                created, modified = value.create_revision - self.base, value.mod_revision - self.base
                return (value.key, value.value, created, modified, value.version, lease)
            case Snapshot(revision, items):
                return revision - self.base, [(key, self.plain(item)) for key, item in items.items()]
            case Committed(revision):
                return Committed(revision - self.base)
            case Refused(revision, current):
                return "refused", revision - self.base, {key: self.plain(item) for key, item in current.items()}
            case Batch(revision, changes):
                return revision - self.base, [self.plain(change) for change in changes]
            case Change(key, item):
                return key, self.plain(item)
            case Grant(lease, ttl_s):
                self.leases.append(lease)
                return ttl_s
            case Renewal(ttl_s):
                return ttl_s
            case _:
                return value


async def _held(url: Callable[[Path], str], folder: Path) -> Engine:
    return HeldEngine(url(folder))


class StoreAgreement(RuleBasedStateMachine):
    leases = Bundle("leases")
    engines: ClassVar[Mapping[str, Callable[[Path], Awaitable[Engine]]]] = {
        name: partial(_held, url) for name, url in ENGINES.items()
    }

    longer_s: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.peers = [
            Peer(name, self.loop.run_until_complete(make(self.folder))) for name, make in self.engines.items()
        ]
        self.newest = 0
        self.granted = 0
        for peer in self.peers:
            self.loop.run_until_complete(peer.open())

    def teardown(self) -> None:
        for peer in self.peers:
            self.loop.run_until_complete(peer.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def agree(self, call: Callable[[Peer], Awaitable[Any]]) -> Any:
        """Do `call` to every engine; returns what they agree on."""

        async def ask() -> list[Any]:
            return [await peer.outcome(partial(call, peer)) for peer in self.peers]

        first, *others = self.loop.run_until_complete(asyncio.wait_for(ask(), 20))
        for peer, other in zip(self.peers[1:], others, strict=True):
            assert other == first, f"{peer.name} differs from {self.peers[0].name}, which is the meaning"
        return first

    def compare(self, comparison: Comparison, peer: Peer) -> Compare:
        key, value, created, modified = comparison
        return Compare(
            key,
            value,
            None if created is None else peer.revision(max(0, self.newest - created)),
            None if modified is None else peer.revision(max(0, self.newest - modified)),
        )

    @initialize(target=leases)
    def no_lease(self) -> int:
        return 0

    @rule(
        who=st.integers(0, 1),
        when=st.lists(
            st.tuples(KEYS, st.none() | VALUES, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
            | st.tuples(KEYS, st.none(), st.just(10**6), st.none()),
            max_size=2,
        ),
        puts=st.lists(st.tuples(KEYS, VALUES, leases), max_size=3),
        deletes=st.lists(KEYS.map(Delete) | PREFIXES.map(DeletePrefix), max_size=1),
        otherwise=st.lists(KEYS.map(Delete) | st.builds(Put, KEYS, VALUES), max_size=2),
    )
    def commit(
        self,
        who: int,
        when: list[Comparison],
        puts: list[tuple[str, bytes, int]],
        deletes: list[Write],
        otherwise: list[Write],
    ) -> None:
        async def commit(peer: Peer) -> Any:
            compares = [self.compare(comparison, peer) for comparison in when]
            then = [Put(key, value, peer.leases[lease]) for key, value, lease in puts]
            return await peer.stores[who].commit(compares, [*then, *deletes], otherwise)

        outcome = self.agree(commit)
        if isinstance(outcome, Committed):
            self.newest = outcome.revision

    @rule(target=leases, who=st.integers(0, 1), ttl_s=st.integers(1, 6))
    def grant(self, who: int, ttl_s: int) -> Any:
        if isinstance(self.agree(lambda peer: peer.stores[who].grant(max(ttl_s, 2) + self.longer_s)), int):
            self.granted += 1
            return self.granted
        return multiple()

    @rule(who=st.integers(0, 1), lease=leases)
    def renew(self, who: int, lease: int) -> None:
        self.agree(lambda peer: peer.stores[who].renew(peer.leases[lease]))

    @rule(who=st.integers(0, 1), lease=leases)
    def revoke(self, who: int, lease: int) -> None:
        self.agree(lambda peer: peer.stores[who].revoke(peer.leases[lease]))

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 3.5]))
    def time_passes(self, seconds: float) -> None:
        self.agree(lambda peer: peer.engine.passes(seconds))

    @rule(who=st.integers(0, 1), back=st.integers(-1, 6))
    def compact(self, who: int, back: int) -> None:
        newest = self.agree(lambda peer: peer.stores[who].read(""))[0]
        self.agree(lambda peer: peer.stores[who].compact(peer.revision(max(0, newest - back))))

    @rule(who=st.integers(0, 1), prefix=PREFIXES)
    def read(self, who: int, prefix: str) -> None:
        self.agree(lambda peer: peer.stores[who].read(prefix))

    @rule(who=st.integers(0, 1), prefix=PREFIXES, back=st.integers(0, 20))
    def watch(self, who: int, prefix: str, back: int) -> None:
        """A new watch from a few revisions back shows the same batches, up to one that a last put makes sure of."""
        after = max(0, self.newest - back)
        key = f"{prefix}/last"

        async def follow(peer: Peer) -> Any:
            store = peer.stores[who]
            last = (await store.commit([], [Put(key, b"last")])).revision
            batches = store.watch(prefix, peer.base + after)
            seen: list[Any] = []
            try:
                while not seen or seen[-1][0] < last - peer.base:
                    seen.append(peer.plain(await anext(batches)))
            finally:
                await batches.aclose()  # type: ignore[attr-defined]
            return seen

        self.agree(follow)

    @invariant()
    def everything_stands_alike(self) -> None:
        self.newest = self.agree(lambda peer: peer.stores[0].read(""))[0]
        self.agree(lambda peer: peer.has_seen(self.newest))


StoreAgreement.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
TestAgreement = StoreAgreement.TestCase


class StoreAgreementAtLength(StoreAgreement):
    """The same machine, for longer."""


StoreAgreementAtLength.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestAgreementAtLength = pytest.mark.slow(StoreAgreementAtLength.TestCase)


class StoreAgreementOnEtcd(StoreAgreement):
    """The same machine against a real etcd, on which no time passes: what ends leases by itself is in the conformance suite."""

    engines: ClassVar[Mapping[str, Callable[[Path], Awaitable[Engine]]]] = {}
    longer_s = 60  # so that none ends while the steps are made
    time_passes = None  # type: ignore[assignment]


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted({*versions()[:1], *versions()[-1:]}) or [""])
def test_etcd_agrees_with_memory(version: str, etcds: dict[str, EtcdCluster]) -> None:
    class OnThisVersion(StoreAgreementOnEtcd):
        engines: ClassVar[Mapping[str, Callable[[Path], Awaitable[Engine]]]] = {
            "memory": partial(_held, ENGINES["memory"]),
            f"etcd {version}": lambda _: EtcdEngine.empty(etcds, version),
        }

    run_state_machine_as_test(OnThisVersion, settings=settings(max_examples=15, stateful_step_count=30))
