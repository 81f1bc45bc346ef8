"""gRPC in our process: nobody pays for it without an etcd, and nobody whom we start notices it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
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
