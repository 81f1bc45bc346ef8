"""gRPC, told to write nothing to standard error and to leave `fork` alone; and nobody whom we start is told so, too."""

from __future__ import annotations

import os

# What goes wrong is in the calls' own errors. gRPC forks nothing, and what we fork replaces itself at once.
_WANTED = {"GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "NONE"}

_ours = {name: value for name, value in _WANTED.items() if name not in os.environ}
os.environ.update(_ours)

import grpc  # noqa: E402  the Python half reads the variables now

for _name, _value in _ours.items():
    del os.environ[_name]
    # Its other half reads them whenever it begins: they stay in this process, but not in the copy that children are given.
    os.putenv(_name, _value)

__all__ = ["grpc"]
