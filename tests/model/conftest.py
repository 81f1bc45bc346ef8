"""A model in a store of each engine that can be opened here, and charms to deploy to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tenure.model.charms import Charm, read_charm
from tenure.model.layout import Layout
from tenure.model.view import ModelView, read_model
from tenure.store import open_store
from tenure.store.api import Store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else f"sqlite://{tmp_path}/tenure.db"
    store = await open_store(url)
    yield store
    await store.close()


@pytest.fixture
def layout() -> Layout:
    return Layout("default")


@pytest.fixture
def view(store: Store, layout: Layout) -> Callable[[], object]:
    async def read() -> ModelView:
        return await read_model(store, layout)

    return read


@pytest.fixture
def charm_folder(tmp_path: Path) -> Path:
    return make_charm(tmp_path / "charm")


@pytest.fixture
def charm(charm_folder: Path) -> Charm:
    return read_charm(charm_folder)


def make_charm(folder: Path, name: str = "web") -> Path:
    (folder / "hooks").mkdir(parents=True)
    (folder / "metadata.yaml").write_text(
        f"name: {name}\nsummary: A test\npeers:\n  cluster:\n    interface: cluster\n"
    )
    (folder / "config.yaml").write_text(
        "options:\n"
        "  greeting: {type: string, default: hello, description: What it says}\n"
        "  port: {type: int, default: 80}\n"
        "  ratio: {type: float}\n"
        "  loud: {type: boolean, default: false}\n"
    )
    hook = folder / "hooks" / "install"
    hook.write_text("#!/bin/sh\ntrue\n")
    hook.chmod(0o755)
    return folder
