"""Renewing leases over one stream for all of them.

The stream's answers carry the lease and nothing of the request. So a renewal that is given up closes the stream: an
answer that comes late must not count for a renewal that was sent after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import grpc

from tenure.errors import LeaseLost, StoreUnreachable, StoreUnsure
from tenure.store.api import Renewal
from tenure.store.etcd.client import CALL_S, Client, Endpoint, Method
from tenure.store.etcd.faults import Elsewhere, NewToken, fault
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.translation import witness

KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse)


class _Stream:
    """One stream, and who waits for its answers, in the order in which they asked."""

    def __init__(self, endpoint: Endpoint, call: Any) -> None:
        self.endpoint = endpoint
        self.call = call
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
        """Renew it. Raises LeaseLost, StoreUnreachable, StoreUnsure (also when the stream broke for another's sake)."""
        stream = await self._open()
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        stream.waiting.setdefault(lease, deque()).append(answered)
        try:
            async with asyncio.timeout(CALL_S):
                async with stream.writing:
                    await stream.call.write(pb.LeaseKeepAliveRequest(ID=lease))
                answer = await answered
        except BaseException as error:
            self._void(stream, StoreUnsure(f"{stream.endpoint.name} did not answer a renewal in time"))
            if self._client.is_closed:
                raise self._client.closed(True) from None
            if isinstance(error, TimeoutError):
                raise StoreUnsure(f"{stream.endpoint.name} did not answer a renewal in time") from None
            if isinstance(error, grpc.aio.AioRpcError | asyncio.InvalidStateError | grpc.aio.UsageError):
                raise StoreUnsure(f"{stream.endpoint.name}: the connection broke") from None
            raise
        if answer.TTL <= 0:
            raise LeaseLost
        return Renewal(answer.TTL, witness(answer.header))

    async def close(self) -> None:
        """Close the stream."""
        if self._stream is not None:
            self._void(self._stream, self._client.closed(True))

    async def _open(self) -> _Stream:
        async with self._opening:
            if self._stream is None:
                endpoint = await self._client.connected()
                call = endpoint.stream(KEEP_ALIVE)(metadata=await self._client.metadata())
                stream = self._stream = _Stream(endpoint, call)
                stream.reader = asyncio.get_running_loop().create_task(self._read(stream))
            return self._stream

    async def _read(self, stream: _Stream) -> None:
        error: Exception = StoreUnsure(f"{stream.endpoint.name}: the connection broke")
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
        except grpc.aio.AioRpcError as failed:
            meaning = fault(failed, stream.endpoint.name, writes=True)
            if isinstance(meaning, NewToken):
                self._client.forget_token()
                meaning = StoreUnreachable(f"{stream.endpoint.name} asks anew who is there")
            error = StoreUnreachable(meaning.says) if isinstance(meaning, Elsewhere) else meaning
        except asyncio.CancelledError:
            if not self._client.is_closed:
                raise
        self._void(stream, error)

    def _void(self, stream: _Stream, error: Exception) -> None:
        """Nothing that comes from this stream counts any more; the next renewal is sent elsewhere."""
        if self._stream is stream:
            self._stream = None
            self._client.suspect(stream.endpoint)
        stream.call.cancel()
        if stream.reader is not None and stream.reader is not asyncio.current_task():
            stream.reader.cancel()
        for waiting in stream.waiting.values():
            for answered in waiting:
                if not answered.done():
                    answered.set_exception(error)
                    answered.exception()  # it may be nobody's any more
        stream.waiting.clear()
