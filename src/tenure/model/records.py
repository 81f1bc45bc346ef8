"""What the keys of a model say: one type a key, checked on both sides of the store.

`encode` and `decode` both end in `check`, so a bad record is caught by whoever writes it and by whoever reads it.
The records of an office's own keys are the protocol's (`office/records.py`).
Times are wall-clock text (ISO 8601, UTC) and are for people; nothing is decided by them.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from tenure.errors import StoreBroken
from tenure.names import LEADER_OFFICE
from tenure.office.timing import Timing

FORMAT = 1
"""The format of a model's keys. A model of a greater format is refused."""

Life = Literal["alive", "dying"]


class Record(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of all records."""

    def check(self) -> None:
        """Raise ValueError where the fields don't fit each other."""


R = TypeVar("R", bound=Record)


class ModelInfo(Record, frozen=True, kw_only=True):
    """`info`."""

    uuid: str
    format: int = FORMAT
    next_relation: int = 0
    """A relation's number is never used twice."""
    next_units: dict[str, int] = {}
    """Nor a unit's: where the numbers of removed applications go on, should one of the same name be deployed."""


class Ran(Record, frozen=True, kw_only=True):
    """`offices/<office>/ran`: when the office's command was begun last, where that limits how often it is."""

    began: str
    term: int
    by: str


class Paused(Record, frozen=True, kw_only=True):
    """`apps/<app>/paused`, `offices/<office>/paused`: nobody claims an office while this exists. Who holds one holds it on."""

    since: str
    reason: str = ""
    """An operator's own words."""


class Drained(Record, frozen=True, kw_only=True):
    """`drained/<machine>`: what the machine's units hold goes elsewhere, and none of them is a candidate."""

    since: str
    host: str = ""
    """The machine's host: what `tenure hold` holds there leaves it, too."""
    reason: str = ""


class CharmManifest(Record, frozen=True, kw_only=True):
    """The charm's chunk 0, put after the others: that it exists says that all of the charm is there."""

    name: str
    size: int
    """Bytes of the archive."""
    chunks: int


class Machine(Record, frozen=True, kw_only=True):
    """`machines/<machine>`: exists while the machine's agent keeps its session."""

    host: str
    addresses: tuple[str, ...] = ()
    boot_id: str
    identity: str
    """Of the agent's state folder: the same after a restart."""
    pid: int
    socket: str
    state_dir: str
    started: str
    """Of this process: tells a restarted agent from its forerunner."""
    version: str = ""


class Endpoint(Record, frozen=True, kw_only=True):
    """An end of a relation, as the charm's metadata declares it."""

    application: str
    name: str
    role: Literal["peer", "provider", "requirer"]
    interface: str


Restart = Literal["always", "on-failure", "never"]


class Health(Record, frozen=True, kw_only=True):
    """How it is told whether a singleton's process is well. Lengths in seconds."""

    command: tuple[str, ...]
    interval_s: float
    timeout_s: float
    failures: int
    """So many in a row, and the process counts as failed."""


class Singleton(Record, frozen=True, kw_only=True):
    """A process that the charm's `tenure.yaml` wants run on one unit at a time. Lengths in seconds."""

    command: tuple[str, ...]
    office: str
    ttl_s: int = 0
    """The office's lease; 0: the application's."""
    stop_timeout_s: float | None = None
    stop_command: tuple[str, ...] = ()
    user: str = ""
    """Empty: the agent's own."""
    environment: dict[str, str] = {}
    namespace: bool = True
    """Whether it may be given a PID namespace of its own."""
    restart: Restart = "always"
    health: Health | None = None
    preferred_unit: int | None = None
    """The number of the unit that comes first when the office is vacant."""
    failures: int
    within_s: float
    """So many failures, with less than so much time between one and the next, and the unit gives the office up."""

    def timing(self, application: Timing) -> Timing:
        """Its office's, in an application of this timing. Raises BadInput for a lease that can't be kept."""
        return Timing.for_lease(self.ttl_s) if self.ttl_s else application

    def check(self) -> None:
        """A process has a command and an office."""
        if not self.command or not self.office:
            raise ValueError("a singleton has a command and an office")


class Work(Record, frozen=True, kw_only=True):
    """`apps/<app>/offices/<office>/work/<n>`: what a unit's agent says of the office's process on it."""

    term: int
    state: Literal["starting", "running", "waiting", "stopping", "done", "failed"]
    since: str = ""
    restarts: int = 0
    """How often the process was run again in this term."""
    enclosed_by: str = ""
    """What the kernel keeps the process in."""
    message: str = ""


class Application(Record, frozen=True, kw_only=True):
    """`apps/<app>/info`."""

    charm: str
    """The archive's digest; empty: the application is one of programs."""
    charm_name: str
    charm_rev: int = 0
    origin: str = "local"
    config: dict[str, str | int | float | bool] = {}
    """Options that an operator has set; the charm's defaults are in its archive and in `options`."""
    options: dict[str, dict[str, Any]] = {}
    """The charm's config.yaml: name -> {type, default, description}."""
    next_unit: int = 0
    endpoints: dict[str, Endpoint] = {}
    peer_relations: dict[str, int] = {}
    """Endpoint -> relation's number."""
    ttl_s: int
    guarantee_s: float
    deposes: bool = False
    """Whether the charm has a hook leader-deposed: then each term has a guard."""
    singletons: dict[str, Singleton] = {}
    """Name -> what is run on one unit at a time."""
    life: Life = "alive"

    @property
    def offices(self) -> frozenset[str]:
        """Leadership's, and each singleton's."""
        return frozenset({LEADER_OFFICE, *(one.office for one in self.singletons.values())})

    @property
    def timing(self) -> Timing:
        """Of the office "leader", and of each that has no lease of its own."""
        return Timing(self.ttl_s, self.guarantee_s)


class Unit(Record, frozen=True, kw_only=True):
    """`apps/<app>/units/<n>/info`."""

    machine: str | None = None
    """None: waits for a machine, if it isn't a program's."""
    program: str = ""
    """The host and process of the program that speaks for the unit itself; empty: a machine's agent does."""
    life: Life = "alive"
    priority: int = 0
    """The unit of the greatest comes first when leadership is vacant."""
    born: int = 0
    """The create revision that this record had in the store that it was restored from; 0: it was made in this one."""

    @property
    def waits_for_machine(self) -> bool:
        """Whether an agent is to take it up."""
        return self.machine is None and not self.program and self.life == "alive"

    def check(self) -> None:
        """A program's unit has no machine."""
        if self.program and self.machine is not None:
            raise ValueError("a program's unit has no machine")


class Said(Record, frozen=True, kw_only=True):
    """A status, as somebody has set it."""

    status: str
    message: str = ""
    since: str = ""
    data: dict[str, Any] = {}


class UnitStatus(Record, frozen=True, kw_only=True):
    """`apps/<app>/units/<n>/status`: the workload's and the agent's."""

    workload: Said
    agent: Said
    workload_version: str = ""


class ApplicationStatus(Record, frozen=True, kw_only=True):
    """`apps/<app>/status`, fenced by the term."""

    said: Said
    id: str


class Settings(Record, frozen=True, kw_only=True):
    """`apps/<app>/settings`: the bucket, fenced by the term; its mod revision is its version."""

    values: dict[str, str] = {}
    id: str = ""


class Relation(Record, frozen=True, kw_only=True):
    """`relations/<n>/info`."""

    endpoints: tuple[Endpoint, ...]
    life: Life = "alive"

    def check(self) -> None:
        """A peer relation has one end, others have two."""
        peer = any(end.role == "peer" for end in self.endpoints)
        if len(self.endpoints) != (1 if peer else 2):
            raise ValueError("a peer relation has one end, another has two")


class Databag(Record, frozen=True, kw_only=True):
    """`relations/<n>/app/<app>` and `relations/<n>/unit/<app>/<n>`; its mod revision is its version."""

    values: dict[str, str] = {}
    id: str = ""


class State(Record, frozen=True, kw_only=True):
    """`apps/<app>/units/<n>/state`: what a unit's charm keeps from one hook to the next."""

    values: dict[str, str] = {}
    id: str = ""


class Request(Record, frozen=True, kw_only=True):
    """`apps/<app>/units/<n>/requests/<id>`: what is asked of a unit's agent, and its answer."""

    kind: Literal["resolved", "transfer", "remove", "exec", "is-leader", "explain", "log"]
    arguments: dict[str, Any] = {}
    asked: str = ""
    state: Literal["asked", "answered", "done", "refused"] = "asked"
    answer: str = ""


class TaskState(Record, frozen=True, kw_only=True):
    """`/tenure.tasks/<model>/<app>/<n>/<id>/state`: how a task stands. That it exists says that it has begun, once and for all."""

    by: str
    """Which process of an agent's has begun it."""
    sent: int = 0
    """The number of the newest chunk of output that is, or was, there."""
    result: dict[str, Any] | None = None
    """What became of it; None: it isn't over."""


class RollingOperation(Record, frozen=True, kw_only=True):
    """`apps/<app>/rolling`: a command that goes from unit to unit by an operator's hand, until it is done everywhere."""

    command: str
    """What the shell is given; also the next one."""
    healthy: str | None = None
    """What says by exit code 0 that the unit is healthy again."""
    at_once: int = 1
    timeout_s: float
    check_timeout_s: float
    at: tuple[str, ...] = ()
    """Units that have begun, and of which it isn't known that they are done."""
    left: tuple[str, ...] = ()
    """All that aren't done, those among them."""
    done: tuple[str, ...] = ()
    began: str = ""


class RollingBy(Record, frozen=True, kw_only=True):
    """`apps/<app>/rolling-by`: who carries that operation on now; on its own lease."""

    host: str
    pid: int
    since: str


def encode(record: Record) -> bytes:
    """The record as it is stored. Raises ValueError when it isn't a valid one."""
    record.check()
    return msgspec.json.encode(record)


def decode(kind: type[R], value: bytes, key: str) -> R:
    """The record that `key` holds. Raises StoreBroken, naming the key, when it isn't one of `kind`."""
    try:
        record = msgspec.json.decode(value, type=kind)
        record.check()
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError) as error:
        raise StoreBroken(
            f"{key} does not hold a valid {kind.__name__} record: {error}",
            hint="it was written by something else, or by a newer Tenure",
        ) from None
    return record
