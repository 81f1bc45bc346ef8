"""A store that can't be opened or used: one clear error that names the file, and nothing put where it doesn't belong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tenure.errors import BadInput, StoreBroken, StoreUnreachable, TenureError
from tenure.store import open_store
from tenure.store.api import Put
from tenure.store.sqlite import place


async def make(path: Path) -> None:
    """A store with one key."""
    store = await open_store(f"sqlite://{path}")
    await store.commit([], [Put("/a", b"1")])
    await store.close()


async def refusal(path: Path, query: str = "") -> TenureError:
    """Why the store at `path` can't be opened."""
    with pytest.raises(TenureError) as caught:
        await open_store(f"sqlite://{path}{query}")
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("sqlite:relative.db", "memory://NAME"),
        ("postgres://host/db", "sqlite:///absolute/path.db"),
        ("nonsense", "sqlite:///absolute/path.db"),
        ("sqlite://relative.db", f"sqlite://{os.getcwd()}/relative.db"),
        ("sqlite:///./relative.db", f"sqlite://{os.getcwd()}/relative.db"),
        ("sqlite:///../relative.db", f"sqlite://{os.path.dirname(os.getcwd())}/relative.db"),
        ("sqlite:///~/tenure.db", os.path.expanduser("sqlite://~/tenure.db").replace("~", os.path.expanduser("~"))),
        ("sqlite://", "sqlite:///"),
        ("sqlite:///", "sqlite:///tenure.db"),
        ("sqlite:///tmp/x.db?mode=ro", "adopt=yes"),
        ("sqlite:///tmp/x.db?adopt=maybe", "adopt=yes"),
    ],
)
async def test_a_url_that_names_no_store_is_bad_input_with_a_hint_of_what_would(url: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        await open_store(url)
    assert hint in (caught.value.hint or "")


async def test_a_path_may_hold_spaces_and_anything_else_that_a_url_can_quote(tmp_path: Path) -> None:
    store = await open_store(f"sqlite://{tmp_path}/a%20b%3F%23.db")
    await store.commit([], [Put("/a", b"")])
    assert store.url == f"sqlite://{tmp_path}/a%20b%3F%23.db"
    await store.close()
    assert (tmp_path / "a b?#.db").exists()


async def test_a_path_need_not_be_utf_8(tmp_path: Path) -> None:
    store = await open_store(f"sqlite://{tmp_path}/%FF.db")
    await store.commit([], [Put("/a", b"")])
    assert store.url == f"sqlite://{tmp_path}/%FF.db"
    await store.close()
    assert os.path.exists(os.fsencode(tmp_path) + b"/\xff.db")


async def test_four_slashes_are_as_good_as_three(tmp_path: Path) -> None:
    await make(tmp_path / "t.db")
    store = await open_store(f"sqlite:///{tmp_path}/t.db", must_exist=True)
    assert store.url == f"sqlite://{tmp_path}/t.db"
    await store.close()


async def test_a_symbolic_link_and_its_target_are_one_store(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    await make(tmp_path / "link.db")
    store = await open_store(f"sqlite://{tmp_path}/real.db", must_exist=True)
    assert list((await store.read("")).items) == ["/a"]
    await store.close()
    assert not list(tmp_path.glob("link.db-*"))


async def test_a_new_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    await make(tmp_path / "t.db")
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "t.db": 0o600,
        "t.db-lock": 0o600,
        "t.db-open": 0o600,
    }


async def test_a_folder_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "none" / "t.db")
    assert isinstance(error, BadInput)
    assert error.hint == f"mkdir -p {tmp_path}/none"
    assert not list(tmp_path.iterdir())


async def test_a_store_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no store at"):
        await open_store(f"sqlite://{tmp_path}/t.db", must_exist=True)
    assert not list(tmp_path.iterdir())


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    error = await refusal(tmp_path)
    assert isinstance(error, BadInput)
    assert "is a folder" in error.message


async def test_what_is_no_file_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.db")
    assert "is not a file" in (await refusal(tmp_path / "t.db")).message
    assert "can't be a store" in (await refusal(tmp_path / "t.db" / "x.db")).message


@pytest.mark.parametrize("content", [b"not a database, but some text of mine\n" * 10, b"x", bytes(4096)])
async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    error = await refusal(path)
    assert isinstance(error, BadInput)
    assert f"{path} is not a database" in error.message
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


async def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE t (x)")
    theirs.commit()
    theirs.close()
    before = path.read_bytes()
    error = await refusal(path)
    assert isinstance(error, BadInput)
    assert "not Tenure's" in error.message
    assert path.read_bytes() == before


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "t.db").touch()
    await make(tmp_path / "t.db")


async def test_a_database_of_a_newer_format_is_refused_and_says_to_upgrade(tmp_path: Path) -> None:
    await make(tmp_path / "t.db")
    newer = sqlite3.connect(tmp_path / "t.db")
    newer.execute("PRAGMA user_version = 7")
    newer.close()
    error = await refusal(tmp_path / "t.db")
    assert isinstance(error, StoreBroken)
    assert "newer Tenure (format 7" in error.message
    assert "upgrade" in (error.hint or "")


async def test_a_corrupt_database_says_so_and_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    await make(path)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    error = await refusal(path)
    assert isinstance(error, StoreBroken)
    assert f"{path} is corrupt" in error.message
    assert "backup" in (error.hint or "")


async def test_a_truncated_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    await make(path)
    os.truncate(path, 5000)
    assert isinstance(await refusal(path), StoreBroken)


async def test_a_file_with_two_names_is_refused(tmp_path: Path) -> None:
    await make(tmp_path / "t.db")
    os.link(tmp_path / "t.db", tmp_path / "other.db")
    assert "hard link" in (await refusal(tmp_path / "other.db")).message


@pytest.mark.slow
async def test_a_store_that_is_removed_or_replaced_while_in_use_takes_no_more_writes(tmp_path: Path) -> None:
    store = await open_store(f"sqlite://{tmp_path}/t.db")
    await store.commit([], [Put("/a", b"")])
    shutil.copy(tmp_path / "t.db", tmp_path / "copy.db")
    (tmp_path / "copy.db").rename(tmp_path / "t.db")
    with pytest.raises(StoreBroken, match="removed or replaced"):
        await store.commit([], [Put("/a", b"")])
    with pytest.raises(StoreBroken, match="removed or replaced"):
        await anext(store.watch("", 1))
    await store.close()


@pytest.mark.parametrize("beside", ["-lock", "-wal", "-shm"])
async def test_a_file_beside_it_that_is_removed_while_in_use_is_noticed_before_the_next_write(
    tmp_path: Path, beside: str
) -> None:
    store = await open_store(f"sqlite://{tmp_path}/t.db")
    await store.commit([], [Put("/b", b"")])
    (tmp_path / f"t.db{beside}").unlink()
    with pytest.raises(StoreBroken, match="removed or replaced"):
        await store.commit([], [Put("/a", b"")])
    await store.close()


@pytest.mark.parametrize("magic", [0x6969, 0xFF534D42, 0xFFFFFFFFFF534D42, 0x65735546, 0x01021997])
def test_a_file_system_that_several_machines_may_share_is_refused(magic: int) -> None:
    with pytest.raises(StoreBroken, match="several machines"):
        place.check_magic(magic, "/mnt/t.db")


@pytest.mark.parametrize("magic", [0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630])
def test_local_file_systems_are_not_refused(magic: int) -> None:
    place.check_magic(magic, "/mnt/t.db")


def test_a_time_namespace_is_refused() -> None:
    place.check_time_namespace("monotonic           0         0\nboottime            0         0\n")
    place.check_time_namespace("")
    with pytest.raises(StoreBroken, match="time namespace"):
        place.check_time_namespace("monotonic           0         0\nboottime         86400         0\n")


OPEN = """
import asyncio, sys
from tenure.errors import TenureError
from tenure.store import open_store
from tenure.store.api import Put

async def main():
    store = await open_store(sys.argv[1])
    try:
        for number in range(int(sys.argv[2])):
            await store.commit([], [Put(f"/{number}", bytes(65536))])
    finally:
        print(len((await store.read("")).items), flush=True)
        await store.close()
try:
    asyncio.run(main())
except TenureError as error:
    print(f"{type(error).__name__}: {error.message}", flush=True)
"""


def in_namespace(script: str, *flags: str) -> str:
    """What a shell script prints in namespaces of its own, where it may mount; skips the test where that can't be had."""
    allowed = subprocess.run(
        ["unshare", "--mount", "--map-root-user", *flags, "true"], capture_output=True, check=False
    )
    if allowed.returncode:
        pytest.skip("no namespaces may be made here")
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", *flags, "sh", "-ec", script, "sh", sys.executable, OPEN],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_process_in_a_time_namespace_is_refused(tmp_path: Path) -> None:
    said = in_namespace(f'"$1" -c "$2" sqlite://{tmp_path}/t.db 0', "--time", "--boottime", "1000", "--fork")
    assert "StoreBroken: this process is in a time namespace" in said
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_from_a_broken_one_and_loses_nothing(tmp_path: Path) -> None:
    said = in_namespace(
        f"""
        mount -t tmpfs -o size=1m tmpfs {tmp_path}
        "$1" -c "$2" sqlite://{tmp_path}/t.db 100
        mount -o remount,size=100m {tmp_path}
        "$1" -c "$2" sqlite://{tmp_path}/t.db 0
        """
    )
    landed, full, still_there = said.splitlines()
    assert full.startswith(f"StoreBroken: the disk is full: {tmp_path}/t.db")
    assert 0 < int(landed) < 100
    assert still_there == landed


def test_a_disk_that_is_full_from_the_start_is_said_to_be_full(tmp_path: Path) -> None:
    said = in_namespace(
        f"""
        mount -t tmpfs -o size=64k tmpfs {tmp_path}
        dd if=/dev/zero of={tmp_path}/ballast bs=4k 2>/dev/null || true
        "$1" -c "$2" sqlite://{tmp_path}/t.db 1
        """
    )
    assert "StoreBroken: the disk is full" in said


def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    said = in_namespace(
        f"""
        mount -t tmpfs tmpfs {tmp_path}
        "$1" -c "$2" sqlite://{tmp_path}/t.db 1
        mount -o remount,ro {tmp_path}
        "$1" -c "$2" sqlite://{tmp_path}/t.db 1
        "$1" -c "$2" sqlite://{tmp_path}/new.db 1
        """
    )
    assert said.splitlines()[0] == "1"
    for line in said.splitlines()[1:]:
        assert line.startswith("StoreBroken: ")
        assert f"{tmp_path}/" in line
        assert "read-only" in line
    assert len(said.splitlines()) == 3


AS_NOBODY = """
import encodings.ascii, os, tenure.store.sqlite
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
"""


def test_a_store_of_somebody_else_says_so() -> None:
    # Not in tmp_path, whose parents let nobody else in.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        subprocess.run([sys.executable, "-c", OPEN, f"sqlite://{folder}/t.db", "1"], check=True, capture_output=True)
        if os.geteuid() != 0:
            os.chmod(f"{folder}/t.db-lock", 0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY + OPEN, f"sqlite://{folder}/t.db", "1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.startswith(f"StoreBroken: no permission to use {folder}/t.db"), done


async def test_a_foreign_program_that_holds_the_database_makes_writes_wait_and_then_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.store.sqlite.schema.BUSY_S", 0.1)
    store = await open_store(f"sqlite://{tmp_path}/t.db")
    theirs = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    theirs.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnreachable, match="held by a program that is not Tenure"):
        await store.commit([], [Put("/a", b"")])
    assert (await store.read("")).revision == 0
    theirs.execute("ROLLBACK")
    await store.commit([], [Put("/a", b"")])
    theirs.close()
    await store.close()
