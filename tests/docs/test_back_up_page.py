"""The page on backups: its commands as they stand, from SQLite to SQLite and to a real etcd, with agents that go on where they were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.page import ROOT, Reader, commands, reader, steps
from tests.etcd import EtcdCluster, newest

pytestmark = pytest.mark.slow

PAGE = "how-to/back-up-and-move.md"
AGENT = "tenure agent --machine m0 --state-dir state-m0"
MOVED = {"sqlite:///var/lib/tenure/tenure.db": "sqlite://$PWD/old.db"}


def lines(word: str) -> list[str]:
    """The page's command lines with that word, without what is said beside them."""
    shell = "\n".join(step.body for step in steps(PAGE) if step.kind == "sh")
    found = [re.sub(r"\s+#.*$", "", line) for line in shell.splitlines()]
    return [line for line in found if line.startswith("tenure") and word in line]


def deploy(someone: Reader) -> str:
    """A unit with settings on a machine whose agent has ended; returns the settings."""
    for command in commands(
        f"$ export TENURE_STORE=sqlite://$PWD/old.db\n$ {AGENT}\n"
        f"$ tenure deploy {ROOT}/examples/shared-secret web --to m0\n$ tenure wait web --for active --timeout 60s\n"
    ):
        someone.type(command)
    settings = someone.type("tenure settings web")
    someone.close()
    return settings


def terms(someone: Reader) -> list[int]:
    """The numbers of web's terms, in order."""
    return [int(number) for number in re.findall(r"^(\d+) ", someone.type("tenure history web"), re.MULTILINE)]


def goes_on(someone: Reader, settings: str) -> None:
    """The agent starts on the restored store, on its old state folder: nothing is made anew, and terms only grow."""
    before = terms(someone)
    someone.start(AGENT)
    someone.type("tenure wait web --for active --for leader --timeout 60s")
    assert someone.type("tenure settings web") == settings
    log = (someone.folder / "state-m0" / "log" / "agent.log").read_text()
    assert log.count('"hook": "install"') == log[: log.index("everything is handed over")].count('"hook": "install"')
    after = terms(someone)
    assert after[: len(before)] == before
    assert after[-1] > before[-1] + 10_000
    someone.close()


def test_a_backup_is_restored_as_the_page_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        settings = deploy(someone)
        (backup,) = lines("backup monday")
        (restore,) = lines("restore monday")
        someone.type(backup)
        assert (someone.folder / "monday.tenure").stat().st_mode & 0o777 == 0o600
        someone.type("export TENURE_STORE=sqlite://$PWD/new.db")
        assert "term" in someone.type(f"{restore} 2>&1")
        goes_on(someone, settings)
        (raise_terms,) = lines("raise-terms")
        someone.type(raise_terms)
        someone.start(AGENT)
        someone.type("tenure wait web --for leader --timeout 90s")
        assert terms(someone)[-1] > 2_000_000


def test_a_store_is_moved_to_etcd_as_the_page_says(tmp_path: Path) -> None:
    with (
        EtcdCluster(newest()) as etcd,
        reader(tmp_path, {**MOVED, "etcd://h1:2379,h2:2379,h3:2379/": etcd.url}) as someone,
    ):
        settings = deploy(someone)
        for command in lines("move.tenure"):
            someone.type(command)
        someone.type(f"export TENURE_STORE={etcd.url}")
        goes_on(someone, settings)
