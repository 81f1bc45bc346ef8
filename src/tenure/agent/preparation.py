"""What a unit needs before its first hook: its journal, the end of what a dead agent's hook has left, its charm, its tools."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from tenure.agent import sight
from tenure.agent.bags import KeptBags
from tenure.agent.charm_folder import ensure_charm
from tenure.agent.context import Models, Place
from tenure.agent.environment import Surroundings
from tenure.agent.exec_note import ExecNote
from tenure.agent.execution import Executor
from tenure.agent.host import Host
from tenure.agent.journal import Journal, JournalFile
from tenure.agent.status import StatusWriter
from tenure.agent.tools.install import install_tools
from tenure.names import UnitName
from tenure.office.driver import Candidate
from tenure.store.api import created_at

API_PORT = 17070
"""Juju's, for charms that take JUJU_API_ADDRESSES apart; nothing listens there."""


@dataclass(slots=True)
class Prepared:
    """A unit that hooks can be run for."""

    journal: Journal
    file: JournalFile
    statuses: StatusWriter
    executor: Executor
    bags: KeptBags


async def prepare(host: Host, name: UnitName, revision: int, candidate: Candidate, log: logging.Logger) -> Prepared:
    """Prepare the unit; may be done again. Raises BadInput (its journal), Unsure's kinds (its charm), OSError."""
    found = sight.find(host.view(), name, revision)
    file, journal = await _take_up(host, name, found[1].born if found else revision, log)
    statuses = StatusWriter(
        host.store,
        host.layout.unit_status(name),
        created_at(host.layout.unit_info(name), revision),
        found[1].status_item if found else None,
        found[1].status if found else None,
    )
    charm, tools = host.state.charm(name), host.state.tools(name)
    # A unit that dies before its install never needs its charm.
    if found is not None and (journal.installed or found[1].info.life == "alive"):
        await ensure_charm(host.store, host.layout, found[0].info.charm, charm)
    install_tools(tools)
    kept = KeptBags(host.state.unit(name) / "bags", charm)
    place = Place(
        unit=name,
        machine=host.machine,
        charm=charm,
        models=Models(host.mirror, host.layout),
        store=host.store,
        leadership=candidate,
        statuses=statuses,
        log=_charm_says(name, lambda: executor.hook_name),
        last_bag=lambda relation, unit: host.bags.of(relation, unit) or kept.of(relation, unit),
        lost_for_s=lambda: host.losses.seconds(host.clock.now()),
    )
    around = surroundings(host, name)
    guard = host.guards.get(name)
    if guard is not None:
        guard.place = place
    executor = Executor(host, place, around, candidate, file)
    return Prepared(journal, file, statuses, executor, kept)


def surroundings(host: Host, name: UnitName) -> Surroundings:
    """What doesn't change from one hook of the unit to the next."""
    return Surroundings(
        unit=str(name),
        charm=host.state.charm(name),
        tools=host.state.tools(name),
        model=host.layout.model,
        model_uuid=host.model_uuid,
        machine=host.machine,
        api_address=f"{host.addresses[0]}:{API_PORT}",
        socket=host.server.environment,
    )


async def _take_up(host: Host, name: UnitName, born: int, log: logging.Logger) -> tuple[JournalFile, Journal]:
    """The unit's journal, as its last agent has left it, and as this one goes on from it."""
    folder = host.state.unit(name)
    file = JournalFile(folder)
    journal = file.load()
    if journal is not None and journal.unit_revision != born:
        await asyncio.to_thread(shutil.rmtree, folder)
        journal = None
    folder.mkdir(parents=True, exist_ok=True)
    if left := ExecNote(folder).end_what_is_left():
        log.warning("commands were running when the agent died: %d of their processes are ended", left)
    now = host.clock.now()
    if journal is None:
        journal = Journal(unit_revision=born)
    else:
        interrupted = file.interrupted(journal)
        journal = journal.awoken(now)
        if interrupted is not None:
            left = interrupted.end_what_is_left(host.boot_id)
            log.warning(
                "%s was running when the agent died (%d of its processes were left): it counts as failed",
                interrupted.hook.name,
                left,
            )
            journal = journal.failing(interrupted.hook, now)
    return file, await asyncio.to_thread(file.save, journal)


def _charm_says(unit: UnitName, hook_name: Callable[[], str]) -> Callable[[str, str], None]:
    logger = logging.getLogger(f"unit.{unit}.juju-log")

    def says(level: str, line: str) -> None:
        # As Juju does it: the logger says that it is the charm's word; the hook is there for those who look for it.
        number = logging.DEBUG if level == "TRACE" else getattr(logging, level, logging.INFO)
        logger.log(number, "%s", line, extra={"fields": {"hook": hook_name()}})

    return says
