"""The real command, each call a process of its own, on a store of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tenure.model.layout import Layout
from tenure.store import open_store
from tenure.store.api import Store
from tests.model.conftest import make_charm

LIMIT_S = 30


@dataclass(frozen=True)
class Done:
    """A call that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Tenure:
    """The command, pointed at a store."""

    def __init__(self, folder: Path, bytecode: Path) -> None:
        self.folder = folder
        self.url = f"sqlite://{folder}/tenure.db"
        # A hundred starts compile the same modules once, wherever else bytecode may or may not be kept.
        self.environment = {**os.environ, "TENURE_STORE": self.url, "PYTHONPYCACHEPREFIX": str(bytecode)}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str | Path, code: int | None = 0, **environment: str) -> Done:
        """Run it; the exit code must be `code`, and whatever it says must not be a traceback."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=LIMIT_S)
        assert "Traceback" not in err, err
        if code is not None:
            assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        if process.returncode:
            assert err.startswith(("error: ", "Usage: ", "warning: ")) or process.returncode in (1, 3), err
        return Done(process.returncode, out, err)

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Run it in the background."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tenure", *map(str, arguments)],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """Leave nothing behind, whatever has become of the test."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate(timeout=LIMIT_S)


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def tenure(tmp_path: Path, bytecode: Path) -> Iterator[Tenure]:
    tenure = Tenure(tmp_path, bytecode)
    yield tenure
    tenure.close()


@pytest.fixture
def charm(tmp_path: Path) -> Path:
    return make_charm(tmp_path / "charm")


@pytest.fixture
def layout() -> Layout:
    return Layout("default")


@pytest.fixture
async def store(tenure: Tenure) -> AsyncIterator[Store]:
    """The same store, as an agent has it open."""
    store = await open_store(tenure.url)
    yield store
    await store.close()
