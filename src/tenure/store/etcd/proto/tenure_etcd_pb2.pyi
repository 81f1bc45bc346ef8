"""The generated messages: as far as types go, anything (protoc's own stubs do not pass the strict checks)."""

from typing import Any

def __getattr__(name: str) -> Any: ...
