"""Leadership for groups of units: elections, leader settings, hooks and singletons, without a controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenure.api import connect as connect

__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> Any:
    # The hook tools and the charm library import this package too, and must not wait for what they don't use.
    if name == "connect":
        from tenure.api import connect

        return connect
    raise AttributeError(f"module 'tenure' has no attribute {name!r}")
