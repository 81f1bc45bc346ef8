"""This host: its clocks' rates, what can enclose a workload, what the kernel allows, the agents that should answer here."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from tenure.cli.doctor.findings import Finding
from tenure.defaults import DRIFT
from tenure.errors import TenureError
from tenure.model.view import ModelView

_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES_LEAST = 128
"""Each process with an embedded store open has one; 128 is the kernel's own default."""

ANSWERS_WITHIN_S = 1.0


async def clocks(seconds: float) -> Finding:
    """Whether this host's clock is slewed, and by how much: the rate of what is slewed against what isn't."""
    begun = _readings()
    await asyncio.sleep(seconds)
    ended = _readings()
    slewed, raw = (after - before for before, after in zip(begun, ended, strict=True))
    rate = slewed / raw - 1
    says = f"this host's clock is slewed by {rate * 1e6:+.0f} ppm (over {seconds:g} s)"
    if abs(rate) <= DRIFT:
        return Finding("clock", "ok", says)
    return Finding(
        "clock",
        "warning",
        f"{says}: more than the drift of {DRIFT * 1e6:.0f} ppm that leases are reckoned with",
        "Tenure counts by the unslewed clock, too, so this host's own terms are safe; on a store's host bound it: "
        "chrony's `maxslewrate 500`",
    )


def enclosures() -> Finding:
    """What a guard could enclose a workload in, tried with a process that ends at once."""
    from tenure.guard import cgroup

    had = []
    if _namespace():
        had.append("a PID namespace")
    if (group := cgroup.make()) is not None:
        group.remove()
        had.append("a cgroup")
    if had:
        return Finding("guard", "ok", f"workloads are enclosed in {' and '.join(had)}")
    return Finding(
        "guard",
        "warning",
        "neither a PID namespace nor a cgroup can be had: a guard looks for a workload's processes one by one",
        "run the agent as root, or allow user namespaces (sysctl user.max_user_namespaces)",
    )


def inotify() -> Finding | None:
    """Whether the kernel lets enough processes watch files; None where it can't be read."""
    try:
        most = int(_INSTANCES.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    if most > _INSTANCES_LEAST:
        return Finding("inotify", "ok", f"up to {most} processes of a user may watch files")
    return Finding(
        "inotify",
        "note",
        f"up to {most} processes of a user may watch files; each that has an embedded store open is one",
        f"with about a hundred agents or programs on this host: sysctl {'.'.join(_INSTANCES.parts[3:])}=1024",
    )


async def agents(view: ModelView, boot: str) -> list[Finding]:
    """Whether each agent that the model shows on this host answers on its socket."""
    from tenure.agent.wire import call

    findings = []
    for name, machine in view.machines.items():
        if machine.boot_id != boot:
            continue
        try:
            await call(machine.socket, {"control": "losses"}, ANSWERS_WITHIN_S)
        except TenureError as error:
            findings.append(
                Finding(
                    f"agent {name}",
                    "wrong",
                    f"the agent (process {machine.pid}) does not answer: {error.message}",
                    f"`ps {machine.pid}` shows whether it is stopped; start it again, and it takes its units up",
                )
            )
        else:
            findings.append(Finding(f"agent {name}", "ok", f"process {machine.pid} answers"))
    if not findings:
        findings.append(Finding("agent", "note", "no agent of this model is on this host", "`tenure agent` starts one"))
    return findings


def _readings() -> tuple[int, int]:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


def _namespace() -> bool:
    from tenure.guard.kernel import clone

    try:
        pid = clone(user=os.geteuid() != 0)
    except OSError:
        return False
    if pid == 0:
        os._exit(0 if os.getpid() == 1 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
