"""tenure doctor: check the store, this host and the model, and say what to do.

Exits 0; 1 when something is wrong; 3 when the store can't be reached.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from tenure.cli import shared
from tenure.cli.output import emit, table
from tenure.errors import Unsure

if TYPE_CHECKING:
    from tenure.cli.doctor.findings import Finding


@shared.command(prints=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=2.0,
    show_default=True,
    help="For how long clocks are compared: the longer, the more exactly.",
)
async def command(settings: shared.Settings, seconds: float) -> int:
    """Check the store, this host and the model, and say what to do.

    The store: does it answer, how fast, what does its version mean for leases, how full is it. This host: its clocks' rate,
    what can enclose a workload, whether its agents answer. The model: what is left over or can't go on by itself.

    \b
    Examples:
      tenure doctor
      tenure doctor --seconds 20 --format json
    """
    from tenure.cli.doctor.findings import Finding, exit_code

    shared.progress(f"looking for {seconds:g} s …")
    findings: list[Finding] = []
    try:
        findings += await _store_and_model(settings, seconds)
    except Unsure as error:
        findings.append(
            Finding("store", "unknown", error.message, error.hint or "start it, or name another by --store")
        )
    findings += await _host(seconds)
    emit(settings.format, {"findings": [dataclasses.asdict(one) for one in findings]}, lambda: _table(findings))
    return exit_code(findings)


async def _store_and_model(settings: shared.Settings, seconds: float) -> list[Finding]:
    from tenure.cli.doctor import engine, host, model
    from tenure.clock import boot_id
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        findings = await engine.engine(store, settings.layout, seconds)
        view = await read_model(store, settings.layout)
    return [*findings, model.terms(view), *model.model(view), *await host.agents(view, boot_id())]


async def _host(seconds: float) -> list[Finding]:
    from tenure.cli.doctor import host

    found = [await host.clocks(seconds), host.enclosures(), host.inotify()]
    return [one for one in found if one is not None]


def _table(findings: list[Finding]) -> str:
    text = table(["What", "State", "Found"], [[one.what, one.state, one.says] for one in findings])
    todo = [f"  {one.what}: {one.do}" for one in findings if one.do]
    return text + ("\n\nWhat to do:\n" + "\n".join(todo) if todo else "")
