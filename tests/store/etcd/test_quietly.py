"""gRPC in our process: nobody pays for it without an etcd, and nobody whom we start notices it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.etcd import EtcdCluster, newest


def python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_grpc_is_not_imported_before_an_etcd_is_opened() -> None:
    program = "import sys, tenure, tenure.cli, tenure.store, tenure.store.sqlite; print('grpc' in sys.modules)"
    assert python(program) == "False\n"


@pytest.mark.slow
def test_what_grpc_is_told_is_not_told_to_children() -> None:
    program = (
        "import os, subprocess, sys\nbefore = dict(os.environ)\nimport tenure.store.etcd\n"
        "assert dict(os.environ) == before\n"
        "child = [sys.executable, '-c', 'import os; print(sum(name.startswith(\"GRPC_V\") for name in os.environ))']\n"
        "print(subprocess.run(child, env=os.environ, capture_output=True, text=True).stdout)"
    )
    assert python(program).strip() == "0"


@pytest.mark.slow
def test_one_event_loop_after_another_and_two_at_a_time_use_an_etcd_and_nothing_is_said_of_it() -> None:
    program = """
import asyncio, sys, threading
from tenure.store import open_store

async def use():
    store = await open_store(sys.argv[1])
    lease = (await store.grant(5)).lease
    batches = store.watch("/", (await store.read("/")).revision)
    watching = asyncio.create_task(anext(batches))
    await store.renew(lease)
    watching.cancel()
    await asyncio.wait([watching])
    await batches.aclose()
    await store.close()

for _ in range(5):
    asyncio.run(use())
threads = [threading.Thread(target=asyncio.run, args=[use()]) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("used")
"""
    with EtcdCluster(newest()) as etcd:
        assert python(program, etcd.url) == "used\n"
