"""Watching a prefix: one stream, and another one elsewhere from where it stood when it dies or falls silent.

A stopped member keeps its connections and says nothing, so the stream is asked for a sign of life. What the sign says of
revisions is not used: servers before 3.4.25 and 3.5.8 may send it ahead of events (etcd-io/etcd#15220). A member that has
lost its leader ends the stream by itself, since it is told to require one.

A watch that must begin in the past begins with the revision that its reader has seen, whose changes are left out: from a
compaction at the very revision that is wanted first, servers may leave out what was deleted in it (etcd-io/etcd#18089,
#19179); from one further on they say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from itertools import groupby
from typing import Any

from tenure.errors import Compacted, StoreUnreachable
from tenure.store.api import Batch
from tenure.store.etcd.client import Client, Endpoint, Method
from tenure.store.etcd.faults import Elsewhere, NewToken, fault, not_permitted
from tenure.store.etcd.grpc_quietly import grpc
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.translation import change, key_range

WATCH = Method("/etcdserverpb.Watch/Watch", pb.WatchRequest, pb.WatchResponse)

ASK_EVERY_S = 0.5
"""How often a stream is asked for a sign of life."""

DEAD_AFTER_S = 2.0
"""A stream that has said nothing for so long is given up."""

SILENT_AFTER_S = 10.0
"""When no member has been found for so long, the reader is told."""

_PAUSE_S = 0.1


Look = Callable[[], Awaitable[None]]


async def watch(client: Client, prefix: str, after: int, look: Look) -> AsyncGenerator[Batch, None]:
    """Every change under `prefix` after revision `after`, none missed, none twice, from whichever member answers.

    `look` asks all of etcd how far it is, where a member is behind what was seen. Raises Compacted, StoreUnreachable (no member for `SILENT_AFTER_S`, or the store was closed), StoreBroken.
    """
    loop = asyncio.get_running_loop()
    position = after
    heard = loop.time()
    refused = False
    while True:
        endpoint = None
        try:
            endpoint = await client.connected()
            async with aclosing(_batches(client, endpoint, prefix, position, look)) as batches:
                async for batch in batches:
                    heard, refused = loop.time(), False
                    if batch is not None:
                        position = batch.revision
                        yield batch
        except NewToken as error:
            if refused:
                raise error.refusal from None
            refused = True
            continue
        except Elsewhere as error:
            if endpoint is not None:
                client.suspect(endpoint)
            said = error.says
        except StoreUnreachable as error:
            if client.is_closed:
                raise
            said = error.message
        else:
            continue
        if loop.time() - heard > SILENT_AFTER_S:
            raise StoreUnreachable(f"{client.address.url} can't be watched: {said}")
        await asyncio.sleep(_PAUSE_S)


async def _batches(
    client: Client, endpoint: Endpoint, prefix: str, after: int, look: Look
) -> AsyncGenerator[Batch | None, None]:
    """One stream's batches; None is a sign of life. Raises Elsewhere when it dies, NewToken, Compacted, StoreDenied."""
    stream = _Stream(client, endpoint)
    try:
        stood_at = await stream.open(prefix, after + 1)
        yield None
        if stood_at > after > 0:
            stream.close()
            stream = _Stream(client, endpoint)
            await stream.open(prefix, after)
        elif stood_at < after:
            await look()
        events: list[Any] = []
        while True:
            response = await stream.read()
            events.extend(response.events)
            if response.fragment or not events:
                yield None
                continue
            for revision, group in groupby(events, key=lambda event: event.kv.mod_revision):
                if revision > after:
                    yield Batch(revision, tuple(sorted(map(change, group), key=lambda one: one.key)))
            events = []
    finally:
        stream.close()


class _Stream:
    """One stream at one member, which is asked for signs of life once it is open."""

    def __init__(self, client: Client, endpoint: Endpoint) -> None:
        self._client, self._endpoint = client, endpoint
        self._call: Any = None
        self._token = ""
        self._asking: asyncio.Task[None] | None = None

    async def open(self, prefix: str, start: int) -> int:
        """Watch from revision `start` on; returns the newest that the member knew. Raises as `read`."""
        first, end = key_range(prefix)
        create = pb.WatchCreateRequest(key=first, range_end=end, start_revision=start, fragment=True)
        metadata, self._token = await self._client.metadata()
        self._call = self._endpoint.stream(WATCH)(metadata=metadata)
        await self._within(self._client.call_s, lambda: self._call.write(pb.WatchRequest(create_request=create)))
        response = await self.read()
        self._asking = asyncio.get_running_loop().create_task(_ask(self._call))
        return int(response.header.revision)

    async def read(self) -> Any:
        """What it says next. Raises Elsewhere, NewToken, Compacted, StoreDenied, StoreUnreachable when closed."""
        response = await self._within(DEAD_AFTER_S if self._asking else self._client.call_s, lambda: self._call.read())
        if response is grpc.aio.EOF:
            await self._within(self._client.call_s, self._end)
            raise Elsewhere(f"{self._endpoint.name} ended the watch")
        self._client.same.note_cluster(response.header)
        self._client.same.check()
        self._client.met(response.header)
        if response.compact_revision:
            raise Compacted
        if response.canceled:
            self._cancelled(response.cancel_reason, response.created)
        return response

    def close(self) -> None:
        """End it."""
        if self._asking is not None:
            self._asking.cancel()
        if self._call is not None:
            self._call.cancel()

    async def _end(self) -> None:
        """Raises what the stream ended with, if that was an error."""
        code = await self._call.code()
        if code != grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(
                code, await self._call.initial_metadata(), grpc.aio.Metadata(), await self._call.details()
            )

    async def _within(self, limit_s: float, step: Any) -> Any:
        try:
            async with asyncio.timeout(limit_s) as limit:
                with self._client.under_way(lambda: limit.reschedule(0)):
                    return await step()
        except TimeoutError:
            if self._client.is_closed:
                raise self._client.closed(False) from None
            # A server that takes a watch with a token that it doesn't know may say nothing at all.
            self._client.forget_token(self._token)
            raise Elsewhere(f"{self._endpoint.name} says nothing") from None
        except grpc.aio.AioRpcError as error:
            raise self._meaning(fault(error, self._endpoint.name, writes=False)) from None
        except (asyncio.CancelledError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            if self._client.is_closed:
                raise self._client.closed(False) from None
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Elsewhere(f"{self._endpoint.name}: the connection broke") from None

    def _cancelled(self, reason: str, at_once: bool) -> None:
        if "permission denied" in reason or "token" in reason or "auth store" in reason or (at_once and not reason):
            # Older servers say no more of a token that they don't know than of a user who may not.
            raise self._meaning(NewToken(not_permitted("to watch this prefix")))
        raise Elsewhere(f"{self._endpoint.name} ended the watch: {reason}")

    def _meaning(self, error: Exception) -> Exception:
        if isinstance(error, NewToken):
            self._client.forget_token(self._token)
        if self._client.is_closed:
            return self._client.closed(False)
        return error


async def _ask(call: Any) -> None:
    with suppress(grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await call.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
