"""Watching a prefix: one stream, and another one elsewhere from where it stood when it dies or falls silent.

A stopped member keeps its connections and says nothing, so the stream is asked for a sign of life. What the sign says of
revisions is not used: servers before 3.4.25 and 3.5.8 may send it ahead of events (etcd-io/etcd#15220). A member that has
lost its leader ends the stream by itself, since it is told to require one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from itertools import groupby
from typing import Any

import grpc

from tenure.errors import Compacted, StoreBroken, StoreUnreachable, TenureError
from tenure.store.api import Batch
from tenure.store.etcd.client import CALL_S, Client, Endpoint, Method
from tenure.store.etcd.faults import Elsewhere, NewToken, fault
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.translation import change, key_range

WATCH = Method("/etcdserverpb.Watch/Watch", pb.WatchRequest, pb.WatchResponse)

ASK_EVERY_S = 0.5
"""How often a silent stream is asked for a sign of life."""

DEAD_AFTER_S = 2.0
"""A stream that has said nothing for so long is given up."""

SILENT_AFTER_S = 10.0
"""When no member has been found for so long, the reader is told."""

PAUSE_S = 0.1


async def watch(client: Client, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
    """Every change under `prefix` after revision `after`, none missed, none twice, from whichever member answers.

    Raises Compacted, StoreUnreachable (no member for `SILENT_AFTER_S`, or the store was closed), StoreBroken, BadInput.
    """
    loop = asyncio.get_running_loop()
    position = after
    heard = loop.time()
    tokens = 0
    while True:
        said = ""
        try:
            endpoint = await client.connected()
            async with aclosing(_Stream(client, endpoint, prefix, position).batches()) as batches:
                async for batch in batches:
                    heard, tokens = loop.time(), 0
                    if batch is None:
                        continue
                    position = batch.revision
                    yield batch
        except NewToken:
            client.forget_token()
            tokens += 1
            said = "it does not accept who we say we are"
        except Elsewhere as error:
            client.suspect(endpoint)
            said = error.says
        except StoreUnreachable as error:
            if client.is_closed:
                raise
            said = error.message
        if loop.time() - heard > SILENT_AFTER_S or tokens > len(client.endpoints):
            raise StoreUnreachable(f"{client.address.url} can't be watched: {said}")
        await asyncio.sleep(PAUSE_S)


class _Stream:
    """One stream at one member."""

    def __init__(self, client: Client, endpoint: Endpoint, prefix: str, after: int) -> None:
        self._client, self._endpoint = client, endpoint
        start, end = key_range(prefix)
        self._create = pb.WatchRequest(
            create_request=pb.WatchCreateRequest(
                key=start, range_end=end, start_revision=after + 1, progress_notify=True, fragment=True
            )
        )
        self._after = after

    async def batches(self) -> AsyncGenerator[Batch | None, None]:
        """The batches; None is a sign of life. Raises Elsewhere when the stream dies, NewToken, Compacted, StoreBroken."""
        metadata = await self._client.metadata()
        call = self._endpoint.stream(WATCH)(metadata=metadata)
        asking: asyncio.Task[None] | None = None
        try:
            await self._within(CALL_S, call.write(self._create))
            events: list[Any] = []
            while True:
                response = await self._within(DEAD_AFTER_S if asking else CALL_S, call.read())
                if response is grpc.aio.EOF:
                    raise Elsewhere(f"{self._endpoint.name} ended the watch")
                self._check(response)
                if asking is None:
                    asking = asyncio.get_running_loop().create_task(_ask(call))
                events.extend(response.events)
                if response.fragment or not events:
                    yield None
                    continue
                for revision, group in groupby(events, key=lambda event: event.kv.mod_revision):
                    changes = tuple(change(event) for event in group)
                    if revision > self._after:
                        yield Batch(revision, changes)
                events = []
        except grpc.aio.AioRpcError as error:
            raise fault(error, self._endpoint.name, writes=False) from None
        except grpc.aio.UsageError:
            raise self._client.closed(False) from None
        finally:
            if asking is not None:
                asking.cancel()
            call.cancel()

    async def _within(self, limit_s: float, step: Any) -> Any:
        try:
            async with asyncio.timeout(limit_s):
                return await step
        except TimeoutError:
            # A server that takes a watch with a token that it doesn't know says nothing at all.
            self._client.forget_token()
            raise Elsewhere(f"{self._endpoint.name} says nothing") from None
        except asyncio.CancelledError:
            if self._client.is_closed:
                raise self._client.closed(False) from None
            raise
        except asyncio.InvalidStateError:
            raise Elsewhere(f"{self._endpoint.name}: the connection broke") from None

    def _check(self, response: Any) -> None:
        if response.compact_revision:
            raise Compacted
        if not response.canceled:
            return
        reason = response.cancel_reason
        if "permission denied" in reason or (response.created and not reason):
            raise StoreBroken(
                "etcd does not permit this user to watch", hint="`tenure store init` makes users that may"
            )
        if "token" in reason:
            raise NewToken
        raise Elsewhere(f"{self._endpoint.name} ended the watch: {reason}")


async def _ask(call: Any) -> None:
    with suppress(grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError, TenureError):
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await call.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
