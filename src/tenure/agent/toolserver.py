"""The agent's socket: hook tools call it for the hook that runs, commands for what only the agent can tell or do.

Admits processes of the agent's own user and of root alone. A hook's context is served from `admit` to `dismiss`, one
tool at a time; nothing that its tools do begins after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure.agent import wire
from tenure.agent.tools import TOOLS
from tenure.agent.tools.base import Caller, NeedFile, Result, ToolContext, failed
from tenure.errors import BadInput, StoreBroken, TenureError

log = logging.getLogger("tenure.agent.tools")

SOCKET_PATH_MAX = 107
"""Bytes of the longest path that a Unix socket can have (sun_path less the NUL)."""

Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def socket_path(machine: str, state_dir: Path) -> Path:
    """Where the agent of `state_dir` listens: always the same, short, in a folder that none but its user may enter.

    Makes the folder. Raises BadInput when there is none that is its user's alone.
    """
    own = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
    user = os.geteuid()
    candidates = [Path("/run/tenure") if user == 0 else None, Path(f"/tmp/tenure-{user}")]
    if os.environ.get("XDG_RUNTIME_DIR"):
        candidates.insert(0, Path(os.environ["XDG_RUNTIME_DIR"]) / "tenure")
    refused = []
    for folder in filter(None, candidates):
        path = folder / f"{machine[:24]}-{own}.sock"
        if len(os.fsencode(path)) > SOCKET_PATH_MAX:
            refused.append(f"{folder} is too long a name")
        elif why := _not_ours(folder, user):
            refused.append(why)
        else:
            return path
    raise BadInput(f"no folder for the agent's socket: {'; '.join(refused)}", hint="set XDG_RUNTIME_DIR to one")


def _not_ours(folder: Path, user: int) -> str:
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user:
        return f"{folder} is not a folder of this user's"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"others may enter {folder}"
    return ""


@dataclass
class _Admitted:
    context: ToolContext
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)


class ToolServer:
    """Listens at one path. `control` is filled by whoever can answer: verb -> handler, which may raise a TenureError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.control: dict[str, Handler] = {}
        self._admitted: dict[str, _Admitted] = {}
        self._server: asyncio.Server | None = None
        self._callers: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def environment(self) -> dict[str, str]:
        """Where a hook's tools find this server."""
        return {"JUJU_AGENT_SOCKET_ADDRESS": str(self.path), "JUJU_AGENT_SOCKET_NETWORK": "unix"}

    async def start(self) -> None:
        """Listen. Whoever calls holds the state folder's lock: a socket that is found there is a dead agent's."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listening.bind(str(self.path))
            self.path.chmod(0o600)
        except OSError as error:
            listening.close()
            raise BadInput(f"can't listen at {self.path}: {error.strerror}") from None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self), sock=listening, backlog=1024)

    async def be_there(self) -> None:
        """Listen again if the socket was removed: a user's runtime folder goes when they log out. Raises BadInput, OSError."""
        if self._server is not None and not self.path.exists():
            log.warning("%s was removed: listening there again", self.path)
            self._server.close()
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            await self.start()

    async def close(self) -> None:
        """Hang up on everybody and take the socket away; what was being done is cancelled."""
        if self._server is None:
            return
        self._server.close()
        for caller in list(self._callers):
            caller.hang_up()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._server = None

    def admit(self, context: ToolContext) -> None:
        """From now on serve the tools of this context's hook."""
        self._admitted[context.context_id] = _Admitted(context)

    async def dismiss(self, context_id: str) -> None:
        """Serve this context no more. Returns when the tool that was at work for it, if any, has ended."""
        admitted = self._admitted.pop(context_id, None)
        if admitted is not None:
            admitted.context.close()
            async with admitted.one_at_a_time:
                pass

    async def run_tool(self, context_id: str, tool: str, arguments: list[str], caller: Caller) -> Result:
        """What a tool's call comes to. Raises NeedFile, before anything is done, when it needs a file of the caller's."""
        admitted = self._admitted.get(context_id)
        if admitted is None:
            return self._wrong_context(context_id)
        async with admitted.one_at_a_time:
            if self._admitted.get(context_id) is not admitted:
                return self._wrong_context(context_id)
            known = TOOLS.get(tool)
            if known is None:
                return failed(f'bad request: unknown command "{tool}"')
            try:
                return await known.call(admitted.context, arguments, caller)
            except NeedFile:
                raise
            except Exception:
                log.exception("%s failed", tool)
                return failed(f"{tool} failed within the agent; its log says how")

    def _wrong_context(self, got: str) -> Result:
        unit = got.partition("-")[0]
        ours = [name for name in self._admitted if name.startswith(unit + "-")] if unit else []
        over = "" if ours else " (that hook is over)"
        return failed(f'bad request: expected context id "{ours[0] if ours else ""}", got "{got}"{over}')

    async def answer_control(self, body: bytes) -> dict[str, Any]:
        """What a command's question comes to: an answer, or an error as `wire.call` raises it again."""
        try:
            request = json.loads(body)
            handler = self.control[request["control"]]
        except (ValueError, KeyError, TypeError):
            return wire.error_answer(BadInput("the agent does not know this request", hint="is it of another version?"))
        try:
            return dict(await handler(request))
        except TenureError as error:
            return wire.error_answer(error)
        except Exception:
            log.exception("answering %s failed", request["control"])
            return wire.error_answer(StoreBroken("the agent failed to answer; its log says how"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection(asyncio.Protocol):
    """One caller. It sends a frame, is answered, and may send the next."""

    def __init__(self, server: ToolServer) -> None:
        self._server = server
        self._frames = wire.Frames()
        self._files: dict[str, bytes | str] = {}
        self._asked_for = ""
        self._call = b""
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, user, _ = _PEER.unpack(peer)
        if user not in (0, os.geteuid()):
            log.warning("refused process %d of user %d at the agent's socket", pid, user)
            transport.abort()
            return
        self._transport = transport
        self._server._callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._callers.discard(self)
        self._transport = None

    def hang_up(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for kind, body in self._frames.feed(data):
                if self._busy:
                    raise ValueError("one question at a time")
                self._busy = True
                self._server._spawn(self._answer(kind, body))
        except ValueError:
            self.hang_up()

    async def _answer(self, kind: bytes, body: bytes) -> None:
        try:
            if kind == b"C":
                answer = await self._server.answer_control(body)
                kind, body = b"J", json.dumps(answer, default=str).encode()
            elif kind in (b"T", b"L", b"D", b"E"):
                kind, body = await self._answer_tool(kind, body)
            else:
                raise ValueError("an unknown kind of frame")
            data = wire.frame(kind, body)
        except ValueError:
            self.hang_up()
            return
        except BadInput as error:
            data = wire.frame(b"A", wire.tool_answer(1, b"", f"ERROR {error.message}\n".encode()))
        self._busy = False
        if self._transport is not None:
            self._transport.write(data)

    async def _answer_tool(self, kind: bytes, body: bytes) -> tuple[bytes, bytes]:
        if kind in (b"T", b"L"):
            self._call, self._asked_for = body, ""
        else:
            self._files[self._asked_for] = body if kind == b"D" else wire.text(body)
        context_id, tool, arguments = wire.parse_tool_call(self._call)
        caller = Caller(self._files, too_late=kind == b"L")
        try:
            result = await self._server.run_tool(context_id, tool, arguments, caller)
        except NeedFile as need:
            self._asked_for = need.name
            return b"R", wire.raw(need.name)
        return b"A", wire.tool_answer(
            result.code,
            result.stdout,
            result.stderr,
            print_until=result.print_until,
            output_file=result.output_file,
        )


_PEER = struct.Struct("3i")
