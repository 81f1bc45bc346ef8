"""A connection to one member of an etcd, and how calls are made on it."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from tenure.store.etcd.address import Address
from tenure.store.etcd.faults import shortened
from tenure.store.etcd.grpc_quietly import grpc
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb

_PROBE_S = 0.2

_OPTIONS = [
    ("grpc.keepalive_time_ms", 6000),  # servers hang up on clients that ping more often than every 5 s
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),  # how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),  # a name is looked up for its address, not for advice on retries
]


class Method(NamedTuple):
    """A call of etcd's API."""

    path: str
    request: Any
    response: Any


STATUS = Method("/etcdserverpb.Maintenance/Status", pb.StatusRequest, pb.StatusResponse)


class Endpoint:
    """One member, by the address that we were told. Whoever makes one closes its `channel`."""

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
        """Why no connection stands, for a person. Only a call is told the reason, and at once, when the attempt has failed."""
        if self.channel.get_state() != grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return "does not answer"
        try:
            await self.unary(STATUS)(pb.StatusRequest(), timeout=_PROBE_S)
        except grpc.aio.AioRpcError as error:
            return shortened(error.details() or "")
        return "was slow to answer"

    def _made(self, method: Method, how: Any) -> Any:
        made = self._calls.get(method.path)
        if made is None:
            made = self._calls[method.path] = how(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
        return made
