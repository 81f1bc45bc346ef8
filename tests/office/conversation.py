"""Golden conversations: a person writes what happens, the machines answer what they decide.

A case is text. `# …` is a remark; the first lines may set `ttl 60`, `units web/0 web/1`, `leases may end early`, `guarded`.
`> …` says what happens; the indented lines below it are the decisions, in order. What can happen:

    web/0 starts [again and again]      web/0 dies
    web/0 sees [N behind]               the mirror shows the store, or what it was N revisions ago
    web/0 session answered              the store answers the session's call; `office answered`: the candidacy's
    web/0 session lost [after landing]  its answer is lost
    web/0 session late                  the call happens; its answer comes with `web/0 hears`
    web/0 asks 30s [for hook-1] [in term 7]
    web/0 settles hook-1
    web/0 releases | withdraws | transfers to web/1   [at once]
    web/0 present gone                  its present key is deleted, and it knows
    web/0 guard acknowledges | guard gone | work gone | work found of term 7
    8.6s pass                           and everybody who lives looks at the clock
    70s pass unseen                     and nobody does
    a hand deletes holder
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from tenure.office import decisions as d
from tenure.office.records import Holder, Last, TermRecord
from tenure.store.api import Compare, Delete, Put, Write
from tests.office.world import HOLDER, LAST, TERMS, Host, World, keys_of


class Conversation:
    """One case, played. `twice`: every answer of the store comes a second time, and must lead to nothing; `fidgeting`:
    everybody looks at the clock and at the same picture again after each line, and that must lead to nothing.
    """

    def __init__(self, text: str, *, twice: bool = False, fidgeting: bool = False) -> None:
        self.text, self.twice, self.fidgeting = text, twice, fidgeting
        self.late: dict[str, Callable[[], list[d.Decision]]] = {}
        head = [line for line in text.splitlines() if line and line[0] not in "#> "]
        setting = dict(line.partition(" ")[::2] for line in head)
        self.guarded = "guarded" in setting
        self.world = World(
            setting.get("units", "web/0").split(),
            ttl_s=int(setting.get("ttl", "60")),
            may_end_early="leases" in setting,
        )
        self.began_ns = self.world.now_ns

    def play(self) -> str:
        """The case with the machines' own answers."""
        said: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("> "):
                said += (line, *self._happens(line.removeprefix("> ")))
                if self.fidgeting and not line.endswith(("pass", "unseen", "holder")):
                    self._fidget()
            elif not line.startswith("  "):
                said.append(line)
        return "\n".join(said) + "\n"

    def _fidget(self) -> None:
        for host in self.world.hosts.values():
            if host.alive:
                led_to = host.tick()
                picture = host.candidacy.picture
                if picture.revision:
                    led_to += host.perform(host.candidacy.saw(host.now(), self.world.view(host.unit, 0)))
                assert led_to == [], f"{host.unit} looked again, and that led to {led_to}"

    def _happens(self, words: str) -> list[str]:
        several = len(self.world.hosts) > 1
        if found := re.fullmatch(r"([\d.]+)s pass( unseen)?", words):
            self.world.pass_time(float(found[1]))
            said = []
            for unit, host in self.world.hosts.items():
                if host.alive and not found[2]:
                    said += [f"  {unit}: {line}" if several else f"  {line}" for line in map(self._say, host.tick())]
            return said
        if words == "a hand deletes holder":
            self.world.store.commit([], [Delete(HOLDER)])
            return []
        unit, _, deed = words.partition(" ")
        host = self.world.hosts[unit]
        decisions = self._done(host, deed)
        self._check()
        return [f"  {self._say(decision)}" for decision in decisions]

    def _done(self, host: Host, deed: str) -> list[d.Decision]:
        candidacy, now = host.candidacy if host.alive else None, host.now()
        match deed.split():
            case ["starts", *often]:
                return host.start(starts_unfinished=3 if often else 1, guarded=self.guarded)
            case ["dies"]:
                host.die()
                return []
            case ["sees"]:
                return host.look()
            case ["sees", behind, "behind"]:
                return host.look(int(behind))
            case [("session" | "office") as what, "answered"]:
                call = host.calls.get(what)
                done = host.answer(what)
                if self.twice and call is not None and not isinstance(call, d.ReadOffice):
                    again = self.world.answered_again(host, call)
                    assert again == [], f"an answer that came twice led to {again}"
                return done
            case [("session" | "office") as what, "lost", *landing]:
                return host.lose(what, landed=bool(landing))
            case [("session" | "office") as what, "late"]:
                call = host.calls[what]
                answer = self.world.happen(host, call)
                self.late[host.unit] = lambda: host.perform(answer(host.now()))
                return []
            case ["hears"]:
                return self.late.pop(host.unit)()
            case ["settles", debtor]:
                return host.settle(debtor)
            case ["present", "gone"]:
                self.world.present.pop(host.unit, None)
                self.world.store.commit([], [Delete(keys_of(host.unit).present)])
        assert candidacy is not None
        match deed.split():
            case ["asks", span, *_]:
                asker = re.search(r"for (\S+)", deed)
                term = re.search(r"in term (\d+)", deed)
                return host.ask(float(span[:-1]), asker[1] if asker else None, int(term[1]) if term else None)
            case ["releases", *at_once]:
                return host.perform(candidacy.release(now, at_once=bool(at_once)))
            case ["transfers", "to", to, *at_once]:
                return host.perform(candidacy.transfer(now, to, at_once=bool(at_once)))
            case ["withdraws"]:
                return host.perform(candidacy.withdraw(now))
            case ["present", "gone"]:
                return host.perform(candidacy.present_gone(now))
            case ["guard", "acknowledges"]:
                armed = [decision for decision in host.log if isinstance(decision, d.Arm)][-1]
                return host.perform(candidacy.guard_acknowledged(now, armed.term, armed.until))
            case ["guard", "gone"]:
                return host.perform(candidacy.guard_gone(now, candidacy.number))
            case ["work", "found", "of", "term", number]:
                return host.perform(candidacy.work_found(now, int(number)))
            case ["work", "gone"]:
                return host.perform(candidacy.work_gone(now, candidacy.work_term))
        raise AssertionError(f"nobody knows what {deed!r} means")

    def _check(self) -> None:
        assert len(self.world.believers()) <= 1
        item = self.world.pictures[-1].get(HOLDER)
        if " at once" not in self.text and "a hand" not in self.text:
            assert self.world.broken_promises() == []
            assert not self.world.believers() or item is not None

    # ---- in words

    def _say(self, decision: d.Decision) -> str:
        match decision:
            case d.Commit(purpose=purpose, when=when, then=then):
                return f"Commit {purpose}: {self._when(when)} -> {self._then(then)}"
            case d.SaveEnding(ending=ending):
                owed = self._at(ending.owed_until[0])
                return f"SaveEnding term={ending.term} how={ending.how!r} owed until {owed}"
            case d.Answered(answer=answer):
                until = f" print until {self._at(answer.print_until.boot_ns)}" if answer.print_until else ""
                owed = f", owed {answer.owed_s:.2f}s" if answer.owed_s else ""
                return f"Answered {answer.verdict}{until}{owed}, surely left {answer.surely_left_s:.2f}s"
            case d.EndWork(term=term, deadline=deadline, because=because):
                return f"EndWork term={term} {self._at(deadline.boot_ns) if deadline else 'late'} because {because}"
            case d.Arm(term=term, until=until):
                return f"Arm term={term} until {self._at(until.boot_ns)}"
            case d.Keep(present=present):
                return f"Keep present answers={present.answers}"
        fields = ", ".join(f"{name}={getattr(decision, name)}" for name in decision.__struct_fields__ if name != "call")
        return f"{type(decision).__name__} {fields}".rstrip()

    def _at(self, reading_ns: int) -> str:
        return f"{(reading_ns - self.began_ns) / 1e9:.2f}s"

    def _when(self, when: Sequence[Compare]) -> str:
        return ", ".join(
            f"{short(c.key)} {'absent' if (c.create_revision if c.mod_revision is None else c.mod_revision) == 0 else ''}"
            f"{f'at {c.mod_revision}' if c.mod_revision else f'made at {c.create_revision}' if c.create_revision else ''}"
            for c in when
        )

    def _then(self, then: Sequence[Write]) -> str:
        return ", ".join(self._write(write) for write in then)

    def _write(self, write: Write) -> str:
        if not isinstance(write, Put):
            assert isinstance(write, Delete)
            return f"delete {short(write.key)}"
        kinds = {HOLDER: Holder, LAST: Last}
        said = msgspec.json.decode(write.value, type=kinds.get(write.key, TermRecord))
        shown = ("unit", "how", "successor", "unclean")
        words = [
            f"{name}={value if isinstance(value, str) else [term.term for term in value]}"
            for name in shown
            if (value := getattr(said, name, None))
        ]
        lease = f" on lease {write.lease}" if write.lease else ""
        return f"put {short(write.key)} ({' '.join(words)}){lease}"


def short(key: str) -> str:
    return key.replace(TERMS, "term ").replace("office/", "").replace("units/", "")
