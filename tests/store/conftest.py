"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tenure.store.api import Store
from tests.etcd import EtcdCluster, versions
from tests.store.engines import ENGINES, Engine, HeldEngine
from tests.store.etcd.engine import EtcdEngine, clusters

# The oldest and the newest that are here; without any, one test that is skipped says what to do.
ETCDS = [
    pytest.param(f"etcd {version}", marks=pytest.mark.slow) for version in sorted({*versions()[:1], *versions()[-1:]})
]


@pytest.fixture(scope="session")
def etcds() -> Iterator[dict[str, EtcdCluster]]:
    """One member of each version that is asked for, for as long as tests run."""
    with clusters() as running:
        yield running


@pytest.fixture(params=[*ENGINES, *(ETCDS or [pytest.param("etcd", marks=pytest.mark.slow)])])
async def engine(
    request: pytest.FixtureRequest, tmp_path: Path, etcds: dict[str, EtcdCluster]
) -> AsyncIterator[Engine]:
    name, _, version = request.param.partition(" ")
    engine: Engine
    if name == "etcd":
        engine = await EtcdEngine.empty(etcds, version)
    else:
        engine = HeldEngine(ENGINES[name](tmp_path))
    yield engine
    await engine.close()


@pytest.fixture
async def store(engine: Engine) -> Store:
    return await engine.open()
