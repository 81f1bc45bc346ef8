"""A real PostgreSQL refuses whoever holds the office no more, however late the write comes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT
from typing import Any

import pytest

import tenure
from tenure.errors import BadInput, NotLeader
from tenure.fencing import SqlFence
from tests.stopping import stop
from tests.waiting import until

psycopg = pytest.importorskip("psycopg")
FENCE = SqlFence("cron")


@pytest.fixture
def database(postgresql: str) -> str:
    with psycopg.connect(postgresql) as connection:
        FENCE.prepare(connection)
        FENCE.prepare(connection)
        FENCE.forget(connection)
        connection.execute("DROP TABLE IF EXISTS written")
        connection.execute("CREATE TABLE written (by text, term bigint)")
    return postgresql


def write(database: str, by: str, term: int) -> None:
    with psycopg.connect(database) as connection:
        FENCE.check(connection, term)
        connection.execute("INSERT INTO written VALUES (%s, %s)", (by, term))


def written(database: str) -> list[str]:
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute("SELECT by FROM written ORDER BY term")]


def test_a_write_of_an_older_term_is_refused_and_a_newer_one_accepted(database: str) -> None:
    write(database, "first", 5)
    write(database, "first again", 5)
    write(database, "second", 7)
    with pytest.raises(NotLeader, match="cron has been written in a later term than 5"):
        write(database, "late", 5)
    write(database, "second again", 7)
    assert "late" not in written(database)
    assert len(written(database)) == 4


def test_what_one_resource_refuses_another_takes(database: str) -> None:
    write(database, "first", 7)
    with psycopg.connect(database) as connection:
        SqlFence("other").forget(connection)
        SqlFence("other").check(connection, 5)
        connection.rollback()


@contextlib.contextmanager
def transaction(database: str, term: int, by: str) -> Iterator[Any]:
    with psycopg.connect(database) as connection:
        FENCE.check(connection, term)
        connection.execute("INSERT INTO written VALUES (%s, %s)", (by, term))
        yield connection


def waits_for_a_lock(database: str) -> bool:
    with psycopg.connect(database) as connection:
        return bool(connection.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone())


def test_a_newer_term_waits_for_a_transaction_that_has_been_let_in(database: str) -> None:
    """Else the old holder's write would land after the new one's."""
    write(database, "first", 5)
    order: list[str] = []

    def newer() -> None:
        write(database, "second", 7)
        order.append("second")

    other = threading.Thread(target=newer)
    with transaction(database, 5, "slow") as connection:
        other.start()
        until(lambda: waits_for_a_lock(database), within_s=20, what="the newer term to wait")
        order.append("slow")
        connection.commit()
    other.join(20)
    assert order == ["slow", "second"]
    with pytest.raises(NotLeader):
        write(database, "late", 5)
    assert written(database) == ["first", "slow", "second"]


def test_an_older_term_that_waits_for_a_newer_one_is_refused_by_it(database: str) -> None:
    refused: list[NotLeader] = []

    def older() -> None:
        try:
            write(database, "late", 5)
        except NotLeader as error:
            refused.append(error)

    other = threading.Thread(target=older)
    with transaction(database, 7, "second") as connection:
        other.start()
        until(lambda: waits_for_a_lock(database), within_s=20, what="the older term to wait")
        connection.commit()
    other.join(20)
    assert len(refused) == 1
    assert written(database) == ["second"]


def test_transactions_of_one_term_go_on_side_by_side(database: str) -> None:
    write(database, "first", 5)
    with transaction(database, 5, "one"), transaction(database, 5, "two"):
        assert not waits_for_a_lock(database)
    assert len(written(database)) == 3


def test_a_transaction_that_rolls_back_leaves_no_term(database: str) -> None:
    with transaction(database, 9, "undone") as connection:
        connection.rollback()
    write(database, "first", 5)
    assert written(database) == ["first"]


@pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
def test_a_stricter_isolation_refuses_what_it_can_not_order(database: str, level: str) -> None:
    write(database, "first", 5)
    with psycopg.connect(database) as connection:
        connection.isolation_level = psycopg.IsolationLevel[level]
        connection.execute("SELECT 1 FROM written")  # the snapshot is taken here
        write(database, "second", 7)
        with pytest.raises((psycopg.errors.SerializationFailure, NotLeader)):
            FENCE.check(connection, 5)
        connection.rollback()
    assert written(database) == ["first", "second"]


def test_a_connection_that_commits_each_statement_is_refused(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(BadInput, match="the check binds nothing"):
            FENCE.check(connection, 5)
        with connection.transaction():
            FENCE.check(connection, 5)


def test_a_resource_may_have_any_name_and_a_table_a_schema(database: str) -> None:
    fence = SqlFence("o'brien; DROP TABLE written --", table="public.fences")
    with psycopg.connect(database) as connection:
        fence.prepare(connection)
        fence.check(connection, 5)
        with pytest.raises(NotLeader):
            fence.check(connection, 4)
        connection.rollback()
    assert written(database) == []


HOLDER = """
import sys, tenure.blocking, psycopg
from tenure.errors import NotLeader
from tenure.fencing import SqlFence
url, database = sys.argv[1:]
with tenure.blocking.connect(url, machine="old", lease_s=2) as connection:
    with connection.office("cron").hold() as term:
        print(term.number, flush=True)
        sys.stdin.readline()
        # It has looked at its term a moment ago; what follows is what a paused host does when it wakes.
        try:
            with psycopg.connect(database) as sql:
                SqlFence("cron").check(sql, term.number)
                sql.execute("INSERT INTO written VALUES ('old', %s)", (term.number,))
            print("written", flush=True)
        except NotLeader:
            print("refused", flush=True)
"""


@pytest.mark.slow
async def test_a_holder_that_was_stopped_and_is_woken_late_writes_nothing(database: str, tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/tenure.db"
    old = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert old.stdin is not None
    assert old.stdout is not None
    try:
        stale = int(old.stdout.readline())
        write(database, "old, in time", stale)
        stop(old.pid)
        async with tenure.connect(url, machine="new", lease_s=2) as connection:
            async with connection.office("cron").hold(timeout_s=60) as term:
                assert term.number > stale
                write(database, "new", term.number)
                old.send_signal(SIGCONT)
                old.stdin.write("\n")
                old.stdin.flush()
                assert old.stdout.readline() == "refused\n"
        old.wait(30)
    finally:
        old.kill()
        old.wait()
        old.stdin.close()
        old.stdout.close()
    assert written(database) == ["old, in time", "new"]
