"""tenure hold OFFICE -- CMD: run a command on exactly one of all who say this line, on one machine or many.

Exits with CMD's own code, 128+n if signal n has ended it; 126 and 127 as shells do, when it can't be executed or found.
1 when the office was not to be had (--no-wait), or with --once when the term has ended first; 124 when --timeout has
passed; 125 for a failure of Tenure's; 128+n after SIGTERM, SIGINT or SIGHUP; 2 for wrong usage or bad input.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.output import emit, table
from tenure.defaults import TTL_S
from tenure.errors import BadInput, Failed, TimedOut, Unsure, Vacant
from tenure.names import check_office

if TYPE_CHECKING:
    from tenure.howto.singleton import Outcome, Wanted


@shared.command(prints=True)
@click.argument("office", metavar="OFFICE")
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD [ARGS]")
@click.option(
    "--once", is_flag=True, help="Exit with 1 when the term ends before CMD does, rather than wait for the next."
)
@click.option("--no-wait", is_flag=True, help="Exit with 1 at once when another holds the office.")
@click.option("--timeout", type=values.duration, help="How long to wait for the office; then exit with 124.")
@click.option(
    "--exit-code",
    type=click.IntRange(0, 255),
    help="The exit code when the office was not to be had.  [default: 1 with --no-wait, 124 with --timeout]",
)
@click.option(
    "--on-elected", default="", metavar="CMD", help="A shell command to run before CMD; CMD isn't run if it fails."
)
@click.option(
    "--on-lost",
    default="",
    metavar="CMD",
    help="A shell command to run when the term ends, whatever ends it, in the time that is left.",
)
@click.option(
    "--stop",
    default="",
    metavar="CMD",
    help="A shell command that asks CMD to end, within the stop time-out; SIGTERM follows it.",
)
@click.option(
    "--lease",
    type=values.duration,
    default=f"{TTL_S}s",
    help=f"How long a lease lasts unrenewed, in whole seconds.  [default: {TTL_S}s]",
)
@click.option(
    "--stop-timeout", type=values.duration, help="From SIGTERM to SIGKILL.  [default: 10s, or what the lease allows]"
)
@click.option("--priority", type=int, default=0, show_default=True, help="Who waits with a greater one comes first.")
@click.option(
    "--not-again-within",
    type=values.duration,
    help="Do nothing, and exit with 0, when CMD was begun so short a time ago anywhere.",
)
@click.option("--namespace/--no-namespace", default=True, help="Whether CMD may be given a PID namespace of its own.")
@click.option("--show", is_flag=True, help="Print who holds the office, and run nothing; exit with 1 when nobody does.")
async def command(
    settings: shared.Settings,
    office: str,
    cmd: tuple[str, ...],
    once: bool,
    no_wait: bool,
    timeout: float | None,
    exit_code: int | None,
    on_elected: str,
    on_lost: str,
    stop: str,
    lease: float,
    stop_timeout: float | None,
    priority: int,
    not_again_within: float | None,
    namespace: bool,
    show: bool,
) -> int:
    """Run a command on exactly one of all who say so.

    Waits until this process holds OFFICE, runs CMD, and renews until CMD ends; then exits with its code. When the term
    ends first (the store is silent, or out of reach), CMD has SIGTERM, then SIGKILL with all its children, before
    anyone else can hold the office; this process then waits for the office again. A process of its own sees to that,
    also when this one is stopped or killed.

    CMD has the number of its term in TENURE_TERM: it grows with each term, and never repeats.

    \b
    Examples:
      tenure hold cron -- run-parts /etc/cron.hourly
      tenure hold --no-wait backup -- /usr/local/bin/backup
      tenure hold --once --not-again-within 1h report -- make-report
      tenure hold cron --show
    """
    check_office(office)
    if show:
        return await _show(settings, office)
    if not cmd:
        raise BadInput("there is no command to run", hint=f"tenure hold {office} -- CMD")
    from tenure.howto.singleton import Wanted
    from tenure.office.timing import Timing

    if lease != int(lease) or lease < 1:
        raise BadInput(f"a lease of {lease:g} s can't be had", hint="whole seconds, like --lease 15s")
    wanted = Wanted(
        office=office,
        command=cmd,
        ttl_s=int(lease),
        stop_timeout_s=Timing.for_lease(int(lease)).stop_timeout_s(stop_timeout, spelled="--lease {}s"),
        once=once,
        wait=not no_wait,
        timeout_s=timeout,
        on_elected=on_elected,
        on_lost=on_lost,
        stop=stop,
        priority=priority,
        not_again_within_s=not_again_within,
        namespace=namespace,
    )
    try:
        outcome = await _hold(settings, wanted)
    except Unsure as error:
        raise Failed(error.message, hint=error.hint) from None
    if outcome.how == "timed out":
        if exit_code is not None:
            return exit_code
        raise TimedOut(f"not within {timeout:g} s: {office}")
    if outcome.how == "held by another":
        if settings.verbose:
            shared.note(f"another holds {office}")
        return 1 if exit_code is None else exit_code
    codes = {"ended": outcome.code, "lost": 1, "signalled": 128 + outcome.code, "ran already": 0}
    return codes[outcome.how]


async def _hold(settings: shared.Settings, wanted: Wanted) -> Outcome:
    from tenure.howto.singleton import Hold

    def say(text: str) -> None:
        shared.note(f"tenure hold: {text}")

    def log(text: str) -> None:
        if settings.verbose:
            say(text)

    # What is kept there counts as long as this process lives: on a file system in memory, where there is one.
    base = next(
        (folder for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm") if folder and os.access(folder, os.W_OK)),
        None,
    )
    base = base or tempfile.gettempdir()
    _sweep(Path(base))
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-", dir=base, ignore_cleanup_errors=True) as folder:
        async with shared.opened(settings, make=True) as store:
            return await Hold(store, settings.layout, wanted, Path(folder), say, log).run()


_FOLDER = "tenure-hold-"


def _sweep(base: Path) -> None:
    """Remove what holds that were killed have left there."""
    for path in base.glob(f"{_FOLDER}*-*"):
        pid = path.name.removeprefix(_FOLDER).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)


async def _show(settings: shared.Settings, office: str) -> int:
    from tenure.office.records import Holder, decode

    async with shared.opened(settings) as store:
        prefix = settings.layout.free_office(office)
        snapshot = await store.read(prefix)
    item = snapshot.items.get(f"{prefix}holder")
    if item is None:
        raise Vacant(f"nobody holds {office}")
    holder = decode(Holder, item)
    document = {
        "office": office,
        "holder": holder.unit,
        "machine": holder.machine,
        "term": item.mod_revision,
        "began": holder.began,
    }
    emit(settings.format, document, lambda: table(("Office", "Holder", "Term", "Since"), [_row(document)]))
    return 0


def _row(document: dict[str, Any]) -> list[str]:
    from tenure.model.walltime import local_text

    return [document["office"], document["holder"], str(document["term"]), local_text(document["began"])]
