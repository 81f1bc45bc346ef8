"""What a model shows that somebody should see to: machines that are away, offices left over, numbers that went back."""

from __future__ import annotations

from tenure.cli.doctor.findings import Finding
from tenure.model.application import ApplicationView, OfficeState
from tenure.model.layout import Layout
from tenure.model.offices import office_state, office_view
from tenure.model.view import ModelView
from tenure.office.records import number_of
from tenure.office.restored import raise_to, went_back


def model(view: ModelView) -> list[Finding]:
    """All that there is to say; a line of its own where nothing is amiss."""
    layout = view.layout
    if view.info is None:
        return [Finding("model", "note", f'there is no model "{layout.model}" yet', "`tenure deploy` makes it")]
    findings = [*_away(view), *_dying(view)]
    for application in view.applications.values():
        findings += _offices_of(view, application)
    findings += _free(view, layout)
    if not any(finding.state != "ok" for finding in findings):
        units = sum(len(application.units) for application in view.applications.values())
        findings.append(
            Finding(
                "model", "ok", f'"{layout.model}": {len(view.applications)} applications, {units} units, nothing amiss'
            )
        )
    return findings


def terms(view: ModelView) -> Finding:
    """Whether the store has been restored from a copy older than a term that the model remembers."""
    numbers = dict(_numbers(view))
    highest = went_back(view.revision, numbers)
    if not highest:
        return Finding(
            "terms", "ok", f"the store stands at revision {view.revision}, the next term's number is greater"
        )
    return Finding(
        "terms",
        "wrong",
        f"{numbers[highest]} has had term {highest}, and the store stands at revision {view.revision}: it was restored from an "
        "older copy, and would hand numbers out again",
        f"end all agents, then `tenure store raise-terms {raise_to(highest)}`",
    )


def _numbers(view: ModelView) -> list[tuple[int, str]]:
    offices = [(f"{name}/leader", application.office()) for name, application in view.applications.items()]
    offices += [(name, office_state(view.snapshot, view.layout, name)) for name in _free_names(view)]
    found = []
    for name, office in offices:
        last = office.last
        numbers = [record.number for record in office.history]
        if last is not None:
            numbers.append(number_of(office.last_item, last))
        found.append((max(numbers, default=0), name))
    return found


def _away(view: ModelView) -> list[Finding]:
    findings = []
    wanted: dict[str, list[str]] = {}
    for application in view.applications.values():
        for unit in application.units.values():
            if unit.info.machine is not None and unit.info.machine not in view.machines:
                wanted.setdefault(unit.info.machine, []).append(str(unit.name))
    for machine, units in sorted(wanted.items()):
        findings.append(
            Finding(
                f"machine {machine}",
                "warning",
                f"its agent is away; on it: {', '.join(units)}",
                f"on that host `tenure agent --machine {machine}`; gone for good: `tenure remove-unit --force {units[0]}`",
            )
        )
    return findings


def _dying(view: ModelView) -> list[Finding]:
    return [
        Finding(
            str(unit.name),
            "warning",
            "is to go, and its machine's agent is away",
            f"`tenure remove-unit --force {unit.name}` waits for its lease's end, not for its hooks",
        )
        for application in view.applications.values()
        for unit in application.units.values()
        if unit.info.life == "dying" and unit.info.machine is not None and unit.info.machine not in view.machines
    ]


def _offices_of(view: ModelView, application: ApplicationView) -> list[Finding]:
    office = application.office()
    name = f"{application.name}/{office.name}"
    findings = _unclean(name, office)
    present = [unit for unit in application.units.values() if unit.present_item is not None]
    holder = office.holder
    if holder is None and application.units and not present:
        findings.append(
            Finding(name, "warning", "vacant, and none of its units is there", "start the agents of their machines")
        )
    elif holder is not None and application.info.charm != "" and holder.machine not in view.machines:
        findings.append(
            Finding(
                name,
                "note",
                f"held by {holder.unit}, whose machine {holder.machine} is away: its lease runs out within "
                f"{application.info.ttl_s} s of its last renewal",
            )
        )
    return findings


def _free(view: ModelView, layout: Layout) -> list[Finding]:
    findings = []
    for name in _free_names(view):
        state = office_state(view.snapshot, layout, name)
        findings += _unclean(name, state)
        if state.holder is None and not office_view(view.snapshot, layout, name).candidates:
            last = state.last
            findings.append(
                Finding(
                    f"office {name}",
                    "ok",
                    "nobody is there for it"
                    + (f"; held last by {last.unit}, until {last.ended or 'its lease ran out'}" if last else ""),
                )
            )
    return findings


def _free_names(view: ModelView) -> list[str]:
    return sorted(name for name, _ in view.snapshot.segments(view.layout.free_offices))


def _unclean(name: str, office: OfficeState) -> list[Finding]:
    last = office.last
    if last is None or not last.unclean or office.holder is not None:
        return []
    ended = ", ".join(str(term.term) for term in last.unclean)
    return [
        Finding(
            name,
            "note",
            f"nobody has seen all of term {ended} end: whoever is next waits a lease's length where leases may end early",
        )
    ]
