"""Renewing leases over one stream for all of them.

The stream's answers carry the lease and nothing of the request. So a renewal that is given up closes the stream: an
answer that comes late must not count for a renewal that was sent after it. Whoever else was waiting on it asks again on
the next stream: it counts from the first asking, which was earlier.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from tenure.errors import LeaseLost, StoreUnsure
from tenure.store.api import Renewal
from tenure.store.etcd.client import SUSPECT_AFTER_S, Client, Endpoint, Method
from tenure.store.etcd.faults import Elsewhere, NewToken, fault
from tenure.store.etcd.grpc_quietly import grpc
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.translation import witness

KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse)


class _Stream:
    """One stream, and who waits for its answers, in the order in which they asked."""

    def __init__(self, endpoint: Endpoint, call: Any, token: str) -> None:
        self.endpoint = endpoint
        self.call = call
        self.token = token
        self.writing = asyncio.Lock()
        self.waiting: dict[int, deque[asyncio.Future[Any]]] = {}
        self.reader: asyncio.Task[None] | None = None


class Renewals:
    """Renews leases at the member in use."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stream: _Stream | None = None
        self._opening = asyncio.Lock()

    async def renew(self, lease: int) -> Renewal:
        """Renew it, at another member when the first is silent. Raises LeaseLost, StoreUnreachable, StoreUnsure, StoreBroken."""
        deadline = asyncio.get_running_loop().time() + self._client.call_s
        renewed = False
        while True:
            stream = await self._open()
            left = deadline - asyncio.get_running_loop().time()
            try:
                answer = await self._ask(stream, lease, min(left, self._client.attempt_s))
            except NewToken as error:
                self._client.forget_token(stream.token)
                if renewed:
                    raise error.refusal from None
                renewed = True
            except Elsewhere as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise StoreUnsure(f"a renewal's end is not known: {error.says}") from None
            else:
                self._client.same.note_cluster(answer.header)
                self._client.same.check()
                self._client.met(answer.header)
                if answer.TTL <= 0:
                    raise LeaseLost
                return Renewal(answer.TTL, witness(answer.header))

    async def close(self) -> None:
        """Close the stream."""
        if (stream := self._stream) is not None:
            self._void(stream, self._client.closed(True))
            if stream.reader is not None:
                await asyncio.wait([stream.reader])

    async def _open(self) -> _Stream:
        """The stream at the member in use: reads that confirm a renewal must go to where it was made."""
        async with self._opening:
            stream = self._stream
            if stream is not None and not self._client.in_use(stream.endpoint):
                self._stream = None
                self._end_when_done(stream)
                stream = None
            if stream is None:
                endpoint = await self._client.connected()
                metadata, token = await self._client.metadata()
                stream = self._stream = _Stream(endpoint, endpoint.stream(KEEP_ALIVE)(metadata=metadata), token)
                stream.reader = asyncio.get_running_loop().create_task(self._read(stream))
            return stream

    async def _ask(self, stream: _Stream, lease: int, within_s: float) -> Any:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        answered: asyncio.Future[Any] = loop.create_future()
        stream.waiting.setdefault(lease, deque()).append(answered)
        silent = Elsewhere(f"{stream.endpoint.name} did not answer in time")
        broken = Elsewhere(f"{stream.endpoint.name}: the connection broke")
        try:
            async with asyncio.timeout(within_s) as limit:
                with self._client.under_way(lambda: limit.reschedule(0)):
                    async with stream.writing:
                        await stream.call.write(pb.LeaseKeepAliveRequest(ID=lease))
                    return await answered
        except TimeoutError:
            if self._client.is_closed:
                raise self._client.closed(True) from None
            self._client.suspect(stream.endpoint)
            self._void(stream, silent)
            raise silent from None
        except asyncio.CancelledError:
            if loop.time() - begun > SUSPECT_AFTER_S:
                self._client.suspect(stream.endpoint)
            self._void(stream, silent)
            if self._client.is_closed:
                raise self._client.closed(True) from None
            raise
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            # The reader knows why; it may not have been told yet.
            if not answered.done():
                self._void(stream, broken)
            if self._client.is_closed:
                raise self._client.closed(True) from None
            return await answered

    async def _read(self, stream: _Stream) -> None:
        error: Exception = Elsewhere(f"{stream.endpoint.name}: the connection broke")
        try:
            while (answer := await stream.call.read()) is not grpc.aio.EOF:
                waiting = stream.waiting.get(answer.ID)
                if not waiting:
                    continue
                answered = waiting.popleft()
                if not waiting:
                    del stream.waiting[answer.ID]
                if not answered.done():
                    answered.set_result(answer)
                if self._stream is not stream and not stream.waiting:
                    break
        except grpc.aio.AioRpcError as failed:
            error = fault(failed, stream.endpoint.name, writes=False)
        except asyncio.CancelledError:
            if not self._client.is_closed:
                raise
            error = self._client.closed(True)
        if isinstance(error, Elsewhere) and stream.waiting:
            self._client.suspect(stream.endpoint)
        self._void(stream, error)

    def _end_when_done(self, stream: _Stream) -> None:
        if not stream.waiting:
            self._void(stream, self._client.closed(True))

    def _void(self, stream: _Stream, error: Exception) -> None:
        """Nothing that comes from this stream counts any more."""
        if self._stream is stream:
            self._stream = None
        stream.call.cancel()
        if stream.reader is not None and stream.reader is not asyncio.current_task():
            stream.reader.cancel()
        for waiting in stream.waiting.values():
            for answered in waiting:
                if not answered.done():
                    answered.set_exception(error)
                    answered.exception()  # it may be nobody's any more
        stream.waiting.clear()
