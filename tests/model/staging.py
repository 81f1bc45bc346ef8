"""What an agent would have written, put by hand."""

from __future__ import annotations

from tenure.model.layout import Layout
from tenure.model.records import Machine, Said, UnitStatus, encode
from tenure.names import UnitName
from tenure.office.records import Holder, Present
from tenure.office.records import encode as encode_office
from tenure.store.api import Committed, Put, Store


async def machine_up(store: Store, layout: Layout, name: str, lease: int = 0) -> None:
    """The machine's session."""
    record = Machine(host="h", boot_id="b", identity=name, pid=1, socket="/s", state_dir="/d", started="2026-05-01")
    await store.commit([], [Put(layout.machine(name), encode(record), lease)])


async def says(
    store: Store, layout: Layout, unit: UnitName, workload: str, message: str = "", *, agent: str = "idle"
) -> None:
    """A unit's status."""
    record = UnitStatus(workload=Said(status=workload, message=message), agent=Said(status=agent, message="failed"))
    await store.commit([], [Put(layout.unit_status(unit), encode(record))])


async def present(
    store: Store, layout: Layout, unit: UnitName, machine: str = "m0", lease: int = 0, *, priority: int = 0
) -> None:
    """A unit that is a candidate."""
    record = Present(machine=machine, ttl_s=6, priority=priority)
    await store.commit([], [Put(layout.unit_present(unit), encode_office(record), lease)])


async def leads(store: Store, layout: Layout, unit: UnitName, machine: str = "m0", lease: int = 0) -> int:
    """A unit that leads; returns the term's number."""
    record = Holder(unit=str(unit), machine=machine, began="2026-05-01T12:00:00Z")
    landed = await store.commit([], [Put(layout.holder(unit.application, "leader"), encode_office(record), lease)])
    assert isinstance(landed, Committed)
    return landed.revision
