"""`etcd://host:2379,…/`: a store of several machines, by etcd's v3 API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from tenure.errors import BadInput, LeaseLost, StoreUnreachable
from tenure.store.api import Batch, Committed, Compare, Grant, Item, Refused, Renewal, Snapshot, Traits, Write
from tenure.store.checks import check_prefix, check_revision, check_transaction, check_ttl
from tenure.store.etcd import translation, watching
from tenure.store.etcd.address import parse
from tenure.store.etcd.client import CALL_S, Client, Method
from tenure.store.etcd.faults import Forgotten, Silent, ToCome
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.renewals import Renewals
from tenure.store.etcd.versions import LEAST_TTL_S, SETTLES_S, Versions

RANGE = Method("/etcdserverpb.KV/Range", pb.RangeRequest, pb.RangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", pb.TxnRequest, pb.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", pb.CompactionRequest, pb.CompactionResponse)
LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse)

PAGE_FIRST, PAGE_MOST = 4, 2000
"""Keys that the first answer of a reading holds, and any. A charm's chunks are a MiB each, most keys some hundred bytes."""

PAGE_BYTES = 2 * 1024 * 1024
"""What an answer of a reading should be like, by the one before it."""

READINGS_MOST = 5
"""How often a reading begins anew whose revision was compacted away before its last page."""


async def open_etcd(
    url: str, *, least_ttl_s: int = LEAST_TTL_S, call_s: float = CALL_S, settles_s: float = SETTLES_S
) -> EtcdStore:
    """The store at the endpoints that `url` names. Raises as `open_store` does.

    `least_ttl_s`, `settles_s`: for tests of short leases and soon trusted ones; `call_s`: how long a call may take.
    """
    client = Client(parse(url), call_s)
    try:
        versions = Versions(client, least_ttl_s, settles_s)
        await versions.look()
        return EtcdStore(client, versions)
    except BaseException:
        await client.close()
        raise


class EtcdStore:
    """A connection to an etcd, of one event loop. `open_etcd` makes it."""

    def __init__(self, client: Client, versions: Versions) -> None:
        self._client = client
        self._versions = versions
        self._renewals = Renewals(client)

    @property
    def url(self) -> str:
        """The endpoints that it was opened with."""
        return self._client.address.url

    @property
    def traits(self) -> Traits:
        """As the oldest version among the members has them; looked at again when etcd's leader has changed."""
        return self._versions.traits

    @property
    def client(self) -> Client:
        """For what is etcd's alone: its members, its users."""
        return self._client

    async def read(self, prefix: str) -> Snapshot:
        """All keys under `prefix`, linearizable, with the member that has answered. Raises StoreUnreachable, StoreBroken."""
        check_prefix(prefix)
        for _ in range(READINGS_MOST):
            try:
                return await self._read(prefix)
            except Forgotten:
                continue
        raise StoreUnreachable(f"{self.url} forgets its history faster than {prefix} can be read")

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """One transaction. Raises StoreUnsure, StoreUnreachable, StoreBroken, BadInput, LeaseLost; unsure too when cancelled."""
        check_transaction(when, then, otherwise)
        since = self._client.same.revision
        response = await self._client.call(TXN, translation.transaction(when, then, otherwise), writes=True)
        # What has landed is told; what is asked next is told that it isn't the same store.
        self._client.same.note(response.header, since)
        self._client.met(response.header)
        return translation.outcome(response, when)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Every change under `prefix` after revision `after`. Raises Compacted, StoreUnreachable, StoreBroken."""
        check_prefix(prefix)
        async with aclosing(watching.watch(self._client, prefix, after, self._look)) as batches:
            async for batch in batches:
                yield batch

    async def grant(self, ttl_s: int) -> Grant:
        """A new lease. Raises BadInput, StoreUnsure, StoreUnreachable, StoreBroken."""
        check_ttl(ttl_s, self.traits)
        response = await self._client.call(LEASE_GRANT, pb.LeaseGrantRequest(TTL=ttl_s), writes=True)
        return Grant(response.ID, response.TTL)

    async def renew(self, lease: int) -> Renewal:
        """Begin the lease's ttl anew. Raises LeaseLost, StoreUnsure, StoreUnreachable, StoreBroken."""
        return await self._renewals.renew(lease)

    async def revoke(self, lease: int) -> None:
        """End the lease and its keys now. Raises StoreUnsure, StoreUnreachable, StoreBroken."""
        try:
            await self._client.call(LEASE_REVOKE, pb.LeaseRevokeRequest(ID=lease), writes=True)
        except LeaseLost:
            pass

    async def compact(self, revision: int) -> None:
        """Forget the history before `revision`. Raises BadInput when it doesn't exist yet, StoreUnreachable, StoreBroken."""
        newest = await self._client.call(RANGE, pb.RangeRequest(key=b"\0", count_only=True))
        check_revision(revision, newest.header.revision)
        # etcd forgets the named revision's history, too, and refuses a watch only from before it.
        if revision > 1:
            try:
                await self._client.call(COMPACT, pb.CompactionRequest(revision=revision - 1))
            except Forgotten:
                pass
            except ToCome:
                raise BadInput(f"there is no revision {revision} to forget the history before") from None

    async def close(self) -> None:
        """End streams and connections; calls under way fail with StoreUnreachable or StoreUnsure."""
        await self._versions.close()
        await self._renewals.close()
        await self._client.close()

    async def _look(self) -> None:
        """Ask for the newest revision alone. Raises StoreReplaced."""
        since = self._client.same.revision
        newest = await self._client.call(RANGE, pb.RangeRequest(key=b"\0", count_only=True))
        self._client.same.note(newest.header, since)
        self._client.same.check()

    async def _read(self, prefix: str) -> Snapshot:
        start, end = translation.key_range(prefix)
        items: dict[str, Item] = {}
        header, revision, limit = None, 0, PAGE_FIRST
        while True:
            request = pb.RangeRequest(key=start, range_end=end, limit=limit, revision=revision)
            since = self._client.same.revision
            try:
                response = await self._client.call(RANGE, request, size=PAGE_BYTES if revision else 0)
            except Silent:
                # It has just answered: where small keys are followed by large ones the answer may be too large for the link.
                if not revision or limit == 1:
                    raise
                limit = max(1, limit // 16)
                continue
            self._client.same.note(response.header, since)
            self._client.same.check()
            header = header or response.header
            revision = header.revision
            size = 0
            for kv in response.kvs:
                items[kv.key.decode()] = translation.item(kv)
                size += len(kv.key) + len(kv.value)
            if not response.more:
                self._client.met(header)
                return Snapshot(revision, items, translation.witness(header))
            start = response.kvs[-1].key + b"\0"
            limit = max(1, min(PAGE_MOST, 16 * limit, len(response.kvs) * PAGE_BYTES // (size + 1)))
