"""tenure history APP: show who has led, and how each term ended.

Exits 0; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.offices import find_office, office_option
from tenure.cli.output import emit, table
from tenure.names import LEADER_OFFICE


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@click.option("--limit", type=click.IntRange(0), default=0, help="Only the newest so many; 0: all that are remembered.")
@office_option
async def command(settings: shared.Settings, application: str, limit: int, office: str) -> None:
    """Show who has led an application, or held another office of its, and how each term ended.

    The oldest first; the last hundred are remembered. The term's number is what fences its writes.

    \b
    Examples:
      tenure history web
      tenure history web --limit 1 --format json
      tenure history web --office cron
    """
    from tenure.model.view import read_model
    from tenure.model.walltime import local_text

    async with shared.opened(settings) as store:
        found = find_office(await read_model(store, settings.layout), application, office)
    terms = [
        {
            "term": record.number,
            "unit": record.unit,
            "machine": record.machine,
            "began": record.began,
            "ended": record.ended,
            "how": record.how,
        }
        for record in found.history
    ]
    if found.holder is not None:
        holder = found.holder
        terms.append(
            {
                "term": found.term or 0,
                "unit": holder.unit,
                "machine": holder.machine,
                "began": holder.began,
                "ended": "",
                "how": "",
            }
        )
    terms = terms[-limit:] if limit else terms
    rows = [
        [
            str(term["term"]),
            str(term["unit"]),
            str(term["machine"]),
            local_text(str(term["began"])) or "-",
            local_text(str(term["ended"])) or "-",
            str(term["how"]) or "holds it",
        ]
        for term in terms
    ]
    emit(
        settings.format,
        {"application": application, "office": office, "terms": terms},
        lambda: (
            table(["Term", "Unit", "Machine", "Began", "Ended", "How"], rows)
            if rows
            else (f"nobody has {'led' if office == LEADER_OFFICE else f'held {office} of'} {application}")
        ),
    )
