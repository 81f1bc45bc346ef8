"""gRPC, told to write nothing to standard error and to leave `fork` alone; and nobody whom we start is told so, too."""

from __future__ import annotations

import os

# What goes wrong is in the calls' own errors. gRPC forks nothing, and what we fork replaces itself at once.
_WANTED = {"GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "NONE"}

_ours = {name: value for name, value in _WANTED.items() if name not in os.environ}
os.environ.update(_ours)

import grpc  # noqa: E402  it reads the variables now

for _name in _ours:
    del os.environ[_name]

__all__ = ["grpc"]
