"""The face for threads: the same offices and units; a block is told that its term is over, for no thread can be cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tenure.blocking
from tenure.errors import BadInput, NoSuchThing, NotLeader, StoreUnreachable, TimedOut
from tests.stopping import stop
from tests.waiting import until

LIMIT_S = 20


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/tenure.db"


@pytest.fixture
def one(url: str) -> Iterator[tenure.blocking.Connection]:
    with tenure.blocking.connect(url, machine="m1", lease_s=4) as connection:
        yield connection


@pytest.fixture
def other(url: str) -> Iterator[tenure.blocking.Connection]:
    with tenure.blocking.connect(url, machine="m2", lease_s=4) as connection:
        yield connection


def test_one_thread_at_a_time_holds_the_office(
    one: tenure.blocking.Connection, other: tenure.blocking.Connection
) -> None:
    inside: list[str] = []
    numbers: list[int] = []

    def hold(connection: tenure.blocking.Connection) -> None:
        for _ in range(3):
            with connection.office("cron").hold(timeout_s=LIMIT_S) as term:
                inside.append(term.unit)
                assert len(inside) == 1
                term.check()
                assert 0 < term.left_s <= 4
                numbers.append(term.number)
                inside.pop()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(hold, connection) for connection in (one, other)]:
            done.result(LIMIT_S)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 6
    assert one.office("cron").holder is None


def test_waiting_has_a_limit(one: tenure.blocking.Connection, other: tenure.blocking.Connection) -> None:
    with one.office("cron").hold():
        assert one.office("cron").is_leader(for_s=0)
        assert not other.office("cron").is_leader()
        with pytest.raises(TimedOut):
            with other.office("cron").hold(timeout_s=0.05):
                pass


def test_a_block_is_told_that_its_term_is_over_and_the_successor_waits_for_it(
    one: tenure.blocking.Connection, other: tenure.blocking.Connection
) -> None:
    leaving = threading.Event()
    held: list[tuple[int, bool]] = []

    def successor() -> None:
        with other.office("cron").hold(timeout_s=LIMIT_S) as term:
            held.append((term.number, leaving.is_set()))

    def transfer() -> bool:
        name = next(name for name in waiting(one) if name.startswith("m2/"))
        return one.office("cron").transfer(name)

    with ThreadPoolExecutor(2) as threads:
        with pytest.raises(NotLeader, match="ended before its block"):
            with one.office("cron").hold() as term:
                later = threads.submit(successor)
                until(lambda: len(waiting(one)) == 2, within_s=LIMIT_S, what="the successor to be there")
                handing_over = threads.submit(transfer)
                until(lambda: term.over, within_s=LIMIT_S, what="the term to end")
                with pytest.raises(NotLeader):
                    term.check()
                assert not held
                leaving.set()
        assert handing_over.result(LIMIT_S)
        later.result(LIMIT_S)
    assert held[0][1]
    assert held[0][0] > term.number


def waiting(connection: tenure.blocking.Connection) -> list[str]:
    inner = connection._connection
    prefix = inner.workings.layout.free_candidates("cron")
    return [item.key.removeprefix(prefix) for item in inner.workings.snapshot.under(prefix)]


def test_what_is_raised_in_the_block_comes_out_and_the_office_is_free(one: tenure.blocking.Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        with one.office("cron").hold():
            raise ZeroDivisionError
    with one.office("cron").hold(timeout_s=LIMIT_S):
        pass


def test_units_lead_and_share_settings(one: tenure.blocking.Connection, other: tenure.blocking.Connection) -> None:
    with one.join("worker") as first, first.hold(timeout_s=LIMIT_S) as term, other.join("worker") as second:
        first.write_settings({"color": "red"}, term=term.number)
        until(lambda: second.settings.get("color") == "red", within_s=LIMIT_S, what="the setting")
        assert other.settings("worker")["color"] == "red"
        with pytest.raises(NotLeader):
            second.write_settings({"color": "blue"})
        second.write_databag({"address": "10.0.0.2"})
        second.say("waiting", "for work")
        until(lambda: first.databag_of("worker/1") == {"address": "10.0.0.2"}, within_s=LIMIT_S, what="the databag")
        first.write_application_databag({"endpoint": "first"})
        until(lambda: second.application_databag.get("endpoint") == "first", within_s=LIMIT_S, what="the databag")
        assert first.publish({"size": "3"}) == 1
        for unit in (first, second):
            until(lambda: second.settings.get("settings-version") == "1", within_s=LIMIT_S, what="the version")
            unit.acknowledge(1)
        first.acknowledged_by_everyone(timeout_s=LIMIT_S)
        assert first.members == ["worker/0", "worker/1"]
        assert second.leader == "worker/0"
        leader = other.leader("worker")
        assert leader is not None
        assert leader.term == term.number
    with pytest.raises(NoSuchThing):
        first.write_databag({"a": "b"})


def test_a_closed_connection_says_so(url: str) -> None:
    connection = tenure.blocking.connect(url)
    office = connection.office("cron")
    connection.close()
    connection.close()
    assert not office.is_leader()
    with pytest.raises(StoreUnreachable, match="closed"):
        with office.hold():
            pass


def test_what_can_not_be_connected_to_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(BadInput):
        tenure.blocking.connect("nonsense")
    assert threading.active_count() == before


def test_a_child_that_was_forked_is_told_to_connect_anew(one: tenure.blocking.Connection) -> None:
    office = one.office("cron")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            office.transfer("m2/1")
        except BadInput as error:
            os.write(write, (error.hint or "").encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    assert os.read(read, 100) == b"connect after the fork"
    os.close(read)


FORGETFUL = """
import sys, tenure.blocking
connection = tenure.blocking.connect(sys.argv[1], lease_s=60)
holding = connection.office("cron").hold()
term = holding.__enter__()
holding.__exit__(None, None, None)
unit = connection.join("worker").__enter__()
print(term.number)
"""


def test_a_script_that_ends_without_closing_leaves_no_member_behind(url: str, one: tenure.blocking.Connection) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGETFUL, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert int(done.stdout) > 0
    until(
        lambda: not one._connection.workings.view().application("worker").units,
        within_s=LIMIT_S,
        what="the unit to be gone",
    )


STOPPED = """
import sys, tenure.blocking
from tenure.errors import NotLeader
with tenure.blocking.connect(sys.argv[1], machine="old", lease_s=2) as connection:
    try:
        with connection.office("cron").hold() as term:
            print(term.number, term.over, flush=True)
            sys.stdin.readline()
            print(term.left_s, flush=True)
    except NotLeader as error:
        print(error, flush=True)
"""


@pytest.mark.slow
def test_a_thread_that_wakes_late_is_told_before_anything_else_is_known(url: str) -> None:
    old = subprocess.Popen(
        [sys.executable, "-c", STOPPED, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert old.stdin is not None
    assert old.stdout is not None
    try:
        number, over = old.stdout.readline().split()
        assert over == "False"
        stop(old.pid)
        with tenure.blocking.connect(url, machine="new", lease_s=2) as connection:
            with connection.office("cron").hold(timeout_s=60) as term:
                assert term.number > int(number)
                old.stdin.write("\n")
                old.stdin.flush()
                old.send_signal(signal.SIGCONT)
                assert old.stdout.readline() == "0.0\n"
                assert old.stdout.readline() == f"term {number} of cron ended before its block\n"
        assert old.wait(30) == 0
    finally:
        old.kill()
        old.wait()
        old.stdin.close()
        old.stdout.close()
