"""`etcd://host:2379,…/`: a store of several machines, by etcd's v3 API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from tenure.errors import BadInput, LeaseLost, StoreUnreachable
from tenure.store.api import Batch, Committed, Compare, Grant, Item, Refused, Renewal, Snapshot, Traits, Write
from tenure.store.checks import check_prefix, check_transaction, check_ttl
from tenure.store.etcd import members, translation, watching
from tenure.store.etcd.address import parse
from tenure.store.etcd.client import Client, Method
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.renewals import Renewals

RANGE = Method("/etcdserverpb.KV/Range", pb.RangeRequest, pb.RangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", pb.TxnRequest, pb.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", pb.CompactionRequest, pb.CompactionResponse)
LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse)

PAGE = 1000
"""Keys that one answer of a reading holds; more come in further ones, at the same revision."""


async def open_etcd(url: str) -> EtcdStore:
    """The store at the endpoints that `url` names. Raises as `open_store` does."""
    address = parse(url)
    client = Client(address)
    try:
        return EtcdStore(client, await members.traits(client))
    except BaseException:
        await client.close()
        raise


class EtcdStore:
    """A connection to an etcd, of one event loop. `open_etcd` makes it."""

    def __init__(self, client: Client, traits: Traits) -> None:
        self._client = client
        self._traits = traits
        self._renewals = Renewals(client)

    @property
    def url(self) -> str:
        """The endpoints that it was opened with."""
        return self._client.address.url

    @property
    def traits(self) -> Traits:
        """As the oldest version among the members has them, when it was opened."""
        return self._traits

    @property
    def client(self) -> Client:
        """For what is etcd's alone: its members, its users."""
        return self._client

    async def read(self, prefix: str) -> Snapshot:
        """All keys under `prefix`, linearizable, with the member that has answered. Raises StoreUnreachable, StoreBroken, BadInput."""
        check_prefix(prefix)
        while True:
            try:
                return await self._read(prefix)
            except _CompactedAway:
                continue

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """One transaction. Raises StoreUnsure, StoreUnreachable, StoreBroken, BadInput, LeaseLost; unsure too when cancelled."""
        check_transaction(when, then, otherwise)
        response = await self._client.call(TXN, translation.transaction(when, then, otherwise), writes=True)
        return translation.outcome(response, when)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Every change under `prefix` after revision `after`. Raises Compacted, StoreUnreachable, StoreBroken."""
        check_prefix(prefix)
        async with aclosing(watching.watch(self._client, prefix, after)) as batches:
            async for batch in batches:
                yield batch

    async def grant(self, ttl_s: int) -> Grant:
        """A new lease. Raises BadInput, StoreUnsure, StoreUnreachable, StoreBroken."""
        check_ttl(ttl_s, self._traits)
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
        try:
            await self._client.call(COMPACT, pb.CompactionRequest(revision=revision))
        except StoreUnreachable as error:
            if "required revision has been compacted" in error.message:
                return
            if "required revision is a future revision" in error.message:
                raise BadInput(f"there is no revision {revision} to forget the history before") from None
            raise

    async def close(self) -> None:
        """End streams and connections; calls under way fail with StoreUnreachable or StoreUnsure."""
        await self._renewals.close()
        await self._client.close()

    async def _read(self, prefix: str) -> Snapshot:
        start, end = translation.key_range(prefix)
        items: dict[str, Item] = {}
        header, revision = None, 0
        while True:
            request = pb.RangeRequest(key=start, range_end=end, limit=PAGE, revision=revision)
            try:
                response = await self._client.call(RANGE, request)
            except StoreUnreachable as error:
                if revision and "required revision has been compacted" in error.message:
                    raise _CompactedAway from None
                raise
            header = header or response.header
            revision = header.revision
            for kv in response.kvs:
                items[kv.key.decode()] = translation.item(kv)
            if not response.more:
                return Snapshot(revision, items, translation.witness(header))
            start = response.kvs[-1].key + b"\0"


class _CompactedAway(Exception):
    """Between two pages the history that they are read from was forgotten."""
