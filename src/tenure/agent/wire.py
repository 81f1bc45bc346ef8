"""What goes over an agent's socket: frames, and a command's question to the agent.

A frame is its length (four bytes, big-endian), a letter that says what it is, and its body:

    from the caller                                   from the agent
    T  a hook tool's call: context, tool, arguments   R  read this file (`-`: standard input) and send it
    L  the same; its True came too late to print      A  the answer: what to print, where, and until when
    D  the file that was asked for                    J  the answer to C, as JSON
    E  why it can't be read
    C  a question of a command's, as JSON

Arguments and file names are bytes, as the kernel has them: NUL parts them, for none can hold one, and what isn't UTF-8
is carried through Python's text as lone surrogates (`surrogateescape`), so nothing is lost on the way.
The client's side of it is `tools/client.py`, which can't import this file: it imports next to nothing.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tenure import errors
from tenure.clock import Instant
from tenure.errors import BadInput, TenureError, Unsure

FRAME_MAX = 16 * 1024 * 1024
"""Bytes of the longest frame: more than the kernel passes as arguments or a store takes as a value, less than hurts."""

ANSWER_S = 20.0
"""How long a command waits for an agent that it doesn't give a limit of its own."""

_HEAD = struct.Struct(">I")


def frame(kind: bytes, body: bytes) -> bytes:
    """One frame, ready to be sent. Raises BadInput when it is over the limit."""
    if len(body) >= FRAME_MAX:
        raise BadInput(f"{len(body)} bytes are more than the agent takes at once ({FRAME_MAX})")
    return _HEAD.pack(len(body) + 1) + kind + body


class Frames:
    """Takes bytes as they come and gives whole frames. Raises ValueError at one that is empty or over the limit."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Each frame that is whole with `data`: its letter and its body."""
        self._bytes += data
        while len(self._bytes) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(self._bytes)
            if not 1 <= length <= FRAME_MAX:
                raise ValueError("a frame of an impossible length")
            end = _HEAD.size + length
            if len(self._bytes) < end:
                return
            whole = bytes(self._bytes[_HEAD.size : end])
            del self._bytes[:end]
            yield whole[:1], whole[1:]


def text(raw: bytes) -> str:
    """Bytes from a caller as text; what isn't UTF-8 becomes lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def raw(text: str) -> bytes:
    """The bytes that `text` came from."""
    return text.encode("utf-8", "surrogateescape")


def tool_call(context_id: str, tool: str, arguments: Sequence[str]) -> bytes:
    """The body of a T or L frame."""
    return b"\0".join(raw(part) for part in (context_id, tool, *arguments))


def parse_tool_call(body: bytes) -> tuple[str, str, list[str]]:
    """Context id, tool and arguments of a T or L frame. Raises ValueError."""
    context_id, tool, *arguments = (text(part) for part in body.split(b"\0"))
    return context_id, tool, arguments


def tool_answer(
    code: int, stdout: bytes, stderr: bytes, *, print_until: Instant | None = None, output_file: str | None = None
) -> bytes:
    """The body of an A frame: a line of numbers, then the file's name, standard output and standard error.

    Without `print_until` it may be printed at any time (0 0).
    """
    until = print_until or Instant(0, 0)
    name = raw(output_file or "")
    numbers = (code, until.boot_ns, until.raw_ns, len(name), len(stdout), len(stderr))
    return b"%d %d %d %d %d %d\n" % numbers + name + stdout + stderr


async def call(socket: str | Path, request: Mapping[str, Any], timeout_s: float = ANSWER_S) -> dict[str, Any]:
    """Ask the agent at `socket`; `request["control"]` is the verb. Returns its answer.

    Raises whatever TenureError the agent answered with, and Unsure when there is no agent, it hangs up, or doesn't
    answer within `timeout_s`: whether it did what it was asked is then not known.
    """
    where = f"the agent at {socket}"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(frame(b"C", json.dumps(request).encode()))
                await writer.drain()
                (length,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                answer = json.loads((await reader.readexactly(length))[1:])
            finally:
                writer.close()
    except TimeoutError:
        raise Unsure(f"{where} did not answer within {timeout_s:g} s", hint="is it stopped?") from None
    except (OSError, EOFError) as error:
        raise Unsure(f"{where} does not answer: {error}", hint="is `tenure agent` running?") from None
    if "error" in answer:
        raise raised(answer["error"])
    assert isinstance(answer, dict)
    return answer


def error_answer(error: TenureError) -> dict[str, Any]:
    """What the agent answers a command that it can't serve; `call` raises it again."""
    return {"error": {"class": type(error).__name__, "message": error.message, "hint": error.hint}}


def raised(error: Mapping[str, Any]) -> TenureError:
    """The error that `error_answer` has carried."""
    kind = getattr(errors, str(error.get("class")), None)
    if not (isinstance(kind, type) and issubclass(kind, TenureError)):
        kind = TenureError
    found: TenureError = kind(str(error.get("message")), hint=error.get("hint"))
    return found
