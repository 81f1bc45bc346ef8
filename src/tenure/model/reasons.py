"""Why an office is held by whom, in sentences: from the model's keys, and from what units' agents say of their candidacies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenure.clock import NS_PER_S
from tenure.model.application import ApplicationView, OfficeState, UnitView
from tenure.model.requests import pending
from tenure.model.view import ModelView
from tenure.model.walltime import local_text
from tenure.names import LEADER_OFFICE
from tenure.office.records import Present, TermRecord, number_of
from tenure.office.restored import raise_to
from tenure.office.succession import place
from tenure.office.timing import Timing
from tenure.office.writes import read

Candidacies = Mapping[str, Mapping[str, Any]]
"""What each unit's agent says of its candidacy for the office; `unknown`, and why, where it can't be asked."""

LOST: dict[str, str] = {
    "released": "gave it up on purpose (its agent was ended, its machine drained, the unit removed)",
    "transferred": "handed it over as it was asked to",
    "expired": "said no more: its agent had died, hung, or could not reach the store, and its lease ran out",
    "deposed": "was deposed: a renewal, or its guard's word, was overdue, and less than the guarantee was sure",
    "guard gone": "lost its guard, without which it may do nothing",
    "key gone": "found its key removed or changed by a hand in the store",
    "lease lost": "found its lease ended by the store",
    "crash loop": "had an agent that was started again and again without finishing a hook",
    "agent restarted": "had an agent that was restarted while the term was ending",
    "given up": "gave it up, for its process had failed too often",
}
"""How the history says that a term ended -> what became of its holder."""


def sentences(
    view: ModelView, application: ApplicationView, office: OfficeState, timing: Timing, candidacies: Candidacies
) -> list[str]:
    """Who holds the office and why, why the last one lost it, why each other unit doesn't, what is owed and waited for."""
    holder = office.holder.unit if office.holder is not None else None
    said = _held(application, office, timing, candidacies) if holder else _vacant(view, application, office)
    said += [_lost(record) for record in office.history[-1:]]
    said += [
        f"{unit.name} doesn't {_does(office)}: {_why_not(view, application, office, unit, candidacies)}."
        for unit in application.units.values()
        if str(unit.name) != holder
    ]
    return said + _waited_for(view, application, office)


def outage(timing: Timing) -> dict[str, float]:
    """How long the store may be silent before a holder is deposed, and what that is made of, in seconds."""
    return {
        "ttl_s": timing.ttl_s,
        "drift": timing.drift,
        "guarantee_s": timing.guarantee_s,
        "renew_every_s": timing.renew_every_ns / NS_PER_S,
        "request_s": timing.request_timeout_ns / NS_PER_S,
        "outage_s": timing.outage_ns / NS_PER_S,
    }


def outage_sentence(timing: Timing) -> str:
    """The same as a sentence, with the arithmetic."""
    of = outage(timing)
    return (
        f"The store may be silent for {of['outage_s']:.2f} s before a holder is deposed: lease x (1 - drift) - guarantee "
        f"- renewal - request = {of['ttl_s']} x {1 - of['drift']:g} - {of['guarantee_s']:g} - {of['renew_every_s']:.2f} "
        f"- {of['request_s']:.2f}."
    )


def _held(application: ApplicationView, office: OfficeState, timing: Timing, candidacies: Candidacies) -> list[str]:
    assert office.holder is not None
    holder = office.holder
    who = f"{holder.unit} {_does(office)}s {_what(application, office)} in term {office.term}"
    found = [f"{who}, since {local_text(holder.began)}: {_came(office, holder.unit)}."]
    candidacy = candidacies.get(holder.unit, {"unknown": "it isn't in the model any more"})
    if "unknown" in candidacy:
        return [*found, f"Whether it may still believe so only its agent knows: {candidacy['unknown']}."]
    owed_s = float(candidacy["owed_s"])
    because = candidacy["because"] or "it was asked to"
    match candidacy["state"]:
        case "holding":
            renewal = f"it is renewed every {timing.renew_every_ns / NS_PER_S:.2f} s"
            found.append(f"Its lease surely gives {candidacy['surely_left_s']:.1f} s more; {renewal}.")
        case "waiting out":
            found.append(
                "It doesn't act on it yet: a former term that did not end cleanly is waited out, or a guard armed."
            )
        case "ending" | "giving up":
            found.append(f"It is giving it up ({because}), as soon as nothing is owed and nothing of the term is left.")
    if owed_s > 0:
        found.append(f"It owes {owed_s:.1f} s: a True was given for so long, and nobody else holds it before.")
    return found


def _vacant(view: ModelView, application: ApplicationView, office: OfficeState) -> list[str]:
    what = f"Nobody {_does(office)}s {_what(application, office)}"
    paused = application.paused
    if paused is not None:
        reason = f" ({paused.reason})" if paused.reason else ""
        return [
            f"{what}: it is paused since {local_text(paused.since)}{reason}, until `tenure resume {application.name}`."
        ]
    line = _line(application, office)
    if not line:
        return [f"{what}: no unit is there to claim it."]
    return [f"{what}: its candidates, the first in line first, are {', '.join(line)}; one will within moments."]


def _came(office: OfficeState, unit: str) -> str:
    if not office.history:
        return "nobody had before, and it was the first to claim it"
    last = office.history[-1]
    if last.how.startswith("transferred"):
        return f"{last.unit} handed it over"
    ended = (
        f"term {last.number} of {last.unit} had ended ({last.how})"
        if last.unit != unit
        else f"its own term {last.number} had ended ({last.how})"
    )
    return f"{ended}, and it was the first in line to claim it"


def _lost(record: TermRecord) -> str:
    how = record.how.removesuffix(" at once")
    broke = ", at once, and broke what it owed" if how != record.how else ""
    when = f" at {local_text(record.ended)}" if record.ended else ""
    return f"The last to lose it was {record.unit}, in term {record.number}{when}: it {LOST.get(how, f'ended: {how}')}{broke}."


def _why_not(
    view: ModelView, application: ApplicationView, office: OfficeState, unit: UnitView, candidacies: Candidacies
) -> str:
    name, machine = str(unit.name), unit.info.machine
    candidacy = candidacies.get(name, {})
    if unit.info.life == "dying":
        return "it is being removed, and stands for nothing any more"
    if unit.info.waits_for_machine:
        return "it waits for a machine"
    if machine in view.drained:
        return f"its machine {machine} is drained, until `tenure undrain {machine}`"
    if machine is not None and machine not in view.machines:
        return f"its agent, on {machine}, is away"
    if candidacy.get("state") == "cleaning up":
        return "something of its former term is left on its host"
    if known := candidacy.get("store_went_back_behind_term"):
        return (
            f"its state folder knows of term {known}, which the store hasn't come to: it was put back to an older state, "
            f"and would hand numbers out again. End all agents, then `tenure store raise-terms {raise_to(int(known))}`"
        )
    if name not in application.candidates_for(office):
        return "it is no candidate yet: its agent is about to set it up, or it has no lease"
    line = _line(application, office)
    where = f"it is number {line.index(name) + 1} of {len(line)} in line"
    if unit.info.priority and office.name == LEADER_OFFICE:
        where += f", by its priority of {unit.info.priority}"
    if office.holder is None:
        return where
    return f"{office.holder.unit} holds it; at the next vacancy {where}"


def _line(application: ApplicationView, office: OfficeState) -> list[str]:
    """The candidates as they would claim once the term that lasts, or was the last, is over. Its holder comes last then."""
    holder = office.holder.unit if office.holder is not None else ""
    last = office.last
    ended = number_of(office.last_item, last) if last is not None else 0
    said = {name: read(Present, item) for name, item in application.candidates_for(office).items() if name != holder}
    others = {name: one.priority if one is not None else 0 for name, one in said.items()}
    return sorted(others, key=lambda name: place(name, others[name], others.items(), ended))


def _waited_for(view: ModelView, application: ApplicationView, office: OfficeState) -> list[str]:
    found = [
        f"Whoever takes it up waits up to {term.ttl_s} s before acting: term {term.term} isn't known to have ended cleanly."
        for term in (office.last.unclean if office.last is not None else ())
    ]
    found += [
        f"{unit.name} is to have it, as was asked at {local_text(request.asked)}: the holder hands over once nothing is owed."
        for unit, _, request in pending(view, application.name, "transfer")
        if request.arguments.get("office", LEADER_OFFICE) == office.name
    ]
    if application.paused is not None and office.holder is not None:
        since = local_text(application.paused.since)
        found.append(
            f"{application.name} is paused since {since}: a vacancy would stay, until `tenure resume {application.name}`."
        )
    return found


def _does(office: OfficeState) -> str:
    return "lead" if office.name == LEADER_OFFICE else "hold"


def _what(application: ApplicationView, office: OfficeState) -> str:
    return application.name if office.name == LEADER_OFFICE else f"{application.name}/{office.name}"
