"""Leadership for charm authors: the hook tools as functions; settings made once for all, and settings that are acknowledged.

One file, standard library alone, Python 3.8 or newer: a charm carries a copy of it in its `lib/`. It calls nothing but
hook tools, so it works under Tenure and under Juju, and only inside a hook, an action or an exec.

    import charm

    shared = charm.SharedSettings(create=make_settings, valid=lambda settings: "secret" in settings)

    @charm.waiting_for_leader()
    def main():
        shared.set()                # the leader makes the settings, if there are none yet
        settings = shared.get()     # a minion that has none yet: status "waiting: for leader", exit 0
        ...

Who can see values: `relation_set` hands them over on standard input. `leader-set` takes them as arguments only, in Juju
always, and a command line can be read in /proc by every user of the host (unless it is mounted with hidepid) while the
tool runs, some milliseconds. Where the tool offers `--file`, `leader_set` uses it. Errors and logs never hold a value.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "AcknowledgedSettings",
    "HookToolError",
    "Missing",
    "NotLeader",
    "SharedSettings",
    "WaitingForLeader",
    "config_get",
    "is_leader",
    "leader_get",
    "leader_set",
    "log",
    "relation_get",
    "relation_ids",
    "relation_list",
    "relation_set",
    "status_get",
    "status_set",
    "unit_name",
    "waiting_for_leader",
]

ARGUMENT_MAX = 131_071
"""The longest argument that Linux passes to a program, in bytes (MAX_ARG_STRLEN less the NUL)."""

LOGGED_MAX = 100_000
"""Bytes of one message that `log` hands over; the rest is left out, for a message is an argument too."""


class HookToolError(Exception):
    """A hook tool failed, or there is none: `tool`, its exit `code` and what it wrote as `message`. Nothing was changed."""

    def __init__(self, tool: str, code: int, message: str) -> None:
        super().__init__(f"{tool}: {message} (exit code {code})")
        self.tool = tool
        self.code = code
        self.message = message


class NotLeader(HookToolError):
    """The unit isn't the leader, or no longer in the term of this hook: what it wanted to write has not been written."""


class WaitingForLeader(Exception):
    """The leader hasn't made the shared settings yet. leader-settings-changed comes when it has."""


# ---- the hook tools -------------------------------------------------------------------------------------------------


def is_leader() -> bool:
    """Whether this unit is the leader. True stays true for the guarantee (30 s by default); False promises nothing."""
    return _ask("is-leader") is True


def leader_get(key: str | None = None) -> Any:
    """The leader settings as a dict; or with `key` that value, None when it isn't there. Any unit may ask."""
    if key is not None:
        return _ask("leader-get", ["--", key])
    return _ask("leader-get", ["-"]) or {}


def leader_set(settings: Mapping[str, Any] | None = None, **more: Any) -> None:
    """Write leader settings, all of them or none, at once; None as a value removes its key.

    Values are text (whole numbers are written as such), with newlines and quotes if need be. An empty text removes the
    key, as in Juju. Raises NotLeader; TypeError or ValueError for what can't be passed on; HookToolError when a value is
    longer than an argument can be (131,071 bytes with its key) and the tool offers no other way.
    """
    pairs = _texts({**(settings or {}), **more})
    if pairs and _offers_file("leader-set"):
        _run("leader-set", ["--file", "-"], stdin=_as_yaml(pairs))
    else:
        _run("leader-set", ["--", *_arguments("leader-set", pairs)])


def status_set(status: str, message: str = "", application: bool = False) -> None:
    """Show maintenance, blocked, waiting or active with a message; for the `application` as its leader only."""
    _run("status-set", [*(["--application"] if application else []), "--", status, message])


def status_get(application: bool = False) -> dict[str, Any]:
    """`{"status", "message", "status-data"}` of this unit. For the `application`, asked by its leader: with `units`,
    the members that are there now, `{"web/0": {...}, ...}`.
    """
    if not application:
        own: dict[str, Any] = _ask("status-get", ["--include-data"]) or {}
        return own
    answer: dict[str, Any] = _ask("status-get", ["--include-data", "--application"]) or {}
    whole: dict[str, Any] = answer.get("application-status", answer)
    return whole


def relation_ids(endpoint: str) -> list[str]:
    """The relations of an endpoint, `["peers:0"]`; empty before `install` is over."""
    return _ask("relation-ids", [endpoint]) or []


def relation_list(relation_id: str | None = None) -> list[str]:
    """The other units of a relation; of the hook's own relation without `relation_id`."""
    return _ask("relation-list", _relation(relation_id)) or []


def relation_get(
    key: str | None = None, member: str | None = None, relation_id: str | None = None, application: bool = False
) -> Any:
    """What `member` (a unit; with `application` an application) has said: a dict, or with `key` one value or None.

    Without a member: the hook's own remote one.
    """
    arguments = [*_relation(relation_id), *(["--app"] if application else []), "--", "-" if key is None else key]
    answer = _ask("relation-get", [*arguments, *([member] if member else [])])
    return (answer or {}) if key is None else answer


def relation_set(
    values: Mapping[str, Any] | None = None,
    relation_id: str | None = None,
    application: bool = False,
    **more: Any,
) -> None:
    """Say something on a relation, as the unit or, being its leader, as the `application`; None removes a key.

    It leaves the unit when the hook has succeeded. Values go by standard input, so they show on no command line.
    """
    pairs = _texts({**(values or {}), **more})
    arguments = [*_relation(relation_id), *(["--app"] if application else []), "--file", "-"]
    _run("relation-set", arguments, stdin=_as_yaml(pairs))


def config_get(key: str | None = None) -> Any:
    """The application's options as a dict, or one of them; typed as config.yaml says."""
    answer = _ask("config-get", [key] if key is not None else ["--all"])
    return (answer or {}) if key is None else answer


def log(message: str, level: str = "INFO") -> None:
    """Write to the unit's log. Never put a secret in it."""
    text = os.fsencode(message.replace("\0", "\\0"))[:LOGGED_MAX].decode("utf-8", "replace")
    _run("juju-log", ["--log-level", level, "--", text])


def unit_name() -> str:
    """This unit's name, `web/0`. Raises HookToolError outside a hook."""
    try:
        return os.environ["JUJU_UNIT_NAME"]
    except KeyError:
        raise HookToolError("JUJU_UNIT_NAME", 1, "not set: this isn't a hook") from None


# ---- settings that the leader makes once ----------------------------------------------------------------------------


class SharedSettings:
    """Leader settings that are made once, by whoever is leader first, and are then the same for every unit.

    `create()` makes them, a dict of texts, and is called by a leader only; `valid(settings)` says whether what is there
    will do: by default, that there is something.
    """

    def __init__(
        self, create: Callable[[], Mapping[str, Any]], valid: Callable[[Mapping[str, str]], bool] = bool
    ) -> None:
        self._create = create
        self._valid = valid

    def set(self) -> bool:
        """Make the settings if this unit leads and there are no valid ones; returns whether it did.

        Call it in leader-elected, and anywhere else: at the beginning of install it is there the soonest. A unit that
        was deposed in between has written nothing: False, for whoever leads now does it in a leader-elected of its own.
        """
        if not is_leader() or self._valid(leader_get()):
            return False
        try:
            leader_set(self._create())
        except NotLeader:
            return False
        return True

    def get(self) -> dict[str, str]:
        """The settings. Raises WaitingForLeader while there are no valid ones: see `waiting_for_leader`.

        Call it in leader-settings-changed, and wherever the settings are needed.
        """
        settings: dict[str, str] = leader_get()
        if not self._valid(settings):
            raise WaitingForLeader
        return settings


class waiting_for_leader(contextlib.ContextDecorator):  # noqa: N801 - it is used as a function is
    """A block, or with `@` a function, in which WaitingForLeader ends the hook well: status "waiting", exit code 0.

    The hook that brings the settings, leader-settings-changed, finds its way through later.
    """

    def __init__(self, message: str = "for leader") -> None:
        self.message = message

    def __enter__(self) -> waiting_for_leader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, WaitingForLeader):
            status_set("waiting", self.message)
            sys.exit(0)


# ---- settings that change, and are acknowledged ---------------------------------------------------------------------

SETTINGS_VERSION, SETTINGS_PUBLISHED = "settings-version", "settings-published"
"""The leader settings' own two keys: which version they are (1, 2, …), and when it was published (for people)."""

SETTINGS_ACKNOWLEDGED = "settings-acknowledged"
"""A unit's word in its peer databag: the version that it has applied."""


class Missing(NamedTuple):
    """A member that hasn't acknowledged the settings as they are published."""

    unit: str
    why: str
    """`hasn't joined`, `agent lost for 40 s`, `in error: config-changed`, `acknowledged version 3 of 4`."""
    acknowledged: int
    """The version that it has last acknowledged; 0: none."""
    since: str
    """When what it lacks was published: a time for people (ISO 8601, UTC)."""


class AcknowledgedSettings:
    """Leader settings that change, and of which each unit says when it has applied them.

    The leader publishes a version, every unit applies and acknowledges it in its databag on the peer relation `endpoint`,
    and the leader looks who is missing: of the units that are members now, as `status-get --application` lists them.
    Nothing waits: a hook looks, and returns. All of it is in the leader settings and the databags, so whoever leads next
    takes it up where it stands, and a leader that was deposed has left nothing half-done.

        rollout = charm.AcknowledgedSettings("members")

        if charm.is_leader():
            rollout.publish(color=charm.config_get("color"))
        rollout.apply(restart_with)
        if charm.is_leader() and not rollout.missing():
            ...                         # every member has applied it

    Call it in leader-elected, leader-settings-changed, config-changed, update-status and the relation's -created, -joined,
    -changed and -departed: each of them may be the one in which something is seen first. A unit that goes without ever
    having joined brings no hook: it is missed no more at the next one. A lost agent's unit is a member still.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    @property
    def version(self) -> int:
        """The version that is published; 0: none yet."""
        return _number(leader_get(SETTINGS_VERSION))

    def publish(self, settings: Mapping[str, Any] | None = None, **more: Any) -> int:
        """Change leader settings as `leader_set` does, as one new version of all of them; returns its number.

        Settings that are so already make no new version: call it as often as you like. Raises NotLeader: nothing is
        written, and whoever leads now does it; ValueError for the two keys that are its own.
        """
        changes = _texts({**(settings or {}), **more})
        if taken := sorted({SETTINGS_VERSION, SETTINGS_PUBLISHED} & changes.keys()):
            raise ValueError(f"{taken[0]} is a key of AcknowledgedSettings' own")
        # Asked before reading: a leader reads no picture that is older than its own term, and so never counts back.
        if not is_leader():
            raise NotLeader("is-leader", 1, "this unit is not the leader")
        there = leader_get()
        version = _number(there.get(SETTINGS_VERSION))
        if version and all(there.get(key, "") == value for key, value in changes.items()):
            return version
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017 - Python 3.8
        leader_set({**changes, SETTINGS_VERSION: version + 1, SETTINGS_PUBLISHED: now})
        return version + 1

    def apply(self, apply: Callable[[dict[str, str]], object]) -> bool:
        """Call `apply(settings)` if this unit hasn't acknowledged them, then acknowledge; returns whether it has now.

        `settings` are without the two keys that are AcknowledgedSettings' own. The acknowledgement leaves the unit when
        the hook has succeeded, so what fails is not acknowledged; `apply` may be called twice for one version. False:
        nothing is published yet, or the relation isn't there yet (in install), and a later hook does it.
        """
        settings: dict[str, str] = leader_get()
        version = _number(settings.pop(SETTINGS_VERSION, None))
        settings.pop(SETTINGS_PUBLISHED, None)
        relation_id = self._relation()
        if not version or (relation_id and self._acknowledged(relation_id, unit_name()) == version):
            return bool(version)
        apply(settings)
        if relation_id is None:
            return False
        relation_set({SETTINGS_ACKNOWLEDGED: version}, relation_id=relation_id)
        return True

    def acknowledge(self, version: int) -> None:
        """Acknowledge `version`, for a charm that applies settings in a way of its own. Raises ValueError for one that was never published."""
        published = self.version
        if not 1 <= version <= published:
            raise ValueError(f"version {version} was never published; the newest is {published}")
        relation_id = self._relation()
        if relation_id is not None:
            relation_set({SETTINGS_ACKNOWLEDGED: version}, relation_id=relation_id)

    def missing(self) -> list[Missing]:
        """The members that haven't acknowledged the version that is published, by number; none: all have, or nothing is.

        For the leader; raises NotLeader. Its own acknowledgement counts as of this hook.
        """
        members: dict[str, Any] = status_get(application=True).get("units") or {}
        settings = leader_get()
        version = _number(settings.get(SETTINGS_VERSION))
        if not version:
            return []
        relation_id = self._relation()
        found = []
        for unit in sorted(members, key=lambda name: int(name.rpartition("/")[2])):
            acknowledged = self._acknowledged(relation_id, unit) if relation_id else None
            if acknowledged != version:
                why = _why_missing(members[unit], acknowledged, version)
                found.append(Missing(unit, why, acknowledged or 0, settings.get(SETTINGS_PUBLISHED, "")))
        return found

    def _relation(self) -> str | None:
        return next(iter(relation_ids(self._endpoint)), None)

    @staticmethod
    def _acknowledged(relation_id: str, unit: str) -> int | None:
        """What the unit has acknowledged; None: it isn't in the relation."""
        try:
            return _number(relation_get(SETTINGS_ACKNOWLEDGED, member=unit, relation_id=relation_id))
        except NotLeader:
            raise
        except HookToolError as error:
            if "settings not found" in error.message:
                return None
            raise


def _why_missing(said: Mapping[str, Any], acknowledged: int | None, version: int) -> str:
    status, message, data = said.get("status"), said.get("message") or "", said.get("status-data") or {}
    if status == "unknown" and message.startswith("agent lost"):
        return f"agent lost for {data['lost-for-s']} s" if "lost-for-s" in data else "agent lost"
    if status == "error":
        return "in error: " + str(data.get("hook") or message)
    if acknowledged is None:
        return "hasn't joined"
    if acknowledged > version:
        return f"acknowledged version {acknowledged}, which was never published"
    return f"acknowledged version {acknowledged} of {version}" if acknowledged else f"acknowledged none of {version}"


def _number(text: Any) -> int:
    """A version as it was written; 0 for what is none."""
    return int(text) if isinstance(text, str) and text.isdecimal() else 0


# ---- calling a tool -------------------------------------------------------------------------------------------------


def _ask(tool: str, arguments: Sequence[str] = ()) -> Any:
    """A tool's answer, decoded; None for none."""
    out = _run(tool, ["--format=json", *arguments])
    if not out.strip():
        return None
    try:
        return json.loads(out.decode("utf-8", "surrogateescape"))
    except ValueError:
        raise HookToolError(tool, 0, "it answered with something that isn't JSON") from None


def _run(tool: str, arguments: Sequence[str], stdin: bytes | None = None) -> bytes:
    try:
        done = subprocess.run(
            [tool, *(os.fsencode(word) for word in arguments)],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise HookToolError(tool, 127, "there is no such hook tool on PATH: this isn't a hook") from None
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise HookToolError(tool, 126, error.strerror or "it can't be run") from None
        raise HookToolError(tool, 126, "the values are longer than arguments can be") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        message = said[len("ERROR ") :] if said.startswith("ERROR ") else said
        refused = "not the leader" in message or "cannot write relation settings" in message
        kind = NotLeader if refused else HookToolError
        raise kind(tool, done.returncode, message or "failed without a word")
    return done.stdout


@functools.lru_cache(maxsize=None)  # noqa: UP033 - functools.cache came with Python 3.9
def _offers_file(tool: str) -> bool:
    return b"--file" in _run(tool, ["--help"])


def _relation(relation_id: str | None) -> list[str]:
    return [] if relation_id is None else ["-r", relation_id]


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Keys and values as texts that a tool takes; an empty one removes its key."""
    texts = {}
    for key, value in values.items():
        if not key or "=" in key or "\0" in key:
            raise ValueError(f"{key!r} is not a key: a text without = and NUL, not empty")
        if value is None:
            value = ""
        elif isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise TypeError(f"the value of {key} is a {type(value).__name__}, not a text")
        if "\0" in value:
            raise ValueError(f"the value of {key} holds a NUL, which no argument and no YAML can")
        texts[key] = value
    return texts


def _arguments(tool: str, pairs: Mapping[str, str]) -> list[str]:
    for key, value in pairs.items():
        size = len(os.fsencode(key + "=" + value))
        if size > ARGUMENT_MAX:
            raise HookToolError(
                tool,
                126,
                f"{key}=… is {size} bytes long, and an argument can be {ARGUMENT_MAX}; nothing was written",
            )
    return [key + "=" + value for key, value in pairs.items()]


def _as_yaml(pairs: Mapping[str, str]) -> bytes:
    """JSON that is YAML, too: YAML takes no surrogate pairs, and these characters only escaped."""
    text = re.sub(
        "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]",
        lambda found: f"\\u{ord(found.group()):04x}",
        json.dumps(pairs, ensure_ascii=False),
    )
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            "a value holds bytes that aren't UTF-8, which YAML can't: encode it, as base64 for one"
        ) from None
