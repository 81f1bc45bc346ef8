"""The order of a unit's hooks: promise 6, and Juju's rules, by table and by histories that Hypothesis makes up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.agent.hook import Hook
from tenure.agent.journal import Failed, Journal, Membership
from tenure.agent.resolver import Gone, Idle, Resolve, Run, Seen, SeenRelation, Skip, Waiting, next_operation
from tenure.clock import Instant, ns

NOW = Instant(ns(1000), ns(1000))
LATER = NOW.after(ns(300))
EARLIER = NOW.after(-1)

CONFIG = Hook(kind="config-changed", config="c1")
START = Hook(kind="start")


def seen(**changes: Any) -> Seen:
    calm = Seen(
        unit="web/0",
        life="alive",
        boot_id="b1",
        term=None,
        settings=7,
        config="c1",
        update_status_at=LATER,
        relations={0: SeenRelation("peers", "web")},
    )
    return replace(calm, **changes)


def journal(**changes: Any) -> Journal:
    told = Journal(
        unit_revision=3,
        installed=True,
        started=True,
        boot_id="b1",
        config="c1",
        settings=7,
        relations={0: Membership()},
    )
    return msgspec.structs.replace(told, **changes)


def peers(application: int = 0, **members: int) -> dict[int, SeenRelation]:
    return {
        0: SeenRelation("peers", "web", {f"web/{name[1:]}": version for name, version in members.items()}, application)
    }


def known(application: int = 0, changed_next: str = "", **members: int) -> dict[int, Membership]:
    told = {f"web/{name[1:]}": version for name, version in members.items()}
    return {0: Membership(members=told, application=application, changed_next=changed_next)}


def failed(hook: Hook, retry_at: Instant = LATER) -> Failed:
    return Failed(hook=hook, attempts=1, retry_at=retry_at)


def about(kind: str, unit: str = "", version: int = 0, departing: str = "") -> Hook:
    return Hook(
        kind=kind,  # type: ignore[arg-type]
        relation=0,
        endpoint="peers",
        remote_application="web",
        remote_unit=unit,
        version=version,
        departing_unit=departing,
    )


FRESH = Journal(unit_revision=3)
INSTALLED = msgspec.structs.replace(FRESH, installed=True)
CREATED = msgspec.structs.replace(INSTALLED, relations={0: Membership()})

TABLE = {
    # the first run
    "a fresh unit installs": (FRESH, seen(), Run(Hook(kind="install"))),
    "install comes before leader-elected": (FRESH, seen(term=9), Run(Hook(kind="install"))),
    "created comes next, for peers too": (INSTALLED, seen(term=9), Run(about("relation-created"))),
    "then a leader is elected": (CREATED, seen(term=9), Run(Hook(kind="leader-elected", term=9))),
    "a minion is told of empty settings, once": (
        CREATED,
        seen(settings=0),
        Run(Hook(kind="leader-settings-changed", version=0)),
    ),
    "then comes the configuration": (
        msgspec.structs.replace(CREATED, settings=0),
        seen(settings=0),
        Run(CONFIG),
    ),
    "start is queued and nothing gets between": (
        msgspec.structs.replace(CREATED, settings=7, config="c1", queued=START),
        seen(term=9, settings=8, config="c2", relations=peers(u1=5)),
        Run(START),
    ),
    # leadership
    "a term whose leader-elected has run has no second": (journal(term=9), seen(term=9), Idle(LATER)),
    "a new term has a leader-elected of its own": (
        journal(term=9),
        seen(term=12),
        Run(Hook(kind="leader-elected", term=12)),
    ),
    "the leader isn't told of its own settings": (
        journal(term=9, settings=None),
        seen(term=9, settings=8),
        Idle(LATER),
    ),
    "a minion is told of new settings": (
        journal(),
        seen(settings=8),
        Run(Hook(kind="leader-settings-changed", version=8)),
    ),
    "the deposed leader is told of the settings": (
        journal(term=9, settings=None),
        seen(),
        Run(Hook(kind="leader-settings-changed", version=7)),
    ),
    "a queued leader-elected is skipped when the term is lost": (
        journal(queued=Hook(kind="leader-elected", term=9)),
        seen(),
        Skip(Hook(kind="leader-elected", term=9)),
    ),
    "a queued leader-elected of an older term is skipped": (
        journal(queued=Hook(kind="leader-elected", term=9)),
        seen(term=12),
        Skip(Hook(kind="leader-elected", term=9)),
    ),
    "a queued leader-elected runs in its term": (
        journal(queued=Hook(kind="leader-elected", term=9)),
        seen(term=9),
        Run(Hook(kind="leader-elected", term=9)),
    ),
    # configuration, reboot, update-status
    "what was set back in time is no change": (journal(config="c1"), seen(config="c1"), Idle(LATER)),
    "after a reboot it starts again": (journal(), seen(boot_id="b2"), Run(START)),
    "a reboot before the first start is none": (
        journal(started=False, boot_id="", queued=None, config="c0"),
        seen(boot_id="b2"),
        Run(CONFIG),
    ),
    "update-status when idle for its interval": (
        journal(),
        seen(update_status_at=EARLIER),
        Run(Hook(kind="update-status")),
    ),
    "update-status only when nothing else is to be done": (
        journal(config="c0"),
        seen(update_status_at=EARLIER),
        Run(CONFIG),
    ),
    # relations
    "the application's bag is told of before anybody has joined": (
        journal(),
        seen(relations=peers(application=4, u1=5)),
        Run(about("relation-changed", version=4)),
    ),
    "joined in lexical order": (
        journal(),
        seen(relations=peers(u2=5, u10=6)),
        Run(about("relation-joined", "web/10", 6)),
    ),
    "changed follows its joined": (
        journal(relations=known(u10=6, changed_next="web/10")),
        seen(relations=peers(u2=5, u10=8)),
        Run(about("relation-changed", "web/10", 8)),
    ),
    "changed follows its joined, though the unit has gone": (
        journal(relations=known(u1=6, changed_next="web/1")),
        seen(relations=peers()),
        Run(about("relation-changed", "web/1", 6)),
    ),
    "departed comes before changed": (
        journal(relations=known(u1=6, u2=6)),
        seen(relations=peers(u2=9)),
        Run(about("relation-departed", "web/1", departing="web/1")),
    ),
    "a bag whose version differs is told of": (
        journal(relations=known(u1=6)),
        seen(relations=peers(u1=9)),
        Run(about("relation-changed", "web/1", 9)),
    ),
    "a bag that is as it was told is no event": (
        journal(relations=known(u1=6)),
        seen(relations=peers(u1=6)),
        Idle(LATER),
    ),
    # errors
    "a unit in error waits": (
        journal(failed=failed(CONFIG)),
        seen(term=9, settings=8, config="c2", boot_id="b2"),
        Waiting("resolved", CONFIG, LATER),
    ),
    "a failed hook is retried in time": (journal(failed=failed(CONFIG, EARLIER)), seen(), Run(CONFIG)),
    "a failed leader-elected is skipped once its term is over": (
        journal(failed=failed(Hook(kind="leader-elected", term=9))),
        seen(term=12),
        Skip(Hook(kind="leader-elected", term=9)),
    ),
    "resolved: now": (journal(failed=failed(CONFIG)), seen(resolved="retry"), Resolve(CONFIG, retry=True)),
    "resolved --no-retry: as it is": (
        journal(failed=failed(CONFIG)),
        seen(resolved="no-retry"),
        Resolve(CONFIG, retry=False),
    ),
    "resolved without an error changes nothing": (journal(), seen(resolved="retry"), Idle(LATER)),
    "in error and dying: stuck until resolved": (
        journal(failed=failed(CONFIG)),
        seen(life="dying"),
        Waiting("resolved", CONFIG, LATER),
    ),
    # dying
    "a dying unit departs from each": (
        journal(relations=known(u1=6, u2=6)),
        seen(life="dying", relations=peers(u1=9, u2=9)),
        Run(about("relation-departed", "web/1", departing="web/0")),
    ),
    "a dying unit's joined is still followed by its changed": (
        journal(relations=known(u1=6, changed_next="web/1")),
        seen(life="dying", relations=peers(u1=6)),
        Run(about("relation-changed", "web/1", 6)),
    ),
    "then it stops": (journal(), seen(life="dying", relations=peers(u1=9), config="c2"), Run(Hook(kind="stop"))),
    "then it is removed": (journal(stopped=True), seen(life="dying"), Run(Hook(kind="remove"))),
    "a unit that never started doesn't stop": (
        journal(started=False),
        seen(life="dying"),
        Run(Hook(kind="remove")),
    ),
    "then it is gone": (journal(stopped=True, removed=True), seen(life="dying"), Gone(orderly=True)),
    "a unit that dies before install never installs": (FRESH, seen(life="dying"), Gone(orderly=True)),
    "also when install had been queued": (
        msgspec.structs.replace(FRESH, queued=Hook(kind="install")),
        seen(life="dying"),
        Gone(orderly=True),
    ),
    "a dying unit isn't told of its election": (
        journal(stopped=True),
        seen(life="dying", term=9),
        Run(Hook(kind="remove")),
    ),
    "a unit whose record is gone ends, whatever its hooks": (
        journal(failed=failed(CONFIG)),
        seen(life="gone"),
        Gone(orderly=False),
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_a_unit_does_next(case: str) -> None:
    told, shown, expected = TABLE[case]
    told.check()
    assert next_operation(told, shown, NOW) == expected


def test_a_unit_that_has_not_started_is_never_woken_for_update_status() -> None:
    assert next_operation(journal(started=False), seen(), NOW) == Idle(None)


# ---- histories: the model moves while the unit runs its hooks, some of which fail, and its agent starts again

UNITS = ["web/1", "web/2", "web/10"]

moves = st.lists(
    st.one_of(
        st.tuples(st.just("elected"), st.integers(1, 3)),
        st.tuples(st.just("deposed"), st.none()),
        st.tuples(st.just("settings"), st.none()),
        st.tuples(st.just("config"), st.sampled_from(["c1", "c2"])),
        st.tuples(st.just("joins"), st.sampled_from(UNITS)),
        st.tuples(st.just("writes"), st.sampled_from(UNITS)),
        st.tuples(st.just("leaves"), st.sampled_from(UNITS)),
        st.tuples(st.just("application writes"), st.none()),
        st.tuples(st.just("step"), st.sampled_from(["succeeds", "succeeds", "fails", "killed", "resolved"])),
        st.tuples(st.just("agent starts again"), st.none()),
        st.tuples(st.just("reboot"), st.none()),
        st.tuples(st.just("dies"), st.none()),
    ),
    max_size=60,
)


class Unit:
    """A unit whose world is moved by hand; keeps the hooks that have succeeded."""

    def __init__(self) -> None:
        self.journal = FRESH
        self.seen = seen(settings=0, relations=peers())
        self.revision = 100
        self.ran: list[Hook] = []

    def move(self, what: str, how: Any) -> None:
        self.revision += 1
        relation = self.seen.relations[0]
        members = dict(relation.members)
        match what:
            case "elected":
                self.seen = replace(self.seen, term=self.revision)
            case "deposed":
                self.seen = replace(self.seen, term=None)
            case "settings":
                self.seen = replace(self.seen, settings=self.revision)
            case "config":
                self.seen = replace(self.seen, config=how)
            case "joins" | "writes" if what == "joins" or how in members:
                members[how] = self.revision
            case "leaves":
                members.pop(how, None)
            case "application writes":
                relation = replace(relation, application=self.revision)
            case "agent starts again":
                self.journal = self.journal.awoken(NOW)
            case "reboot":
                self.seen = replace(self.seen, boot_id=f"b{self.revision}")
                self.journal = self.journal.awoken(NOW)
            case "dies":
                self.seen = replace(self.seen, life="dying")
            case "step":
                self.step(how)
        self.seen = replace(self.seen, relations={0: replace(relation, members=members)})

    def step(self, how: str = "succeeds") -> bool:
        """One operation; False when there is nothing left to do."""
        shown = replace(self.seen, resolved="no-retry") if how == "resolved" else self.seen
        operation = next_operation(self.journal, shown, LATER.after(-1) if how == "fails" else LATER.after(ns(400)))
        match operation:
            case Run(hook) if hook.kind == "update-status":
                return False
            case Run(hook) if how == "fails":
                self.journal = self.journal.failing(hook, NOW)
            case Run(hook) if how == "killed":
                self.journal = self.journal.again(hook)
            case Run(hook):
                self.ran.append(hook)
                self.journal = self.journal.committed(hook, shown.boot_id)
            case Skip(hook):
                self.journal = self.journal.committed(hook, shown.boot_id)
            case Resolve(hook, retry=False):
                self.ran.append(hook)
                self.journal = self.journal.committed(hook, shown.boot_id)
            case _:
                return False
        self.journal.check()
        return True


@given(moves)
def test_in_every_history_the_hooks_come_in_juju_s_order(history: list[tuple[str, Any]]) -> None:
    unit = Unit()
    for what, how in history:
        unit.move(what, how)
    for _ in range(200):
        if not unit.step():
            break
    else:
        pytest.fail("a unit whose world stands still comes to rest")

    kinds = [hook.kind for hook in unit.ran]
    if kinds:
        assert kinds[0] == "install"
    assert kinds.count("install") <= 1
    assert kinds.count("relation-created") <= 1
    told_first = [
        kind for kind in kinds if kind.startswith(("relation-joined", "relation-changed", "relation-departed"))
    ]
    if told_first:
        assert kinds.index("relation-created") < kinds.index(told_first[0])
        assert kinds.index("start") < kinds.index(told_first[0])
    for stop, hook in enumerate(kinds):
        if hook == "config-changed" and "start" not in kinds[:stop] and stop + 1 < len(kinds):
            assert kinds[stop + 1] == "start"
    for last in ("stop", "remove"):
        if last in kinds:
            assert set(kinds[kinds.index(last) :]) <= {"stop", "remove"}

    terms = [hook.term for hook in unit.ran if hook.kind == "leader-elected"]
    assert len(terms) == len(set(terms)), "each term has one leader-elected"

    for name in UNITS:
        life = [hook.kind.removeprefix("relation-") for hook in unit.ran if hook.remote_unit == name]
        inside = False
        for index, kind in enumerate(life):
            assert inside == (kind != "joined"), life
            inside = kind != "departed"
            if kind == "joined" and index + 1 < len(life):
                assert life[index + 1] == "changed", life

    if unit.seen.life == "alive":
        assert unit.journal.config == unit.seen.config, "all is told in the end"
        assert unit.journal.relations[0].members == dict(unit.seen.relations[0].members)
        if unit.seen.term is None:
            assert unit.journal.settings == unit.seen.settings
        else:
            assert unit.journal.term == unit.seen.term
    else:
        assert next_operation(unit.journal, unit.seen, LATER) == Gone(orderly=True)
