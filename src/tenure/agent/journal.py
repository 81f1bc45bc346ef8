"""What a unit's hooks have been told so far, on this host's disk: what the resolver compares the model with.

Two files in the unit's folder:

- `journal`, written whole beside the old one, renamed, and durable before the call returns: what has been committed, and
  the hook that failed or is queued.
- `running`, there before a hook starts: which hook it is. It need outlive the agent only, not the host, so it isn't
  forced to the disk, and is written over in place by one call of a page (a rename would have the file system flush it):
  after a crash of the host no process of the hook's is left, and the hook is chosen again.

`running` counts only while its serial is the one after the journal's: so the single write of the journal is what
commits a hook, and a crash between any two lines means one of two things. Before that write the hook was interrupted:
it counts as failed and runs again. After it the hook has run.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from tenure.agent.hook import Hook
from tenure.agent.processes import end_what_is_left
from tenure.clock import Instant, ns
from tenure.defaults import RETRY_FIRST_S, RETRY_MOST_S
from tenure.errors import BadInput

FORMAT = 1

_PAGE = 4096


class Membership(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a unit has been told of one relation; that it is there says: -created has run."""

    members: dict[str, int] = {}
    """Units whose -joined has run, with the version of their databag that was told."""
    application: int = 0
    """The version of the remote (a peer's own) application's databag that was told; 0: there was none."""
    changed_next: str = ""
    """The unit whose -joined was the last: its -changed is the relation's next hook."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that failed: the unit is in error until it succeeds or is resolved."""

    hook: Hook
    attempts: int
    retry_at: Instant


class Journal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One unit's past. Each method returns the journal after an event; nothing is done by it."""

    format: int = FORMAT
    serial: int = 0
    """How often it has been written."""
    unit_revision: int
    """The revision at which the unit was made: a unit of the same name with another is another unit."""
    installed: bool = False
    started: bool = False
    stopped: bool = False
    removed: bool = False
    boot_id: str = ""
    """The boot in which `start` last ran."""
    config: str = ""
    """Digest of the configuration that config-changed last told of."""
    term: int = 0
    """The term whose leader-elected has run, or was skipped."""
    settings: int | None = None
    """The version of the leader settings that leader-settings-changed last told of; None: to be told again."""
    relations: dict[int, Membership] = {}
    queued: Hook | None = None
    failed: Failed | None = None

    def check(self) -> None:
        """Raise ValueError where the fields don't fit each other."""
        if self.format > FORMAT:
            raise ValueError(f"its format is {self.format}, this Tenure knows {FORMAT}")
        if self.queued and self.failed:
            raise ValueError("one hook at a time is queued or failed")
        if ((self.started or self.removed) and not self.installed) or (self.stopped and not self.started):
            raise ValueError("a unit is installed before it starts, and stops only after it")
        for relation, known in self.relations.items():
            if known.changed_next and known.changed_next not in known.members:
                raise ValueError(f"relation {relation}: -changed comes after -joined")
        for hook in (self.queued, self.failed and self.failed.hook):
            if hook:
                hook.check()

    # ---- events

    def awoken(self, now: Instant) -> Journal:
        """The agent has started: the settings are told again, as in Juju, and a hook in error is tried soon."""
        failed = self.failed and replace(self.failed, attempts=1, retry_at=now.after(ns(RETRY_FIRST_S)))
        return replace(self, settings=None, failed=failed)

    def failing(self, hook: Hook, now: Instant) -> Journal:
        """`hook` failed, or was interrupted by the agent's death: it waits for its retry, each wait twice the last."""
        attempts = self.failed.attempts + 1 if self.failed and self.failed.hook == hook else 1
        retry_at = now.after(ns(min(RETRY_FIRST_S * 2 ** (attempts - 1), RETRY_MOST_S)))
        return replace(self, queued=None, failed=Failed(hook=hook, attempts=attempts, retry_at=retry_at))

    def again(self, hook: Hook) -> Journal:
        """`hook` was killed from outside, or an operator has asked for its retry: it runs next, with a fresh count."""
        return replace(self, queued=hook, failed=None)

    def committed(self, hook: Hook, boot_id: str) -> Journal:
        """`hook` succeeded, was skipped, or has no file in the charm: what it told of is told."""
        after = replace(self, queued=None, failed=None)
        match hook.kind:
            case "install":
                return replace(after, installed=True)
            case "config-changed":
                start = None if self.started else Hook(kind="start")
                return replace(after, config=hook.config, queued=start)
            case "start":
                return replace(after, started=True, boot_id=boot_id)
            case "stop":
                return replace(after, stopped=True)
            case "remove":
                return replace(after, removed=True)
            case "leader-elected":
                # A leader is told nothing of the settings; should it be deposed, all of them are news to it.
                return replace(after, term=hook.term or 0, settings=None)
            case "leader-settings-changed":
                return replace(after, settings=hook.version)
            case "update-status":
                return after
            case _:
                assert hook.relation is not None
                known = self.relations.get(hook.relation, Membership())
                return replace(after, relations=self.relations | {hook.relation: _told(known, hook)})


def _told(known: Membership, hook: Hook) -> Membership:
    unit = hook.remote_unit
    match hook.kind:
        case "relation-joined":
            return replace(known, members=known.members | {unit: hook.version}, changed_next=unit)
        case "relation-departed":
            members = {name: version for name, version in known.members.items() if name != unit}
            changed_next = "" if known.changed_next == unit else known.changed_next
            return replace(known, members=members, changed_next=changed_next)
        case "relation-changed" if unit:
            return replace(known, members=known.members | {unit: hook.version}, changed_next="")
        case "relation-changed":
            return replace(known, application=hook.version)
        case _:
            return known


class Running(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`running`: a hook that was started and hasn't been committed."""

    serial: int
    """Of the journal's write that will commit it."""
    hook: Hook
    context_id: str
    pid: int = 0
    """0: it had not been started yet, or not been written down."""
    started_ticks: int = 0
    """The process's start, as the kernel counts it: tells it from a later one of the same pid."""
    boot_id: str = ""
    """The boot in which it ran: in another, its pid and its session are somebody else's."""

    def check(self) -> None:
        """Raise ValueError where the fields don't fit each other."""
        self.hook.check()
        if self.serial <= 0 or not self.context_id:
            raise ValueError("a running hook has a serial and a context")

    def end_what_is_left(self, boot_id: str) -> int:
        """Kill what is left of it on this host. Returns how many processes there were; of another boot's there are none."""
        return end_what_is_left(self.context_id, self.pid, self.started_ticks) if self.boot_id == boot_id else 0


class JournalFile:
    """The two files of one unit. Nobody else writes them: the agent holds the state folder's lock."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal"
        self._running = folder / "running"

    def load(self) -> Journal | None:
        """The journal as it was last saved; None: there is none. Raises BadInput, naming the file, when it can't be read."""
        return _load(self._path, Journal)

    def save(self, journal: Journal) -> Journal:
        """Write the journal, durable before it returns; what is returned is what was written. Raises OSError: the old one stays."""
        journal = replace(journal, serial=journal.serial + 1)
        journal.check()
        _write(self._path, msgspec.json.encode(journal))
        return journal

    def begin(self, running: Running) -> None:
        """Note that a hook is about to be started, or under which pid it was."""
        running.check()
        content = msgspec.json.encode(running).ljust(_PAGE)
        # A process that is killed has written all of a page or nothing of it; what is longer has to be renamed.
        if len(content) > _PAGE:
            _write(self._running, content)
            return
        file = os.open(self._running, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, content, 0)
        finally:
            os.close(file)

    def interrupted(self, journal: Journal) -> Running | None:
        """The hook that was running when the last agent died; None: there was none, or it has been committed."""
        try:
            running = _load(self._running, Running)
        except BadInput:
            return None  # the host crashed in the middle of writing it: nothing of that hook runs any more
        return running if running and running.serial == journal.serial + 1 else None


T = TypeVar("T", Journal, Running)


def _load(path: Path, kind: type[T]) -> T | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        record = msgspec.json.decode(content, type=kind)
        record.check()
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(
            f"{path} can't be read: {error}",
            hint="restore the file, or remove the unit's folder: its hooks then run from install on",
        ) from None
    return record


def _write(path: Path, content: bytes) -> None:
    """The file has the old content or the new one, whatever happens, and surely the new one once this has returned."""
    beside = path.with_name(path.name + ".new")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    finally:
        os.close(file)
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
