"""An agent's folder on its host: one agent at a time, one machine and one model for ever, a folder for each unit.

STATE/lock                            held by the agent, with its pid in it
STATE/identity                        this folder's own id, and the machine and the model that it belongs to
STATE/desk/                           what sessions and terms must remember
STATE/log/agent.log
STATE/agents/unit-web-0/charm         the charm, as its hooks see it
STATE/agents/unit-web-0/journal       what the unit has been told
STATE/agents/unit-web-0/bags/         what others had said then
STATE/tools/unit-web-0/               the hook tools
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from pathlib import Path

import msgspec

from tenure.errors import BadInput, No
from tenure.names import UnitName


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """`identity`."""

    identity: str
    model_uuid: str
    machine: str
    place: tuple[int, int]
    """The folder's device and inode: another folder's tell that this is a copy."""


class StateDir:
    """The folder, locked for as long as this object lives, by this process alone."""

    def __init__(self, path: Path) -> None:
        """Make and lock it. Raises No (another agent has it, with its pid), BadInput (it can't be made or written)."""
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadInput(f"the state folder {path} can't be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise No(
                f"another agent runs on the state folder {path}: process {pid or 'unknown'}",
                hint="give this one a folder of its own by --state-dir, or end that one",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give it free."""
        os.close(self._lock)

    def is_in_place(self) -> bool:
        """Whether the folder that is locked still is the one that others find under its name."""
        try:
            return os.path.samestat(os.stat(self.path / "lock"), os.fstat(self._lock))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # what can't be looked at isn't known to be gone

    @property
    def desk(self) -> Path:
        """What sessions and terms must remember."""
        return self.path / "desk"

    def unit(self, unit: UnitName) -> Path:
        """A unit's folder."""
        return self.path / "agents" / unit.tag

    def charm(self, unit: UnitName) -> Path:
        """Where the unit's charm lives."""
        return self.unit(unit) / "charm"

    def tools(self, unit: UnitName) -> Path:
        """Where the unit's hook tools are."""
        return self.path / "tools" / unit.tag

    def units(self) -> list[str]:
        """The tags of all units that have a folder."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.name for path in (self.path / "agents").iterdir() if path.name.startswith("unit-"))
        return []

    def identify(self, model_uuid: str, machine: str) -> str:
        """This folder's own id, made once. Raises BadInput when the folder belongs to another model or machine.

        A copy of a folder is a folder of its own: it gets another id, and has no part in the leases and terms of the
        one that it was copied from, which another agent may hold.
        """
        path = self.path / "identity"
        about = self.path.stat()
        place = (about.st_dev, about.st_ino)
        try:
            known = msgspec.json.decode(path.read_bytes(), type=Identity)
        except FileNotFoundError:
            known = None
        except msgspec.MsgspecError as error:
            raise BadInput(f"{path} can't be read: {error}", hint="use another --state-dir") from None
        if known is not None and known.model_uuid != model_uuid:
            raise BadInput(
                f"the state folder {self.path} belongs to another model or store: its units would be taken for ours",
                hint="use another --state-dir, or remove the folder when that model is no more",
            )
        if known is not None and known.machine != machine:
            raise BadInput(
                f'the state folder {self.path} belongs to machine "{known.machine}": what its units hold would be kept for ever',
                hint=f"use another --state-dir, or --machine {known.machine}",
            )
        if known is None or known.place != place:
            shutil.rmtree(self.desk, ignore_errors=True)
            known = Identity(identity=str(uuid.uuid4()), model_uuid=model_uuid, machine=machine, place=place)
            beside = path.with_name("identity.new")
            beside.write_bytes(msgspec.json.encode(known))
            beside.replace(path)
        return known.identity
