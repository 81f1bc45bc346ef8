"""Connections to the members of an etcd: one channel each, one of them in use until it fails; a deadline on every call.

A call is sent only on a connection that stands, so one that could not be made has surely not been sent. What is sent and
not answered may have happened: a write is then unsure, a read is asked again of another member.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, NamedTuple

# Both are read when gRPC is imported. It forks nothing itself, and what we fork replaces itself at once.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from tenure.errors import BadInput, StoreUnreachable, StoreUnsure
from tenure.store.etcd.address import Address
from tenure.store.etcd.faults import Elsewhere, NewToken, fault, shortened, unreachable
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb

CALL_S = 1.0
"""How long an answer is waited for; the caller may cancel sooner."""

CONNECT_S = 0.5
"""How long a connection may take, the first exchange on it included: a stopped process accepts and says nothing."""

SUSPECT_AFTER_S = 0.1
"""A call that its caller gives up after so long says that another member is to be asked next."""

_OPTIONS = [
    ("grpc.keepalive_time_ms", 6000),  # servers hang up on clients that ping more often than every 5 s
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class Method(NamedTuple):
    """A call of etcd's API."""

    path: str
    request: Any
    response: Any


STATUS = Method("/etcdserverpb.Maintenance/Status", pb.StatusRequest, pb.StatusResponse)
AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse)


class Endpoint:
    """One member, by the address that we were told."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        if address.tls is None:
            self.channel = grpc.aio.insecure_channel(name, options=_OPTIONS)
        else:
            tls = address.tls
            credentials = grpc.ssl_channel_credentials(tls.authorities, tls.key, tls.certificate)
            self.channel = grpc.aio.secure_channel(name, credentials, options=_OPTIONS)
        self._calls: dict[str, Any] = {}

    def unary(self, method: Method) -> Any:
        """How to make this call here."""
        return self._made(method, self.channel.unary_unary)

    def stream(self, method: Method) -> Any:
        """How to open this stream here."""
        return self._made(method, self.channel.stream_stream)

    async def ready(self, within_s: float) -> bool:
        """Whether a connection stands, made now if need be."""
        state = self.channel.get_state(try_to_connect=True)
        if state == grpc.ChannelConnectivity.READY:
            return True
        try:
            async with asyncio.timeout(within_s):
                while state != grpc.ChannelConnectivity.READY:
                    if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                        return False
                    await self.channel.wait_for_state_change(state)
                    state = self.channel.get_state(try_to_connect=True)
        except TimeoutError:
            return False
        return True

    async def why_not(self) -> str:
        """Why no connection stands, for a person."""
        try:
            await self.unary(STATUS)(pb.StatusRequest(), timeout=0.2)
        except grpc.aio.AioRpcError as error:
            return shortened(error.details() or "")
        return "it was slow to answer"

    def _made(self, method: Method, how: Any) -> Any:
        made = self._calls.get(method.path)
        if made is None:
            made = self._calls[method.path] = how(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
        return made


class Client:
    """Makes calls at whichever member answers. Of one event loop; any number of calls at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.endpoints = [Endpoint(name, address) for name in address.endpoints]
        self._current = 0
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        self._closed = False

    async def call(self, method: Method, request: Any, *, writes: bool = False, timeout_s: float = CALL_S) -> Any:
        """The answer. `writes`: it may change something, so that it is not sent twice.

        Raises StoreUnsure (only with `writes`), StoreUnreachable, StoreBroken, BadInput, LeaseLost.
        """
        reasons: dict[str, str] = {}
        tokens = 0
        while True:
            endpoint = await self.connected(reasons)
            try:
                return await self._once(endpoint, method, request, writes, timeout_s)
            except NewToken:
                tokens += 1
                self._token = None
                if tokens > 1:
                    raise self._nobody() from None
            except Elsewhere as error:
                reasons[endpoint.name] = error.says
                self.suspect(endpoint)
            except StoreUnsure:
                self.suspect(endpoint)
                raise

    async def call_at(self, endpoint: Endpoint, method: Method, request: Any, timeout_s: float = CALL_S) -> Any:
        """The answer of this very member, to a call that changes nothing. Raises StoreUnreachable and what `call` raises."""
        if not await endpoint.ready(CONNECT_S):
            raise unreachable({endpoint.name: await endpoint.why_not()})
        try:
            return await self._once(endpoint, method, request, False, timeout_s)
        except (Elsewhere, NewToken) as error:
            raise unreachable({endpoint.name: str(error) or "it asks who is there"}) from None

    async def connected(self, reasons: dict[str, str] | None = None) -> Endpoint:
        """The member in use, or the next to which a connection stands; none of those in `reasons`, to which it adds.

        Raises StoreUnreachable when there is no other.
        """
        reasons = {} if reasons is None else reasons
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

    def suspect(self, endpoint: Endpoint) -> None:
        """Another member is to be asked next."""
        if self.endpoints[self._current] is endpoint:
            self._current = (self._current + 1) % len(self.endpoints)

    async def metadata(self) -> list[tuple[str, str]]:
        """What goes with each call: that a member without a leader must refuse it, and who we are."""
        said = [("hasleader", "true")]
        if self.address.user:
            said.append(("token", await self._the_token()))
        return said

    def forget_token(self) -> None:
        """The next call asks for a new one."""
        self._token = None

    def closed(self, writes: bool) -> StoreUnreachable | StoreUnsure:
        """What a call finds that was under way as the store was closed."""
        return (StoreUnsure if writes else StoreUnreachable)(f"{self.address.url} was closed")

    @property
    def is_closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    async def close(self) -> None:
        """End all calls and connections."""
        self._closed = True
        for endpoint in self.endpoints:
            await endpoint.channel.close()

    async def _once(self, endpoint: Endpoint, method: Method, request: Any, writes: bool, timeout_s: float) -> Any:
        metadata = await self.metadata()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            return await endpoint.unary(method)(request, timeout=timeout_s, metadata=metadata)
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

    async def _the_token(self) -> str:
        async with self._authenticating:
            if self._token is None:
                self._token = await self._authenticate()
            return self._token

    async def _authenticate(self) -> str:
        request = pb.AuthenticateRequest(name=self.address.user, password=self.address.password)
        reasons: dict[str, str] = {}
        for _ in self.endpoints:
            endpoint = await self.connected(reasons)
            try:
                answer = await endpoint.unary(AUTHENTICATE)(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if "authentication is not enabled" in (error.details() or ""):
                    return ""
                meaning = fault(error, endpoint.name, writes=False)
                if not isinstance(meaning, Elsewhere):
                    raise meaning from None
                reasons[endpoint.name] = meaning.says
                self.suspect(endpoint)
            else:
                return str(answer.token)
        raise unreachable(reasons)

    def _nobody(self) -> BadInput:
        return BadInput(
            "etcd does not accept who we say we are", hint="look at TENURE_STORE_USER, or at the client certificate"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise self.closed(False)
