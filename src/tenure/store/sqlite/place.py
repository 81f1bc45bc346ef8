"""Where a database may live: the file that a URL names, and what must be true of its file system and of this process.

Its leases count on one kernel's clock and its locks on one kernel's `flock`, so what two kernels could open is refused.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from tenure.errors import BadInput, StoreBroken

_SHARED = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x00C36400: "Ceph",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x786F4256: "VirtualBox shared folder",
    0xBACBACBC: "VMware shared folder",
    0x7C7C6670: "Parallels shared folder",
    0x19830326: "BeeGFS",
    0x20030528: "OrangeFS",
    0x564C: "NCP",
    0xAAD7AAEA: "PanFS",
}
"""`statfs` magic numbers (linux/magic.h and the modules' own sources). FUSE is here because the kernel can't tell
sshfs, virtiofs or GlusterFS, which several machines see, from a local one."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database's file, symbolic links resolved, and the URL that named it."""

    path: str
    url: str
    adopt: bool
    """The caller says that this machine takes over a database that another one made."""

    @property
    def lock_path(self) -> str:
        """Locked for every commit and checkpoint, and opened for writing once after each: the bell."""
        return self.path + "-lock"

    @property
    def open_path(self) -> str:
        """Locked, shared, by every store that has the database open."""
        return self.path + "-open"


def parse(url: str) -> Place:
    """The place that `url` names: `sqlite:///absolute/path.db`, `%20` and its like decoded, and perhaps `?adopt=yes`.

    Relative paths are refused: an agent and a command that were started in different folders would mean different
    stores. Raises BadInput.
    """
    rest = url.partition("://")[2]
    named, _, query = rest.partition("?")
    path = unquote(named, errors="surrogateescape")
    if not path.startswith("/") or path.split("/")[1] in {".", "..", "~"}:
        wanted = os.path.abspath(
            os.path.expanduser(path.removeprefix("/") if path[1:2] in {".", "~"} else path or "x.db")
        )
        raise BadInput(f'"{url}" names no absolute path', hint=f"sqlite://{quote(os.fsencode(wanted))}")
    if "\0" in path:
        raise BadInput(f"{url!r} holds a NUL")
    options = dict(parse_qsl(query, keep_blank_values=True))
    adopt = options.pop("adopt", "no")
    if options or adopt not in {"yes", "no"}:
        raise BadInput(f'"{url}" has an option that is not known', hint="the only one is ?adopt=yes")
    # Four slashes are how other programs' URLs say "absolute"; the kernel doesn't mind, but we compare names.
    real = os.path.realpath("/" + path.lstrip("/"))
    return Place(real, f"sqlite://{quote(os.fsencode(real))}", adopt == "yes")


def check(place: Place, *, must_exist: bool) -> None:
    """Raises BadInput or StoreBroken, nothing created, when no database may be used or made at this place."""
    folder = os.path.dirname(place.path)
    try:
        about = os.stat(place.path)
    except FileNotFoundError:
        if must_exist:
            raise BadInput(
                f"there is no store at {place.path}", hint="`tenure agent` and `tenure deploy` make one"
            ) from None
        if not os.path.isdir(folder):
            raise BadInput(f"{folder} is not a folder", hint=f"mkdir -p {folder}") from None
        _check_file_system(folder, place.path)
    except OSError as error:
        raise os_fault(error, place.path) from None
    else:
        if stat.S_ISDIR(about.st_mode):
            raise BadInput(
                f"{place.path} is a folder",
                hint=f"sqlite://{quote(os.fsencode(os.path.join(place.path, 'tenure.db')))}",
            )
        if not stat.S_ISREG(about.st_mode):
            raise BadInput(f"{place.path} is not a file")
        if about.st_nlink > 1:
            raise StoreBroken(
                f"{place.path} has a second name (a hard link)",
                hint="SQLite's log and our locks go by the name; remove the other one",
            )
        _check_file_system(place.path, place.path)
    check_time_namespace(_read("/proc/self/timens_offsets"))


def check_magic(magic: int, path: str) -> None:
    """Raises StoreBroken for a file system that more than one kernel may have mounted."""
    if name := _SHARED.get(magic & 0xFFFFFFFF):
        raise StoreBroken(
            f"{path} is on a file system that several machines may share ({name})",
            hint="an embedded store needs a local disk; for several machines use etcd",
        )


def check_time_namespace(offsets: str) -> None:
    """Raises StoreBroken when this process lives in a time namespace: its CLOCK_BOOTTIME isn't its neighbours'."""
    for line in offsets.splitlines():
        _, *shift = line.split()
        if any(int(part) for part in shift):
            raise StoreBroken(
                "this process is in a time namespace, in which leases would end at other times than outside of it",
                hint="run it without one (unshare -T, or the container's time offsets)",
            )


def machine_identity() -> str:
    """What tells this machine from others, hashed as machine-id(5) asks; empty where there is none (in containers)."""
    identity = _read("/etc/machine-id").strip()
    if len(identity) != 32:
        return ""
    return hashlib.sha256(b"tenure store " + identity.encode()).hexdigest()[:32]


def os_fault(error: OSError, path: str) -> BadInput | StoreBroken:
    """The error that says what the kernel's `error` means for the store at `path`."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreBroken(f"the disk is full: {path} can't grow", hint="nothing was changed; free some space")
        case errno.EROFS:
            return StoreBroken(f"{path} is on a read-only disk", hint="a store must be writable, also to be read")
        case errno.EACCES | errno.EPERM:
            return StoreBroken(f"no permission to use {error.filename or path}", hint="run it as the store's owner")
        case errno.ENOTDIR | errno.ENAMETOOLONG | errno.ELOOP:
            return BadInput(f"{path} can't be a store: {error.strerror}")
        case _:
            return StoreBroken(f"{path} can't be used: {error.strerror}")


def _check_file_system(path: str, shown: str) -> None:
    # struct statfs begins with f_type, a long, on every Linux; 256 bytes hold the whole of it.
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), buffer) == 0:
        check_magic(ctypes.c_ulong.from_buffer(buffer).value, shown)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
