"""Leadership for groups of units: elections, leader settings, hooks and singletons, without a controller."""

from __future__ import annotations

from tenure.defaults import TTL_S

# Not from `typing`, nor anything else: the hook tools and the charm library import this package, too, and must not wait.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from tenure.api import Connection

__version__ = "0.1.0.dev0"


def connect(
    url: str, *, model: str = "default", machine: str | None = None, lease_s: int = TTL_S
) -> AbstractAsyncContextManager[Connection]:
    """A connection to `model` in the store at `url`: `async with tenure.connect(url) as connection`. See `tenure.api.connect`."""
    from tenure import api

    return api.connect(url, model=model, machine=machine, lease_s=lease_s)
