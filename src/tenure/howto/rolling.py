"""An operation that goes from unit to unit: for charms, one file of standard library, carried in `lib/` beside `charm.py`.

    import charm
    from rolling import RollingOperation

    restarts = RollingOperation(charm, "members")

    if charm.is_leader():
        restarts.begin(charm.config_get("restart"))
    waiting = restarts.step(restart, check=is_healthy)

Call it in leader-elected, leader-settings-changed, config-changed, update-status and the peer relation's -created,
-joined, -changed and -departed. Python 3.8 or newer; it calls nothing but hook tools, so it works under Juju, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["RollingOperation", "Waiting"]

OPERATION, TURN = "rolling-operation", "rolling-turn"
"""Keys of the leader settings: which operation it is, and the units whose turn it is."""

BEGUN, DONE = "rolling-begun", "rolling-done"
"""Keys of a unit's databag: the operation that it has carried out, and the one after which it was healthy, too."""


class Waiting(NamedTuple):
    """A member that hasn't carried the operation out yet."""

    unit: str
    why: str
    """`its turn`, `in error: start`, `waits for web/1`."""


class RollingOperation:
    """An operation that units carry out in turn, `at_once` of them at a time, the leader last.

    A unit begins only when the leader has given it the turn, and the leader gives the next one only when it has seen that
    the former is done, or isn't a member any more. So where an operation fails (its hook is in error), the check says no,
    or an agent is lost, the turn stays there, and no other unit begins. The turn is in the leader settings and what is
    done in the databags: whoever leads next goes on from there. An operation may be carried out twice by its unit, if a
    hook fails after it, but never while another has that turn.
    """

    def __init__(self, tools: Any, endpoint: str, at_once: int = 1) -> None:
        """`tools`: the module `charm`. `endpoint`: the charm's peer relation. Raises ValueError for less than one at once."""
        if at_once < 1:
            raise ValueError("at least one unit at once carries it out")
        self._tools = tools
        self._endpoint = endpoint
        self._at_once = at_once
        self._ran_now = False

    def begin(self, operation: str) -> bool:
        """Let an operation begin, on the leader: a text that differs from the last one's. Returns whether it is a new one.

        One that is under way goes over into it: the units that have the turn carry the new one out first. Raises the
        tools' NotLeader.
        """
        if not operation or operation.split() != [operation]:
            raise ValueError(f"{operation!r} names no operation: a text without blanks")
        if not self._tools.is_leader():
            raise self._tools.NotLeader("is-leader", 1, "this unit is not the leader")
        if self._tools.leader_get(OPERATION) == operation:
            return False
        # Whose turn it is stays so: the former operation may be running there still, and two of them would be at it.
        self._tools.leader_set({OPERATION: operation})
        return True

    def step(self, operation: Callable[[], object], check: Callable[[], object] | None = None) -> list[Waiting]:
        """What is to be done in this hook: `run`, and on the leader `advance` before and after it; returns what the last one says.

        A leader that is deposed meanwhile leaves the rest to the next one.
        """
        self._advance_if_leader()
        self.run(operation, check)
        return self._advance_if_leader()

    def _advance_if_leader(self) -> list[Waiting]:
        try:
            return self.advance() if self._tools.is_leader() else []
        except self._tools.NotLeader:
            return []

    def run(self, operation: Callable[[], object], check: Callable[[], object] | None = None) -> bool:
        """Call `operation()` if it is this unit's turn, then `check()`; returns whether this unit has done it.

        A check that says no leaves the turn here: it is asked again in the next hook, without the operation. What they
        raise is the hook's failure, and leaves it here, too.
        """
        settings = self._tools.leader_get()
        wanted, unit, relation = settings.get(OPERATION), self._tools.unit_name(), self._relation()
        if not wanted or relation is None:
            return False
        if self._said(relation, unit, DONE) == wanted:
            return True
        if unit not in settings.get(TURN, "").split():
            return False
        if self._said(relation, unit, BEGUN) != wanted:
            operation()
            self._tools.relation_set({BEGUN: wanted}, relation_id=relation)
        if check is not None and not check():
            return False
        self._tools.relation_set({DONE: wanted}, relation_id=relation)
        self._ran_now = True
        return True

    def advance(self) -> list[Waiting]:
        """Give the turn on, on the leader; returns who hasn't done it yet: none, when it is done everywhere.

        Raises the tools' NotLeader: the next leader does it.
        """
        members = self._tools.status_get(application=True).get("units") or {}
        settings = self._tools.leader_get()
        wanted, relation, own = settings.get(OPERATION), self._relation(), self._tools.unit_name()
        if not wanted or relation is None:
            return []
        done = {unit for unit in members if self._said(relation, unit, DONE) == wanted}
        if self._ran_now:
            # What this hook says is dropped should it fail, and the operation carried out once more: until it has
            # landed the turn is this unit's. The application's own word brings the hook in which it is given on.
            done.discard(own)
            self._tools.relation_set({DONE: wanted}, relation_id=relation, application=True)
        left = sorted(members.keys() - done, key=lambda unit: (unit == own, int(unit.rpartition("/")[2])))
        turn = [unit for unit in settings.get(TURN, "").split() if unit in left]
        if not any(self._failed(members[unit]) for unit in turn):
            turn += [unit for unit in left if unit not in turn][: max(0, self._at_once - len(turn))]
        if turn != settings.get(TURN, "").split():
            self._tools.leader_set({TURN: " ".join(turn)})
        return [
            Waiting(unit, self._why(members[unit], unit, turn)) for unit in left if unit != own or not self._ran_now
        ]

    def _why(self, said: dict[str, Any], unit: str, turn: list[str]) -> str:
        if self._failed(said):
            return "in error: " + str((said.get("status-data") or {}).get("hook") or said.get("message"))
        return "its turn" if unit in turn else "waits for " + ", ".join(turn)

    @staticmethod
    def _failed(said: dict[str, Any]) -> bool:
        return said.get("status") == "error"

    def _relation(self) -> str | None:
        return next(iter(self._tools.relation_ids(self._endpoint)), None)

    def _said(self, relation: str, unit: str, key: str) -> Any:
        try:
            return self._tools.relation_get(key, member=unit, relation_id=relation)
        except self._tools.HookToolError as error:
            if "settings not found" in error.message:
                return None
            raise
