"""What an agent's sessions and terms must remember across its own death: one small file in the state folder.

What is saved durably is on the disk when the call returns. It counts in the boot of the host in which it was written,
for instants mean nothing in another. On a disk that takes nothing more the file is removed instead: a successor of the
process then takes nothing up again, which is as safe.

An older copy of the file that somebody puts back would undo verdicts, and have a term taken up again that is over. So each
state has a number, and the newest one is told to a second file, *beside* the state folder, in a place that is emptied when
the host boots: a state that is older than the newest, or whose number nothing beside it vouches for, is as good as none.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tenure.clock import Instant
from tenure.errors import Broken
from tenure.office.records import Ending

_STARTS_MOST = 10


class _SavedLease(msgspec.Struct):
    lease: int
    ttl_s: int


class _State(msgspec.Struct, kw_only=True):
    boot_id: str
    sessions: dict[str, _SavedLease] = {}
    endings: dict[str, list[Ending]] = {}
    starts_ns: list[int] = []
    serial: int = 0
    """How many states there were in this boot, this one included; 0: written by a Tenure that didn't count."""


class Ledger:
    """The file `desk.json` of one agent. Whoever opens it holds the state folder's lock: there is one writer.

    `beside`: the file that vouches for the newest state, in a folder that is there; None: none does, nobody can put an
    older one back. `outdated`: the file that was found was an older one.
    Raises OSError where the folder can't be written at the start, Broken where later it can't even be removed.
    """

    def __init__(self, folder: Path, boot_id: str, beside: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._beside = folder / "desk.json", beside
        about = folder.stat()
        self._place = (about.st_dev, about.st_ino)
        self._state = _State(boot_id=boot_id)
        self.outdated = False
        self._known_path, self._known = folder / "terms.json", dict[str, int]()
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            self._known = msgspec.json.decode(self._known_path.read_bytes(), type=dict[str, int])
        self._unsaved_terms = False
        newest = self._newest()
        # A file that can't be read is as good as none: what it has saved ends with its leases.
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            state = msgspec.json.decode(self._path.read_bytes(), type=_State)
            if state.boot_id == boot_id:
                self.outdated = beside is not None and state.serial != 0 and state.serial != newest
                if not self.outdated:
                    self._state = state
        self._state.serial = max(self._state.serial, newest)

    @property
    def known_terms(self) -> Mapping[str, int]:
        """By office, the greatest number of a term that was known to any process on this folder, in whatever boot."""
        return self._known

    def note_term(self, office: str, number: int) -> bool:
        """The office has had a term of this number. Whether `save_terms` must be called, some time soon."""
        if number <= self._known.get(office, 0):
            return False
        self._known[office] = number
        fresh, self._unsaved_terms = not self._unsaved_terms, True
        return fresh

    def save_terms(self) -> None:
        """Not durable: it helps against a store that is put back, and that takes its time."""
        if self._unsaved_terms:
            self._unsaved_terms = False
            temporary = self._known_path.with_suffix(".new")
            with contextlib.suppress(OSError):
                temporary.write_bytes(msgspec.json.encode(self._known))
                os.replace(temporary, self._known_path)

    def note_start(self, now: Instant) -> None:
        """One more start of the agent, and no hook has finished yet. Durable. Raises OSError."""
        self._state.starts_ns = [*self._state.starts_ns, now.boot_ns][-_STARTS_MOST:]
        self._write()

    def starts_within(self, now: Instant, span_ns: int) -> int:
        """How many starts there were in the last `span_ns` without a finished hook among them."""
        return sum(1 for start_ns in self._state.starts_ns if now.boot_ns - start_ns < span_ns)

    def hook_finished(self) -> None:
        """The agent gets on with its work: its starts so far are forgiven."""
        if self._state.starts_ns:
            self._state.starts_ns = []
            self._save()

    def lease(self, session: str, ttl_s: int) -> int:
        """The lease that was saved for a session of this length; 0: none."""
        saved = self._state.sessions.get(session)
        return saved.lease if saved is not None and saved.ttl_s == ttl_s else 0

    def save_lease(self, session: str, ttl_s: int, lease: int) -> None:
        """Durable. 0: none any more."""
        if lease:
            self._state.sessions[session] = _SavedLease(lease, ttl_s)
        elif self._state.sessions.pop(session, None) is None:
            return
        self._save()

    def endings(self, candidate: str) -> tuple[Ending, ...]:
        """The verdicts that were saved for a candidate."""
        return tuple(self._state.endings.get(candidate, ()))

    def save_ending(self, candidate: str, ending: Ending) -> None:
        """Durable: the term is over, whoever asks."""
        ending.check()
        others = [other for other in self.endings(candidate) if other.term != ending.term]
        self._state.endings[candidate] = [*others, ending]
        self._save()

    def drop_ending(self, candidate: str, term: int) -> None:
        """The verdict isn't needed any more. On the disk with whatever is saved next: it says nothing wrong meanwhile."""
        left = [ending for ending in self.endings(candidate) if ending.term != term]
        if left:
            self._state.endings[candidate] = left
        else:
            self._state.endings.pop(candidate, None)

    def clear(self) -> None:
        """Everything was handed over: nothing is left to be remembered, nor to be vouched for."""
        with contextlib.suppress(OSError):
            with self._folder() as folder:
                os.unlink(self._path.name, dir_fd=folder)
            if self._beside is not None:
                self._beside.unlink(missing_ok=True)

    def _save(self) -> None:
        try:
            self._write()
        except OSError as error:
            # Also what was saved before, and may be a copy that somebody has, is older than this now.
            self._tell_beside()
            try:
                with self._folder() as folder:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path.name, dir_fd=folder)
                    os.fsync(folder)
            except FileNotFoundError:
                return  # the folder itself is gone, and with it whatever a successor could take up
            except OSError:
                raise Broken(f"{self._path} can be neither written nor removed: {error}") from error

    def _write(self) -> None:
        self._state.serial += 1
        with self._folder() as folder:

            def opener(name: str, flags: int) -> int:
                return os.open(name, flags, 0o666, dir_fd=folder)

            with open("desk.new", "wb", opener=opener) as file:
                file.write(msgspec.json.encode(self._state))
                file.flush()
                os.fsync(file.fileno())
            os.replace("desk.new", self._path.name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        self._tell_beside()

    def _newest(self) -> int:
        """The number of the newest state of this boot, as far as the file beside knows; 0: it knows of none."""
        if self._beside is not None:
            with contextlib.suppress(OSError, ValueError):
                boot_id, serial = self._beside.read_text(encoding="ascii").split()
                if boot_id == self._state.boot_id:
                    return int(serial)
        return 0

    def _tell_beside(self) -> None:
        if self._beside is None:
            return
        # It need not reach the disk: it counts in this boot alone.
        temporary = self._beside.with_name(self._beside.name + ".new")
        try:
            temporary.write_text(f"{self._state.boot_id} {self._state.serial}\n", encoding="ascii")
            os.replace(temporary, self._beside)
        except OSError:
            # Without it nothing is taken up again, which is as safe.
            with contextlib.suppress(OSError):
                self._beside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[int]:
        """The folder that was found at the start. Another that has its name by now is another agent's to write to."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            about = os.fstat(folder)
            if (about.st_dev, about.st_ino) != self._place:
                raise FileNotFoundError(errno.ENOENT, "another folder has its name", str(self._path.parent))
            yield folder
        finally:
            os.close(folder)
