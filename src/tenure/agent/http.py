"""What an agent answers over HTTP, where it is asked to: `/metrics` for Prometheus, `/leader/APP` for load balancers, `/health`.

Only GET and HEAD, one request for each connection. Nobody is asked who they are: bind it where only those who may know
can reach it. No setting, databag or password is ever in an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

from tenure.agent.host import Host
from tenure.errors import BadInput, No
from tenure.names import LEADER_OFFICE
from tenure.office.driver import Answer, Candidate

HEAD_MAX = 8 * 1024
HEAD_WITHIN_S = 5.0
"""How long a request's head may take, and an answer to be taken: a slow reader must not be held for ever."""

AT_ONCE = 64
"""Connections that are served at a time; what comes beyond is closed."""

_log = logging.getLogger("tenure.agent.http")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: HTTPStatus
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def parse_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9180`, `[::1]:9180`, `:9180` (every address). Raises BadInput."""
    host, separator, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not separator or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536 or "[" in host:
        raise BadInput(f'"{text}" is no address to listen on', hint="--http 127.0.0.1:9180")
    return host, int(port)


class HttpServer:
    """Serves one agent's answers in its event loop. `start` it, `close` it."""

    def __init__(self, host: Host, candidates: Callable[[], Iterable[Candidate]], healthy: Callable[[], bool]) -> None:
        # Only here: an agent that nobody watches is spared the library.
        from tenure.agent.metrics import CONTENT_TYPE, AgentMetrics

        self._host, self._candidates, self._healthy = host, candidates, healthy
        self._metrics, self._metrics_kind = AgentMetrics(host, candidates), CONTENT_TYPE
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> None:
        """Listen. Raises BadInput for what is no address, No where it can't be had now."""
        name, port = parse_address(address)
        try:
            self._server = await asyncio.start_server(self._connected, name or None, port, limit=HEAD_MAX)
        except OSError as error:
            raise No(f"can't listen on {address}: {error.strerror or error}", hint="--http with another port") from None
        _log.info("answers /metrics and /leader/APP on %s", address)

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    # ---- one request

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if len(self._open) <= AT_ONCE:
                async with asyncio.timeout(HEAD_WITHIN_S):
                    await self._serve(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or speaks no HTTP
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        target = rest.rpartition(" ")[0]
        try:
            if method not in ("GET", "HEAD"):
                response = Response(
                    HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n", headers={"Allow": "GET, HEAD"}
                )
            else:
                response = await self._answer(target)
        except BadInput as error:
            response = Response(HTTPStatus.BAD_REQUEST, f"{error.message}\n".encode())
        except ValueError:
            response = Response(HTTPStatus.BAD_REQUEST, b"this is no address that could be asked for\n")
        lines = [
            f"HTTP/1.1 {response.status.value} {response.status.phrase}",
            f"Content-Type: {response.kind}",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
            "Cache-Control: no-store",
            "Connection: close",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (response.body if method != "HEAD" else b""))
        await writer.drain()

    async def _answer(self, target: str) -> Response:
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.split("/") if part]
        match parts:
            case ["metrics"]:
                return Response(HTTPStatus.OK, self._metrics.text(), self._metrics_kind)
            case ["health"]:
                return self._health()
            case ["leader", application, *office] if len(office) < 2:
                return await self._leader(application, office[0] if office else LEADER_OFFICE, url.query)
        return Response(HTTPStatus.NOT_FOUND, b"there are /metrics, /health, /leader/APP and /leader/APP/OFFICE\n")

    def _health(self) -> Response:
        if self._healthy():
            return Response(HTTPStatus.OK, b"ok\n")
        return Response(HTTPStatus.SERVICE_UNAVAILABLE, b"the machine's session has no lease: the store is silent\n")

    async def _leader(self, application: str, office: str, query: str) -> Response:
        """Whether a unit of this machine holds the office: 200, else 503; 404 where there is no such office in the model.

        Without `for` nothing is owed: it is so at the instant of the answer. With `for=SECONDS`, of leadership alone and
        no longer than the guarantee, a 200 is a True: nobody else leads for so long.
        """
        name = f"{application}/{office}"
        here = [candidate for candidate in self._candidates() if candidate.keys.name == name]
        known = self._host.view().applications.get(application)
        if not here and (known is None or office not in known.info.offices):
            return Response(HTTPStatus.NOT_FOUND, f"the model has no office {name}\n".encode())
        for_s = _span(query, office, max((one.session.timing.guarantee_s for one in here), default=0.0))
        verdict = "no"
        for candidate in here:
            answer = await self._ask(candidate, for_s)
            if answer.verdict == "yes":
                headers = {
                    "Tenure-Term": str(answer.term),
                    "Tenure-Surely-Left": f"{answer.surely_left_s:.3f}",
                    "Tenure-Owed": f"{answer.owed_s:.3f}",
                }
                document = {"unit": candidate.unit, "office": name, "term": answer.term}
                return Response(HTTPStatus.OK, json.dumps(document).encode() + b"\n", "application/json", headers)
            verdict = answer.verdict if answer.verdict == "unknown" else verdict
        how = (
            "it can't be known whether a unit of this machine holds"
            if verdict == "unknown"
            else "no unit of this machine holds"
        )
        return Response(HTTPStatus.SERVICE_UNAVAILABLE, f"{how} {name}\n".encode())

    async def _ask(self, candidate: Candidate, for_s: float) -> Answer:
        while True:
            answer = await candidate.is_leader(for_s, debtor=None)
            if answer.verdict != "yes" or answer.print_until is None:
                return answer
            if not answer.print_until.reached(self._host.clock.now()):
                return answer


def _span(query: str, office: str, most_s: float) -> float:
    given = parse_qs(query).get("for", [])
    if not given:
        return 0.0
    try:
        for_s = float(given[-1].removesuffix("s"))
    except ValueError:
        for_s = -1.0
    if office != LEADER_OFFICE:
        raise BadInput("for= is for leadership alone: an answer about a singleton is of its instant")
    if not 0 <= for_s <= most_s:
        raise BadInput(f"for= is a number of seconds up to the guarantee, {most_s:g}")
    return for_s
