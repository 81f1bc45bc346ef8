"""A network of namespaces for each test module that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.net.hosts import Network, why_not


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """An empty one, shared by the module's tests."""
    if why_not():
        pytest.skip(why_not())
    with Network() as network:
        yield network
