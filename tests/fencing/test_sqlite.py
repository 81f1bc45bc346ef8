"""SQLite refuses whoever holds the office no more."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tenure.errors import BadInput, NotLeader
from tenure.fencing import SqlFence

FENCE = SqlFence("cron")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        FENCE.prepare(connection)
        connection.execute("CREATE TABLE written (by text)")
    return path


def write(database: Path, by: str, term: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        FENCE.check(connection, term)
        connection.execute("INSERT INTO written VALUES (?)", (by,))


def written(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT by FROM written ORDER BY rowid")]


def test_a_write_of_an_older_term_is_refused_and_a_newer_one_accepted(database: Path) -> None:
    write(database, "first", 5)
    write(database, "second", 7)
    with pytest.raises(NotLeader, match="later term than 5"):
        write(database, "late", 5)
    write(database, "second again", 7)
    assert written(database) == ["first", "second", "second again"]


def test_one_term_at_a_time_writes(database: Path) -> None:
    with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(database, timeout=0)) as new:
        FENCE.check(old, 5)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            FENCE.check(new, 7)
        new.rollback()
        old.execute("INSERT INTO written VALUES ('first')")
        old.commit()
        FENCE.check(new, 7)
        new.commit()
    with pytest.raises(NotLeader):
        write(database, "late", 5)
    assert written(database) == ["first"]


def test_a_transaction_that_has_read_before_a_newer_term_wrote_can_not_write(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("BEGIN")
        old.execute("SELECT * FROM written").fetchall()
        write(database, "new", 7)
        with pytest.raises((sqlite3.OperationalError, NotLeader)):
            FENCE.check(old, 5)
        old.execute("ROLLBACK")


def test_a_connection_that_commits_each_statement_is_refused(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        with pytest.raises(BadInput, match="the check binds nothing"):
            FENCE.check(connection, 5)
        connection.execute("BEGIN")
        FENCE.check(connection, 5)
        connection.execute("COMMIT")


def test_a_fence_that_is_forgotten_lets_any_term_in(database: Path) -> None:
    write(database, "first", 70)
    with closing(sqlite3.connect(database)) as connection, connection:
        FENCE.forget(connection)
    write(database, "of a new store", 2)


@pytest.mark.parametrize("term", [0, -1])
def test_what_is_no_term_is_refused(database: Path, term: int) -> None:
    with pytest.raises(BadInput, match="not a term's number"):
        write(database, "nobody", term)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(BadInput, match="table's name"):
        SqlFence("cron", table="fence; DROP TABLE written")
