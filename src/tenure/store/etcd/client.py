"""Calls at whichever member of an etcd answers: a deadline on each, fail-over, and the token of who we are.

A call is sent only on a connection that stands, so one that could not be made has surely not been sent. What is sent and
not answered may have happened: a write is then unsure, a read is asked again of another member.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tenure.errors import StoreUnreachable, StoreUnsure
from tenure.store.etcd.address import Address
from tenure.store.etcd.endpoint import STATUS, Endpoint, Method
from tenure.store.etcd.faults import Elsewhere, NewToken, fault, unreachable
from tenure.store.etcd.grpc_quietly import grpc
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.same import Same

__all__ = ["CALL_S", "STATUS", "Client", "Endpoint", "Method"]

CALL_S = 1.0
"""How long an answer is waited for, unless a client is made with another length; the caller may cancel sooner. What can be
asked of another member as well, one may take half of it over."""

SLOWEST_BYTES_PER_S = 1024 * 1024
"""What a link should carry; a large request or answer is waited for accordingly longer."""

CONNECT_S = 0.5
"""How long a connection may take, the first exchange on it included: a stopped process accepts and says nothing."""

SUSPECT_AFTER_S = 0.1
"""A call that its caller gives up after so long says that another member is to be asked next."""

AUTHENTICATE_S = 3.0
"""How long a password's check may take: it is made to be costly."""

_ELECTION_PAUSE_S = 0.05

_END_LOOKS, _END_LOOK_S = 50, 0.001

AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse)

_REQUIRE_LEADER = ("hasleader", "true")


class Client:
    """Makes calls at whichever member answers. Of one event loop; any number of calls at a time.

    One member is in use, the first of the address to begin with, until it fails or falls silent; then the next one.
    """

    def __init__(self, address: Address, call_s: float = CALL_S) -> None:
        self.address = address
        self.call_s = call_s
        self.endpoints = [Endpoint(name, address) for name in address.endpoints]
        self._current = 0
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        self._closed = False
        self._under_way: set[Callable[[], object]] = set()
        self.same = Same(address.url)
        self.met: Callable[[Any], None] = lambda header: None
        """Told the header of each answer that says what has become of keys, before anybody acts on it."""

    async def call(
        self, method: Method, request: Any, *, writes: bool = False, local: bool = False, size: int = 0
    ) -> Any:
        """The answer. `writes`: it may change something, so it is not sent twice. `local`: a member without a leader may answer.
        `size`: how many bytes are expected, if they are many: they are given the time that a slow link takes.

        Raises StoreUnsure (only with `writes`), StoreUnreachable, StoreBroken, BadInput, LeaseLost, and of what is
        asked of a certain revision `faults.Forgotten` and `faults.ToCome`.
        """
        loop = asyncio.get_running_loop()
        attempt_s = self.call_s if writes else self.attempt_s
        attempt_s += (request.ByteSize() + size) / SLOWEST_BYTES_PER_S
        patient_until = loop.time() + self.call_s
        reasons: dict[str, str] = {}
        renewed = electing = False
        while True:
            try:
                endpoint = await self.connected(reasons)
            except StoreUnreachable:
                if not electing or loop.time() > patient_until:
                    raise
                reasons.clear()
                electing = False
                await asyncio.sleep(_ELECTION_PAUSE_S)
                continue
            token = await self._the_token()
            try:
                return await self._once(endpoint, method, request, self._metadata(token, local), writes, attempt_s)
            except NewToken as error:
                self.forget_token(token)
                if renewed:
                    raise error.refusal from None
                renewed = True
            except Elsewhere as error:
                reasons[endpoint.name] = error.says
                electing = electing or error.waits
                self.suspect(endpoint)
            except StoreUnsure:
                self.suspect(endpoint)
                raise

    async def call_at(self, endpoint: Endpoint, method: Method, request: Any) -> Any:
        """The answer of this very member, leader or none, to a call that changes nothing. Raises as `call` does."""
        if not await endpoint.ready(CONNECT_S):
            raise unreachable({endpoint.name: await endpoint.why_not()})
        metadata = self._metadata(await self._the_token(), True)
        try:
            return await self._once(endpoint, method, request, metadata, False, self.call_s)
        except (Elsewhere, NewToken) as error:
            raise unreachable({endpoint.name: str(error)}) from None

    async def connected(self, failed: dict[str, str] | None = None) -> Endpoint:
        """The member in use, or the next to which a connection stands; none of `failed`, to which is added what fails now.

        Raises StoreUnreachable when none is left.
        """
        reasons = {} if failed is None else failed
        for _ in self.endpoints:
            self._check_open()
            endpoint = self.endpoints[self._current]
            if endpoint.name not in reasons:
                if await endpoint.ready(CONNECT_S):
                    return endpoint
                reasons[endpoint.name] = await endpoint.why_not()
            self.suspect(endpoint)
        self._check_open()
        raise unreachable(reasons)

    def in_use(self, endpoint: Endpoint) -> bool:
        """Whether this is the member that calls go to."""
        return self.endpoints[self._current] is endpoint

    def suspect(self, endpoint: Endpoint) -> None:
        """Another member is to be asked next."""
        if self.in_use(endpoint):
            self._current = (self._current + 1) % len(self.endpoints)

    async def metadata(self) -> tuple[list[tuple[str, str]], str]:
        """What goes with a stream: that a member without a leader must end it, and who we are; and the token in it."""
        token = await self._the_token()
        return self._metadata(token, False), token

    def forget_token(self, token: str) -> None:
        """Ask for a new one, unless that has been done."""
        if self._token == token:
            self._token = None

    @contextmanager
    def under_way(self, end: Callable[[], object]) -> Iterator[None]:
        """Have `close` call `end`: gRPC's own end of a channel leaves streams waiting for what never comes."""
        self._under_way.add(end)
        try:
            yield
        finally:
            self._under_way.discard(end)

    def closed(self, writes: bool) -> StoreUnreachable | StoreUnsure:
        """What a call finds that was under way as the store was closed."""
        return (StoreUnsure if writes else StoreUnreachable)(f"{self.address.url} was closed")

    @property
    def attempt_s(self) -> float:
        """How long one member may take over what another can be asked as well, if there is another."""
        return self.call_s if len(self.endpoints) == 1 else self.call_s / 2

    @property
    def is_closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    async def close(self) -> None:
        """End all calls and connections."""
        self._closed = True
        for end in list(self._under_way):
            end()
        for endpoint in self.endpoints:
            await endpoint.channel.close()
        await _streams_end()

    async def _once(
        self, endpoint: Endpoint, method: Method, request: Any, metadata: Any, writes: bool, timeout_s: float
    ) -> Any:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            call = endpoint.unary(method)(request, timeout=timeout_s, metadata=metadata)
            with self.under_way(call.cancel):
                return await call
        except grpc.aio.AioRpcError as error:
            if self._closed:
                raise self.closed(writes) from None
            raise fault(error, endpoint.name, writes=writes) from None
        except asyncio.CancelledError:
            if self._closed:
                raise self.closed(writes) from None
            if loop.time() - begun > SUSPECT_AFTER_S:
                self.suspect(endpoint)
            raise
        except grpc.aio.UsageError:
            raise self.closed(False) from None

    def _metadata(self, token: str, local: bool) -> list[tuple[str, str]]:
        said = [] if local else [_REQUIRE_LEADER]
        return [*said, ("token", token)] if token else said

    async def _the_token(self) -> str:
        """Empty where no user is named, or etcd asks for none."""
        if not self.address.user:
            return ""
        async with self._authenticating:
            if self._token is None:
                self._token = await self._authenticate()
            return self._token

    async def _authenticate(self) -> str:
        request = pb.AuthenticateRequest(name=self.address.user, password=self.address.password)
        reasons: dict[str, str] = {}
        while True:
            endpoint = await self.connected(reasons)
            try:
                answer = await endpoint.unary(AUTHENTICATE)(request, timeout=AUTHENTICATE_S, metadata=[_REQUIRE_LEADER])
            except grpc.aio.AioRpcError as error:
                if "authentication is not enabled" in (error.details() or ""):
                    return ""
                if self._closed:
                    raise self.closed(False) from None
                meaning = fault(error, endpoint.name, writes=False)
                if not isinstance(meaning, Elsewhere):
                    raise meaning from None
                reasons[endpoint.name] = meaning.says
                self.suspect(endpoint)
            except grpc.aio.UsageError:
                raise self.closed(False) from None
            else:
                return str(answer.token)

    def _check_open(self) -> None:
        if self._closed:
            raise self.closed(False)


async def _streams_end() -> None:
    """Return when gRPC's own tasks have been told that their streams are over.

    What it tells a loop that is closed ends in a traceback of its poller's, and what it had to tell other loops is lost.
    """
    for _ in range(_END_LOOKS):
        if not any(
            getattr(task.get_coro(), "__qualname__", "").startswith("_AioCall.") for task in asyncio.all_tasks()
        ):
            return
        await asyncio.sleep(_END_LOOK_S)
