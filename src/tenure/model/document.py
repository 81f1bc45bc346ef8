"""The status of a model as one document in the shape that Juju's `status --format json` has, so that what reads Juju's reads this.

Tenure's own additions are few, and beside what Juju has: a unit's `term`, `priority` and `leader-deposed`, an application's
`lease`, `singletons` and `paused`, a machine's `drained`, and the `offices` that belong to no application.
"""

from __future__ import annotations

from typing import Any

from tenure.defaults import JUJU_VERSION
from tenure.model.application import ApplicationView, UnitView
from tenure.model.offices import FreeOffice
from tenure.model.records import Drained, Machine, Paused, Said
from tenure.model.status import agent_status, application_status, workload_status
from tenure.model.view import ModelView
from tenure.names import LEADER_OFFICE

PROCESS_TREE = "its process tree"
"""What the guard knows leader-deposed's processes by: it has neither a namespace nor a control group."""


def status_document(view: ModelView, version: str, only: str | None = None) -> dict[str, Any]:
    """The whole of it; `only`: of one application and its machines. Raises NoSuchThing, StoreBroken."""
    applications = {only: view.application(only)} if only else view.applications
    machines = {unit.info.machine for application in applications.values() for unit in application.units.values()} | (
        set() if only else {*view.machines, *view.drained}
    )
    return {
        "model": {
            "name": view.layout.model,
            "type": "iaas",
            "controller": "tenure",
            "cloud": "tenure",
            "version": JUJU_VERSION,
            "model-uuid": view.info.uuid if view.info is not None else "",
            "tenure-version": version,
            "model-status": {"current": "available"},
        },
        "machines": {
            name: {**_machine(name, view.machines.get(name)), **_set_aside("drained", view.drained.get(name))}
            for name in sorted(name for name in machines if name is not None)
        },
        "applications": {name: _application(view, application) for name, application in applications.items()},
        "offices": {} if only else {name: _office(office) for name, office in view.offices.items() if office.in_use},
        "storage": {},
        "controller": {},
    }


def _machine(name: str, machine: Machine | None) -> dict[str, Any]:
    if machine is None:
        return {
            "juju-status": {"current": "down", "message": "no agent keeps this machine's session"},
            "instance-id": name,
            "machine-status": {"current": "unknown"},
        }
    return {
        "juju-status": {"current": "started", "since": machine.started, "version": JUJU_VERSION},
        "hostname": machine.host,
        "dns-name": machine.addresses[0] if machine.addresses else machine.host,
        "ip-addresses": list(machine.addresses),
        "instance-id": name,
        "machine-status": {"current": "running"},
    }


def _application(view: ModelView, application: ApplicationView) -> dict[str, Any]:
    info = application.info
    document: dict[str, Any] = {
        "charm": f"{info.origin}:{info.charm_name}-{info.charm_rev}",
        "charm-name": info.charm_name,
        "charm-origin": info.origin,
        "charm-rev": info.charm_rev,
        "exposed": False,
        "life": info.life,
        "application-status": _said(application_status(view, application)),
        "relations": _relations(application),
        "units": {str(unit.name): _unit(view, application, unit) for unit in application.units.values()},
        "lease": {"ttl": info.ttl_s, "guarantee": info.guarantee_s},
        **_set_aside("paused", application.paused),
    }
    if info.singletons:
        document["singletons"] = {name: _singleton(application, name) for name in info.singletons}
    if info.life == "alive":
        # Juju says a life only when it ends.
        del document["life"]
    version = next(
        (
            unit.status.workload_version
            for unit in application.units.values()
            if unit.status and unit.status.workload_version
        ),
        "",
    )
    return {**document, "version": version} if version else document


def _unit(view: ModelView, application: ApplicationView, unit: UnitView) -> dict[str, Any]:
    document: dict[str, Any] = {
        "workload-status": _said(workload_status(view, unit)),
        "juju-status": {**_said(agent_status(view, unit)), "version": JUJU_VERSION},
        "machine": unit.info.machine or "",
    }
    if unit.info.life == "dying":
        document["life"] = "dying"
    if unit.info.priority:
        document["priority"] = unit.info.priority
    machine = view.machines.get(unit.info.machine) if unit.info.machine is not None else None
    if machine is not None and machine.addresses:
        document["public-address"] = machine.addresses[0]
    office = application.office(LEADER_OFFICE)
    if office.holder is not None and office.holder.unit == str(unit.name):
        document["leader"] = True
        document["term"] = office.term
        if application.info.deposes:
            document["leader-deposed"] = {"enclosed-by": PROCESS_TREE}
    return document


def _office(office: FreeOffice) -> dict[str, Any]:
    state = office.state
    held: dict[str, Any] = {"holder": None}
    if state.holder is not None:
        held = {
            "holder": state.holder.unit,
            "machine": state.holder.machine,
            "term": state.term,
            "since": state.holder.began,
        }
    return {**held, "candidates": list(office.candidates), **_set_aside("paused", office.paused)}


def _set_aside(how: str, record: Paused | Drained | None) -> dict[str, Any]:
    """What an operator has paused, or drained, and why."""
    if record is None:
        return {}
    return {how: {"since": record.since, **({"reason": record.reason} if record.reason else {})}}


def _singleton(application: ApplicationView, name: str) -> dict[str, Any]:
    singleton = application.info.singletons[name]
    office = application.office(singleton.office)
    document: dict[str, Any] = {
        "office": singleton.office,
        "lease": {"ttl": singleton.timing(application.info.timing).ttl_s},
    }
    works = {
        unit.name: work
        for number, unit in application.units.items()
        if (work := application.work(singleton.office, number)) is not None
    }
    failed = {
        str(unit): work.message
        for unit, work in works.items()
        if work.state == "failed" and (office.holder is None or work.term != office.term)
    }
    if failed:
        document["failed-on"] = failed
    if office.holder is None:
        return {**document, "state": "vacant"}
    held = {
        "unit": office.holder.unit,
        "machine": office.holder.machine,
        "term": office.term,
        "since": office.holder.began,
    }
    work = next((work for unit, work in works.items() if str(unit) == office.holder.unit), None)
    if work is None or work.term != office.term:
        return {**document, "state": "starting", **held}
    document |= {"state": work.state, **held, "state-since": work.since, "restarts": work.restarts}
    if work.enclosed_by:
        document["enclosed-by"] = work.enclosed_by
    return {**document, "message": work.message} if work.message else document


def _relations(application: ApplicationView) -> dict[str, Any]:
    return {
        name: [{"related-application": application.name, "interface": end.interface, "scope": "global"}]
        for name, end in application.info.endpoints.items()
        if end.role == "peer"
    }


def _said(said: Said) -> dict[str, Any]:
    document: dict[str, Any] = {"current": said.status}
    if said.message:
        document["message"] = said.message
    if said.since:
        document["since"] = said.since
    return document
