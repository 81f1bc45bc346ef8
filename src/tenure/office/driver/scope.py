"""The body of a term's cancel scope: a task that is cancelled when the term ends, and told from one cancelled by others."""

from __future__ import annotations

import asyncio
from types import TracebackType


class BodyCancelled(Exception):
    """The body has ended because its term did."""


class Body:
    """One block that runs for one term, in the task that has entered it. Counts cancellations as asyncio's timeouts do."""

    def __init__(self, term: int) -> None:
        self.term = term
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._cancelled = False

    def cancel(self) -> None:
        """End the block."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        assert task is not None
        if self._cancelled and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise BodyCancelled from error
