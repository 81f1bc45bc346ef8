"""Passes what commands write on to the store, for an asker on another host: as it comes, and no faster than it is read there."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from tenure.errors import TenureError
from tenure.model.tasks import Stream, Task

CHUNK_MAX = 128 * 1024
"""Bytes of one key: well below what any store takes, and so much that a flood of output is few commits."""

PAUSE_S = 0.02
"""Between two commits: what comes meanwhile goes with the next one."""

OUTPUT_MAX = 16 * 1024 * 1024
"""Bytes of one task's output that go through the store, whose history keeps them for a while; the rest is counted and dropped."""

RETRY_S = 0.5

_log = logging.getLogger("tenure.agent")


class Output:
    """The two pipes that one task's commands write to. `stdout`, `stderr`: their writing ends, which whoever made it closes."""

    def __init__(self, task: Task, gone: Callable[[], object]) -> None:
        """`gone` is called when nobody asks any more."""
        self._task = task
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._read_ends: dict[Stream, int] = {}
        self._buffers: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._reading: set[Stream] = set()
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._left = OUTPUT_MAX
        self._dropped = 0
        self._read_ends["stdout"], self.stdout = os.pipe2(os.O_CLOEXEC)
        self._read_ends["stderr"], self.stderr = os.pipe2(os.O_CLOEXEC)
        for stream, file in self._read_ends.items():
            os.set_blocking(file, False)
            self._listen(stream)
        self._sending = asyncio.ensure_future(self._send_on())

    async def finish(self, result: Mapping[str, Any]) -> None:
        """The commands have ended: pass on what they have left in the pipes, and `result` behind it.

        What a child of theirs writes later is nobody's. Returns also when nobody asks any more.
        """
        self._ending.set()
        self._news.set()
        await self._sending
        for stream in self._read_ends:
            self._mute(stream)
            while self._read(stream):
                pass
        dropped = {"dropped": self._dropped} if self._dropped else {}
        await self._send({**result, **dropped})
        self.abandon()
        await self._task.close()

    def abandon(self) -> None:
        """Pass nothing on any more."""
        self._sending.cancel()
        for stream in list(self._read_ends):
            self._mute(stream)
            os.close(self._read_ends.pop(stream))

    async def _send_on(self) -> None:
        while not self._ending.is_set():
            await self._news.wait()
            self._news.clear()
            if any(self._buffers.values()):
                if not await self._send(None):
                    self._gone()
                    return
                await asyncio.sleep(PAUSE_S)
                await self._room()
            for stream in self._read_ends:
                self._listen(stream)

    async def _room(self) -> None:
        room, ending = asyncio.ensure_future(self._task.room()), asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({room, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.cancel()
            ending.cancel()
            await asyncio.gather(room, ending, return_exceptions=True)

    async def _send(self, result: Mapping[str, Any] | None) -> bool:
        """Send all that is in the buffers; however long the store is silent, for the asker's lease ends it."""
        chunks: list[tuple[Stream, bytes]] = []
        for stream, buffer in self._buffers.items():
            chunks += [(stream, bytes(buffer[at : at + CHUNK_MAX])) for at in range(0, len(buffer), CHUNK_MAX)]
            buffer.clear()
        while True:
            try:
                return await self._task.send(chunks, result)
            except TenureError as error:
                _log.warning("the output of commands can't be passed on now: %s", error.message)
                await asyncio.sleep(RETRY_S)

    def _listen(self, stream: Stream) -> None:
        if stream not in self._reading and len(self._buffers[stream]) < CHUNK_MAX:
            self._reading.add(stream)
            self._loop.add_reader(self._read_ends[stream], self._heard, stream)

    def _mute(self, stream: Stream) -> None:
        if stream in self._reading:
            self._reading.discard(stream)
            self._loop.remove_reader(self._read_ends[stream])

    def _heard(self, stream: Stream) -> None:
        # Not read beyond a chunk: what isn't sent yet stays in the pipe, and holds up whoever writes.
        if not self._read(stream) or len(self._buffers[stream]) >= CHUNK_MAX:
            self._mute(stream)
        self._news.set()

    def _read(self, stream: Stream) -> bool:
        try:
            data = os.read(self._read_ends[stream], 1 << 16)
        except BlockingIOError:
            return False
        kept = data[: self._left]
        self._left -= len(kept)
        self._dropped += len(data) - len(kept)
        self._buffers[stream] += kept
        return bool(data)
