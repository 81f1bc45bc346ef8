"""The examples in the modules' own words, which the reference shows, are run as they stand; only places are the test's."""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
import types
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tenure
import tenure.blocking
from tenure import api, blocking, fencing, testing
from tenure.testing import World
from tests.postgresql import postgresql as postgresql


def examples(module: types.ModuleType) -> list[str]:
    """The indented blocks of the module's docstring."""
    blocks = re.findall(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", (inspect.getdoc(module) or "") + "\n", re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def test_each_module_has_its_example() -> None:
    assert [len(examples(module)) for module in (api, blocking, fencing, testing)] == [1, 1, 1, 2]


async def test_the_example_of_asyncio(tmp_path: Path) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    (code,) = examples(api)
    code = code.replace("sqlite:////var/lib/shop", f"sqlite://{tmp_path}")
    names: dict[str, Any] = {"tenure": tenure, "work": work}
    exec("async def example():\n" + textwrap.indent(code, "    "), names)
    await names["example"]()
    assert done.is_set()


def test_the_example_of_threads(tmp_path: Path) -> None:
    done: list[int] = []
    (code,) = examples(blocking)
    exec(code.replace("sqlite:////var/lib/shop", f"sqlite://{tmp_path}"), {"jobs": [1, 2], "run": done.append})
    assert done == [1, 2]


def test_the_example_of_a_fence(postgresql: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql) as database:
        fencing.SqlFence("web/leader").prepare(database)
        fencing.SqlFence("web/leader").forget(database)
        database.execute("DROP TABLE IF EXISTS accounts")
        database.execute("CREATE TABLE accounts (balance integer)")
        database.execute("INSERT INTO accounts VALUES (0)")
    (code,) = examples(fencing)
    names = {"SqlFence": fencing.SqlFence, "psycopg": psycopg, "term": types.SimpleNamespace(number=7)}
    exec(code.replace("dbname=shop", postgresql), names)
    with closing(psycopg.connect(postgresql)) as database:
        assert database.execute("SELECT balance FROM accounts").fetchone() == (10,)
        database.execute("DROP TABLE accounts")
        database.commit()


async def test_the_example_of_tests() -> None:
    plugins, code = examples(testing)
    names: dict[str, Any] = {"tenure": tenure}
    exec(plugins + code, names)
    assert names["pytest_plugins"] == ["tenure.testing.plugin"]
    with World() as world:
        await names["test_a_unit_that_is_deposed_leads_no_more"](world)
