"""Runs commands in a unit's context: asks its agent, by its socket or through the store, and hands their output on as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.agent import wire
from tenure.agent.hooks import PIPES_S
from tenure.defaults import ARGUMENT_MAX
from tenure.errors import BadInput, Unsure
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.tasks import Stream, asking
from tenure.model.view import UnitView
from tenure.store.api import Store

__all__ = ["Ran", "Stream", "no_hooks", "run_commands", "run_through_store"]

ANSWER_SPARE_S = 60.0
"""How much longer than their own time the agent may take to answer for commands: to end them, and to flush."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of the commands."""

    id: str
    """The task's number, as the agent counts."""
    code: int | None
    """Their exit code, 128+n for signal n; None: they never began."""
    ended: str
    """Why they were ended; empty: they ended by themselves."""
    flush: str
    """Why what they had buffered was refused; empty: it was not."""
    started: str
    completed: str
    dropped: int = 0
    """Bytes of their output that were not passed on, for there were too many."""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Ran:
        """From the agent's answer."""
        texts = {name: str(answer.get(name, "")) for name in ("ended", "flush", "started", "completed")}
        return cls(id=str(answer["id"]), code=answer["code"], dropped=int(answer.get("dropped", 0)), **texts)


async def run_commands(
    socket: str | Path, unit: str, text: str, show: Callable[[Stream, bytes], None], **more: Any
) -> Ran:
    """Have the agent at `socket` run `text` by bash in `unit`'s context; `show` gets the output as it comes.

    `more`: the other fields of `Commands`. Raises what the agent refuses it with (nothing was run), and Unsure when it
    can't be asked, or goes away meanwhile. Cancelled, it has the commands ended.
    """
    timeout_s = more.get("timeout_s")
    patience_s = timeout_s + ANSWER_SPARE_S if timeout_s is not None else float("inf")
    with _pipes(socket) as pipes:
        readers = {name: _Reader(path, lambda data, name=name: show(name, data)) for name, path in pipes.items()}  # type: ignore[misc]
        try:
            request = {"control": "exec", "unit": unit, "text": text, **more}
            answer = await wire.call(socket, {**request, **{k: str(v) for k, v in pipes.items()}}, patience_s)
            # What is in the pipes by now is the commands'; a child of theirs that keeps them open is not waited for.
            await asyncio.wait([reader.ended for reader in readers.values()], timeout=PIPES_S)
        finally:
            for reader in readers.values():
                reader.close()
    return Ran.of(answer)


async def run_through_store(
    store: Store,
    layout: Layout,
    model: Mirror,
    unit: UnitView,
    text: str,
    show: Callable[[Stream, bytes], None],
    *,
    timeout_s: float | None,
    **more: Any,
) -> Ran:
    """The same where the agent can only be reached through the store; `model` mirrors it. Never run twice, whoever dies.

    Raises, too, Lost: the agent or the unit has gone meanwhile. The commands and their output are in the store meanwhile.
    """
    if len(text.encode("utf-8", "surrogateescape")) > ARGUMENT_MAX:
        raise BadInput(
            f"the commands are longer than {ARGUMENT_MAX} bytes", hint="put them into a file on the unit's host"
        )
    patience_s = None if timeout_s is None else timeout_s + ANSWER_SPARE_S
    async with asking(store, layout, unit, "exec", {"text": text, "timeout_s": timeout_s, **more}) as asked:
        answer = await asked.follow(model, lambda stream, data: _in_a_thread(lambda: show(stream, data)), patience_s)
    if "error" in answer:
        raise wire.raised(answer["error"])
    return Ran.of(answer)


async def _in_a_thread(call: Callable[[], None]) -> None:
    """Call it, and renew our lease meanwhile: whoever reads our output may take his time. Nobody waits for it at our end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        failure = None
        try:
            call()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=work, daemon=True).start()
    await done


@contextlib.asynccontextmanager
async def no_hooks(socket: str | Path) -> AsyncIterator[None]:
    """A block in which no hook of the agent's machine runs; where there is no agent, none does anyway."""
    with _pipes(socket) as pipes:
        reader = _Reader(pipes["stdout"], lambda data: None)
        try:
            with contextlib.suppress(Unsure):
                await wire.call(socket, {"control": "hold-hooks", "pipe": str(pipes["stdout"])}, float("inf"))
            yield
        finally:
            reader.close()


@contextlib.contextmanager
def _pipes(socket: str | Path) -> Iterator[dict[Stream, Path]]:
    """Two named pipes that none but this user and the agent's may open."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-exec-"))
    try:
        paths: dict[Stream, Path] = {"stdout": folder / "stdout", "stderr": folder / "stderr"}
        for path in paths.values():
            os.mkfifo(path, 0o600)
        _give_to_the_agent(socket, [folder, *paths.values()])
        yield paths
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give_to_the_agent(socket: str | Path, paths: list[Path]) -> None:
    # Root may ask an agent of any user's; what root has made that one couldn't open.
    with contextlib.suppress(OSError):
        owner = os.stat(socket).st_uid
        if os.geteuid() == 0 and owner != 0:
            for path in paths:
                os.chown(path, owner, -1)


class _Reader:
    """Reads one pipe until nobody can write to it any more."""

    def __init__(self, path: Path, show: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._show = show
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._file, self._read)

    def close(self) -> None:
        """Read no more."""
        if not self.ended.done():
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self.ended.set_result(None)

    def _read(self) -> None:
        try:
            data = os.read(self._file, 1 << 16)
        except BlockingIOError:
            return
        if data:
            self._show(data)
        else:
            self.close()
