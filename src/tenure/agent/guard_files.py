"""What an agent's successor must know of a guard: two files in a folder of the unit's, and the guard's named socket.

`guard` says which term's guard was started last, `guard-verdict` is that guard's own word. Both count in the boot in
which they were written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from tenure.agent.host import Host
from tenure.guard.duty import Duty


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """`guard`."""

    boot_id: str
    term: int
    context_id: str
    """What marks the processes of its work."""
    begun: bool
    """Whether the term has begun: then its end is told."""
    runs: int = 0
    """How often the work was begun in it."""
    rests: str = ""
    """How it ended, where it is not to be begun again in this term."""


class GuardFiles:
    """The files of one office's guards. Nobody else writes them: the agent holds the state folder's lock."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host = host
        self.folder = folder

    @property
    def verdict(self) -> Path:
        """Where the guard says how its term stands."""
        return self.folder / "guard-verdict"

    @property
    def socket(self) -> Path:
        """Where the guard is found."""
        own = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return self._host.server.path.with_name(f"guard-{own}.sock")

    def make_room(self) -> None:
        """Before another guard is started, which may be one for the same term."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        self.verdict.unlink(missing_ok=True)

    def note(self, term: int, context_id: str, *, begun: bool, runs: int = 0, rests: str = "") -> None:
        """Write it down. It must outlive the agent, not the host. Raises OSError: then no guard may be started."""
        note = Note(boot_id=self._host.boot_id, term=term, context_id=context_id, begun=begun, runs=runs, rests=rests)
        beside = self.folder / "guard.new"
        beside.write_bytes(msgspec.json.encode(note))
        beside.replace(self.folder / "guard")

    def note_more(self, term: int, context_id: str, *, runs: int = 0, rests: str = "") -> None:
        """Write down how far the term of a guard that is there has come.

        Where it can't be written, a successor finds the guard all the same; it may run leader-deposed, or what is done, once
        too often.
        """
        with contextlib.suppress(OSError):
            self.note(term, context_id, begun=True, runs=runs, rests=rests)

    def read(self) -> Note | None:
        """What a forerunner has written in this boot."""
        try:
            note = msgspec.json.decode((self.folder / "guard").read_bytes(), type=Note)
        except (OSError, msgspec.MsgspecError):
            return None
        return note if note.boot_id == self._host.boot_id else None

    def take_up(self, duty: Duty, note: Note | None) -> tuple[int, bool]:
        """Look for the guard of a forerunner's term: the term, 0 where nothing of one is left; and whether its guard is dead.

        A guard that is there is found whatever is written down of it.
        """
        if found := duty.find(note.term if note is not None else 0, str(self.socket)):
            return found, False
        if note is None:
            return 0, False
        if self._said() == f"term {note.term} is gone" or not note.begun:
            duty.gone(note.term)
            return 0, False
        return note.term, True

    def _said(self) -> str:
        try:
            return self.verdict.read_text(encoding="utf-8").strip()
        except OSError:
            return ""
