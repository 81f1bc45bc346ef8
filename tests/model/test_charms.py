"""A charm that travels arrives as it was; one that can't be used is refused with file and line, before anything is stored."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tenure.errors import BadInput, NoSuchThing, StoreBroken
from tenure.model import charms
from tenure.model.charms import fetch, pack, read_charm, unpack, upload
from tenure.model.commits import commit_surely
from tenure.model.layout import Layout
from tenure.store.api import Delete, DeletePrefix, Put, Store
from tests.model.conftest import make_charm


def test_a_charm_says_its_name_its_relations_and_its_options(charm_folder: Path) -> None:
    metadata = read_charm(charm_folder).metadata
    assert metadata.name == "web"
    assert [(end.name, end.role, end.interface) for end in metadata.endpoints] == [("cluster", "peer", "cluster")]
    assert metadata.options["port"] == {"type": "int", "default": 80, "description": ""}
    assert "default" not in metadata.options["ratio"]


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("metadata.yaml", "name: web\nsummary: [\n", r"metadata\.yaml, line 3: this is not YAML"),
        ("metadata.yaml", "name: web\n\tx: 1\n", r"metadata\.yaml, line 2: this is not YAML"),
        ("metadata.yaml", "summary: x\n", r'metadata\.yaml: "name" is missing'),
        ("metadata.yaml", "", r'metadata\.yaml: "name" is missing'),
        ("metadata.yaml", "name: web\nsummary: a\0b\n", r"metadata\.yaml, line 2: this is not YAML"),
        ("metadata.yaml", "name: web\nname: db\n", r'metadata\.yaml, line 2: "name" is there twice'),
        ("config.yaml", "options:\n  a: {}\n  b: {}\n  a: {}\n", r'config\.yaml, line 4: "a" is there twice'),
        ("metadata.yaml", "- name\n", r"metadata\.yaml, line 1: the file must be a mapping"),
        ("metadata.yaml", "summary: x\nname: Web_1\n", r'metadata\.yaml, line 2: "Web_1" is not a charm\'s name'),
        ("metadata.yaml", "name: 5\n", r'metadata\.yaml, line 1: "name" must be a text'),
        ("metadata.yaml", "name: web\npeers:\n  x: 3\n", r'metadata\.yaml, line 3: "x" must be a mapping'),
        ("metadata.yaml", "name: web\npeers:\n  x: {}\n", r'metadata\.yaml, line 3: "interface" must be a text'),
        ("metadata.yaml", "name: web\npeers:\n  1: {}\n", r"metadata\.yaml, line 2: 1 must be a text"),
        (
            "metadata.yaml",
            "name: web\npeers:\n  x: {interface: a}\nprovides:\n  x: {interface: a}\n",
            r'metadata\.yaml, line 5: a second relation is named "x"',
        ),
        ("metadata.yaml", "name: &a [*a]\n", r"metadata\.yaml"),
        ("config.yaml", "options:\n  port: {type: number}\n", r'config\.yaml, line 2: "number" is not a type'),
        (
            "config.yaml",
            "options:\n  port:\n    type: int\n    default: many\n",
            r'config\.yaml, line 4: the default of "port" is not of its type, int',
        ),
        ("config.yaml", "options:\n  port: {type: int, default: true}\n", "is not of its type, int"),
        ("config.yaml", "options: 3\n", r'config\.yaml, line 1: "options" must be a mapping'),
    ],
)
def test_a_broken_file_is_named_with_the_line(charm_folder: Path, file: str, text: str, says: str) -> None:
    (charm_folder / file).write_text(text)
    with pytest.raises(BadInput, match=says):
        read_charm(charm_folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"name: \xff\xfe\n", "line 1: this is not UTF-8"),
        (b"name: web\nx: \xe9\n", "line 2: this is not UTF-8"),
        (b"\x00\x01", "line 1: this is not YAML"),
        (b"name: web\nx: \x07\n", "line 2: this is not YAML"),
    ],
)
def test_a_file_that_is_no_text_is_named_with_the_line(charm_folder: Path, content: bytes, says: str) -> None:
    (charm_folder / "metadata.yaml").write_bytes(content)
    with pytest.raises(BadInput, match=rf"metadata\.yaml, {says}"):
        read_charm(charm_folder)


def test_what_is_not_a_charm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSuchThing, match="no charm at"):
        read_charm(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="not a folder"):
        read_charm(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"metadata\.yaml is missing"):
        read_charm(tmp_path / "empty")


def test_a_hook_without_its_run_bit_is_warned_of(charm_folder: Path) -> None:
    for name in ("start", "cluster-relation-changed", "helper.sh", "db-relation-changed"):
        (charm_folder / "hooks" / name).write_text("#!/bin/sh\n")
    warnings = read_charm(charm_folder).warnings
    assert [Path(text.split(" ")[0]).name for text in warnings] == ["cluster-relation-changed", "start"]


def test_a_charm_without_hooks_is_warned_of(charm_folder: Path) -> None:
    (charm_folder / "hooks" / "install").unlink()
    assert "neither" in read_charm(charm_folder).warnings[0]


def test_contents_run_bits_links_and_empty_folders_arrive(charm_folder: Path, tmp_path: Path) -> None:
    (charm_folder / "src").mkdir()
    (charm_folder / "empty").mkdir()
    (charm_folder / "src" / "charm.py").write_bytes(bytes(range(256)))
    (charm_folder / "src" / "charm.py").chmod(0o755)
    (charm_folder / "data").write_bytes(os.urandom(3_000_000))
    (charm_folder / "hooks" / "start").symlink_to("../src/charm.py")
    (charm_folder / "a\nb ü").write_text("odd")
    unpack(pack(charm_folder), tmp_path / "there")
    there = tmp_path / "there"
    assert sorted(str(path.relative_to(there)) for path in there.rglob("*")) == sorted(
        str(path.relative_to(charm_folder)) for path in charm_folder.rglob("*")
    )
    assert (there / "data").read_bytes() == (charm_folder / "data").read_bytes()
    assert os.readlink(there / "hooks" / "start") == "../src/charm.py"
    assert os.access(there / "hooks" / "start", os.X_OK)
    assert not os.access(there / "config.yaml", os.X_OK)


def test_the_same_charm_has_the_same_digest_wherever_and_whenever_it_was_made(tmp_path: Path) -> None:
    one, two = make_charm(tmp_path / "one"), make_charm(tmp_path / "two")
    os.utime(two / "metadata.yaml", (1, 1))
    (two / ".git").mkdir()
    (two / ".git" / "HEAD").write_text("x")
    (two / "hooks" / "__pycache__").mkdir()
    (two / ".unit-state.db").touch()
    assert read_charm(one).digest == read_charm(two).digest
    (two / "hooks" / "install").chmod(0o644)
    assert read_charm(one).digest != read_charm(two).digest


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "hooks/../../x"])
def test_a_link_that_leads_out_of_the_charm_is_refused(charm_folder: Path, target: str) -> None:
    (charm_folder / "link").symlink_to(target)
    with pytest.raises(BadInput, match="outside of the charm"):
        read_charm(charm_folder)


def test_a_socket_or_a_pipe_in_a_charm_is_refused(charm_folder: Path) -> None:
    os.mkfifo(charm_folder / "pipe")
    with pytest.raises(BadInput, match="neither a file, a folder nor a link"):
        read_charm(charm_folder)


def archive(*entries: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, kind, link in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            tar.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", tarfile.REGTYPE, "")],
        [("/evil", tarfile.REGTYPE, "")],
        [("a/../../evil", tarfile.REGTYPE, "")],
        [("link", tarfile.SYMTYPE, "/etc")],
        [("link", tarfile.SYMTYPE, ".."), ("link/evil", tarfile.REGTYPE, "")],
        [("link", tarfile.SYMTYPE, "x"), ("link/evil", tarfile.REGTYPE, "")],
        [("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [("device", tarfile.CHRTYPE, "")],
    ],
)
def test_an_archive_that_would_write_outside_is_refused_and_leaves_nothing(
    tmp_path: Path, entries: list[tuple[str, bytes, str]]
) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    with pytest.raises(StoreBroken):
        unpack(archive(*entries), inside / "charm")
    assert list(inside.iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "data", [b"", b"no archive", gzip.compress(b"no tar either", mtime=0)], ids=["empty", "text", "gzip"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(StoreBroken, match="can't be unpacked"):
        unpack(data, tmp_path / "charm")
    assert list(tmp_path.iterdir()) == []


async def test_a_charm_travels_through_the_store_in_chunks(store: Store, layout: Layout, charm_folder: Path) -> None:
    (charm_folder / "data").write_bytes(os.urandom(2_500_000))
    charm = read_charm(charm_folder)
    await upload(store, layout, charm)
    chunks = (await store.read(layout.charm(charm.digest))).items
    assert len(chunks) == 4
    assert max(len(item.value) for item in chunks.values()) <= 1024 * 1024
    assert await fetch(store, layout, charm.digest) == charm.archive


async def test_a_charm_that_is_removed_while_it_is_being_stored_is_stored_again(
    store: Store, layout: Layout, charm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    charm = read_charm(charm_folder)
    send, sent = commit_surely, 0

    async def removed_after_the_first(*arguments: Any) -> object:
        nonlocal sent
        sent += 1
        outcome = await send(*arguments)
        if sent == 1:
            await store.commit([], [DeletePrefix(layout.charm(charm.digest))])
        return outcome

    monkeypatch.setattr(charms, "commit_surely", removed_after_the_first)
    await upload(store, layout, charm)
    assert await fetch(store, layout, charm.digest) == charm.archive


async def test_a_charm_that_is_not_whole_is_not_unpacked(store: Store, layout: Layout, charm_folder: Path) -> None:
    charm = read_charm(charm_folder)
    await upload(store, layout, charm)
    await store.commit([], [Put(layout.charm_chunk(charm.digest, 1), b"other")])
    with pytest.raises(StoreBroken, match="not whole"):
        await fetch(store, layout, charm.digest)
    await store.commit([], [Delete(layout.charm_chunk(charm.digest, 0))])
    with pytest.raises(StoreBroken, match="not whole"):
        await fetch(store, layout, charm.digest)
