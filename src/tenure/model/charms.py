"""A charm on its way from a folder through the store to a unit: read and checked, packed, kept in chunks, unpacked."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tenure.errors import BadInput, NoSuchThing, StoreBroken
from tenure.model.commits import commit_surely
from tenure.model.layout import Layout
from tenure.model.metadata import Metadata, read_metadata
from tenure.model.records import CharmManifest, decode, encode
from tenure.model.tenure_yaml import SingletonDeclared, read_singletons
from tenure.store.api import Compare, Item, Put, Store, modified_at

CHUNK_BYTES = 1024 * 1024
"""etcd takes requests of up to 1.5 MB."""

CHARM_MAX = 64 * 1024 * 1024
"""Bytes of a charm's archive: each machine reads it whole, and a store is not a place for disk images."""

UPLOAD_ATTEMPTS = 5

_LEFT_OUT = {".git", ".hg", ".svn", ".bzr", "__pycache__", ".unit-state.db", ".juju-persistent-config"}
"""What a working copy has beside the charm, and what running charms keep in their own folder."""


@dataclass(frozen=True, slots=True)
class Charm:
    """A charm as read from its folder, ready to be stored."""

    metadata: Metadata
    archive: bytes
    digest: str
    warnings: tuple[str, ...]
    deposes: bool = False
    """Whether there is a hook leader-deposed: then a guard is needed for each term."""
    singletons: tuple[SingletonDeclared, ...] = ()


def read_charm(folder: Path) -> Charm:
    """The charm in `folder`. Raises NoSuchThing (no such folder), BadInput (names the file, and the line where it can)."""
    if not folder.exists():
        raise NoSuchThing(f"there is no charm at {folder}", hint="give the path of a folder with a metadata.yaml in it")
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder", hint="give the path of a folder with a metadata.yaml in it")
    metadata = read_metadata(folder)
    singletons = read_singletons(folder)
    archive = pack(folder)
    deposes = (folder / "hooks" / "leader-deposed").exists()
    digest = hashlib.sha256(archive).hexdigest()
    return Charm(metadata, archive, digest, _warnings(folder, metadata), deposes, singletons)


def pack(folder: Path) -> bytes:
    """The folder as a tar.gz that depends on nothing but names, contents, run bits and links. Raises BadInput."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as zipped:
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in _walk(folder):
                _add(tar, folder, path)
    if buffer.tell() > CHARM_MAX:
        raise BadInput(
            f"the charm in {folder} is {buffer.tell()} bytes when packed",
            hint=f"at most {CHARM_MAX} bytes; what else is in there?",
        )
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Make `folder` (which must not exist) from a packed charm: whole, or not at all.

    Nothing is ever written outside of it. Raises StoreBroken when the archive is not what `pack` makes.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            _extract(tar, partial)
        partial.rename(folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StoreBroken(f"a charm's archive can't be unpacked: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


async def upload(store: Store, layout: Layout, charm: Charm) -> Item:
    """Keep the charm in the store; nothing is sent that is there already. Returns its manifest's key as it stands.

    Until an application's record names the digest, nobody is bound to keep it there. Raises what a commit raises.
    """
    for _ in range(UPLOAD_ATTEMPTS):
        present = await manifest_item(store, layout, charm.digest)
        if present is not None:
            return present
        await _send(store, layout, charm)
    raise StoreBroken("the charm was removed again and again while it was being stored", hint="deploy again")


async def _send(store: Store, layout: Layout, charm: Charm) -> None:
    """Put the chunks, then the manifest, unless a chunk was touched meanwhile: whoever removes a charm removes them all."""
    chunks = [charm.archive[start : start + CHUNK_BYTES] for start in range(0, len(charm.archive), CHUNK_BYTES)]
    when: list[Compare] = []
    for number, chunk in enumerate(chunks, start=1):
        key = layout.charm_chunk(charm.digest, number)
        put = await commit_surely(store, [], [Put(key, chunk)], lambda _: None)
        when.append(modified_at(key, put.revision))
    manifest = CharmManifest(name=charm.metadata.name, size=len(charm.archive), chunks=len(chunks))
    await commit_surely(store, when, [Put(layout.charm_chunk(charm.digest, 0), encode(manifest))], lambda _: None)


async def fetch(store: Store, layout: Layout, digest: str) -> bytes:
    """A stored charm's archive. Raises StoreBroken when it isn't there, or isn't what its digest says."""
    read = await store.read(layout.charm(digest))
    manifest_key = layout.charm_chunk(digest, 0)
    archive = b"".join(item.value for key, item in read.items.items() if key != manifest_key)
    if manifest_key not in read.items or hashlib.sha256(archive).hexdigest() != digest:
        raise StoreBroken(f"the charm {digest[:12]} is not whole in {store.url}", hint="deploy it again")
    return archive


async def manifest_item(store: Store, layout: Layout, digest: str) -> Item | None:
    """The key that says: all of this charm is in the store."""
    key = layout.charm_chunk(digest, 0)
    item = (await store.read(key)).items.get(key)
    if item is not None:
        decode(CharmManifest, item.value, key)
    return item


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []

    def failed(error: OSError) -> None:
        raise BadInput(f"{error.filename} can't be read: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=failed):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        names = folders + [name for name in files if name not in _LEFT_OUT and not name.endswith(".pyc")]
        found.extend(Path(parent, name) for name in names)
    return sorted(found)


def _add(tar: tarfile.TarFile, folder: Path, path: Path) -> None:
    relative = path.relative_to(folder)
    entry = tarfile.TarInfo(relative.as_posix())
    entry.mtime = 0
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode):
        target = os.readlink(path)
        if not _stays_within(relative.parent, target):
            raise BadInput(
                f"{path} links to {target}, outside of the charm", hint="a charm must hold all that it links to"
            )
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        tar.addfile(entry)
    elif stat.S_ISDIR(state.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    elif stat.S_ISREG(state.st_mode):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path} can't be read: {error.strerror}") from None
        entry.size = len(content)
        entry.mode = state.st_mode & 0o777
        tar.addfile(entry, io.BytesIO(content))
    else:
        raise BadInput(f"{path} is neither a file, a folder nor a link", hint="remove it from the charm")


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    links: list[tarfile.TarInfo] = []
    for entry in tar:
        path = PurePosixPath(entry.name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise StoreBroken(f'a charm\'s archive names "{entry.name}", which is outside of the charm')
        if entry.issym():
            # Links come last: nothing can be written through one.
            links.append(entry)
        elif entry.isdir():
            (folder / path).mkdir(parents=True, exist_ok=True)
        elif entry.isfile():
            _extract_file(tar, entry, folder / path)
        else:
            raise StoreBroken(f'"{entry.name}" in a charm\'s archive is neither a file, a folder nor a link')
    for entry in links:
        if not _stays_within(PurePosixPath(entry.name).parent, entry.linkname):
            raise StoreBroken(f'"{entry.name}" in a charm\'s archive links to {entry.linkname}, outside of the charm')
        target = folder / entry.name
        if os.path.lexists(target):
            raise StoreBroken(f'"{entry.name}" is in a charm\'s archive twice')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(entry.linkname)


def _extract_file(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(entry)
    assert content is not None
    with open(path, "wb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(entry.mode & 0o777 | 0o600)


def _stays_within(parent: PurePosixPath | Path, target: str) -> bool:
    """Whether a link in the charm's folder `parent` leads to something of the charm's, by its text alone."""
    if PurePosixPath(target).is_absolute():
        return False
    depth = len(parent.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _warnings(folder: Path, metadata: Metadata) -> tuple[str, ...]:
    found: list[str] = []
    dispatch = folder / "dispatch"
    hooks = folder / "hooks"
    named = [path for path in sorted(hooks.iterdir()) if metadata.is_hook(path.name)] if hooks.is_dir() else []
    for path in [*([dispatch] if dispatch.exists() else []), *named]:
        if path.is_file() and not os.access(path, os.X_OK):
            found.append(f"{path} lacks its run bit: the hook will fail (chmod +x {path})")
    if not dispatch.exists() and not named:
        found.append(f"{folder} has neither a dispatch file nor hooks: its units will do nothing")
    return tuple(found)
