"""An etcd: its members, its quorum, what its versions mean for leases, how full it is, and the rate of its hosts' clocks."""

from __future__ import annotations

import asyncio
import http.client
import re
import time

from tenure.cli.doctor.findings import Finding
from tenure.defaults import DRIFT
from tenure.store.etcd import pages
from tenure.store.etcd.members import Member, keeps_leases, members
from tenure.store.etcd.store import EtcdStore
from tenure.store.etcd.versions import SETTLES_S

_FULL = 0.8
_FRAGMENTED = 0.5
_MB = 2**20
_TESTED = ("3.4.", "3.5.")


async def etcd(store: EtcdStore, seconds: float) -> list[Finding]:
    """All that there is to say of it. `seconds`: for how long clocks are compared. Raises Unsure's kinds."""
    found = await members(store.client, alarms=True)
    findings = [_quorum(found), *map(_member, found), *_versions(found)]
    awake = [one for one in found if one.version is not None]
    clocks = await asyncio.gather(*(asyncio.to_thread(_clock, one, seconds) for one in awake))
    quotas = await asyncio.gather(*(asyncio.to_thread(_quota, one) for one in awake))
    return [*findings, *(one for one in (*quotas, *clocks) if one is not None)]


def _quorum(found: list[Member]) -> Finding:
    voters = [one for one in found if not one.learner]
    awake = [one for one in voters if one.version is not None]
    needed = len(voters) // 2 + 1
    says = f"{len(awake)} of {len(voters)} members answer; {needed} are needed"
    if len(awake) < needed:
        return Finding("quorum", "wrong", says, "start the others: until then no term can be renewed")
    if len(voters) == 1:
        return Finding(
            "quorum", "note", f"{says}: when it ends, every term ends", "three members survive the loss of one"
        )
    if len(awake) == needed:
        return Finding("quorum", "warning", f"{says}: no other may fail", "start the others, or replace them")
    leaders = [one.name for one in awake if one.leads]
    return Finding("quorum", "ok", f"{says}; {leaders[0]} leads" if leaders else says)


def _member(one: Member) -> Finding:
    what = f"member {one.name}"
    if one.alarms:
        return Finding(
            what,
            "wrong",
            f"alarm {', '.join(one.alarms)}",
            "NOSPACE: compact, defragment or raise the quota, then `etcdctl alarm disarm`; CORRUPT: replace the member",
        )
    if one.version is None:
        return Finding(what, "warning", one.says, "start it, or replace it: `etcdctl member remove`, then `add`")
    if one.says:
        return Finding(what, "wrong", one.says, "it is cut off from the others")
    if not one.raft_term:
        return Finding(what, "ok", f"etcd {one.version}; how it is, it tells the user root alone")
    says = f"etcd {one.version}{', leads' if one.leads else ''}; {one.size_bytes / _MB:.1f} MB, {one.used_bytes / _MB:.1f} MB of it in use"
    if one.size_bytes > 64 * _MB and one.used_bytes < _FRAGMENTED * one.size_bytes:
        return Finding(what, "note", says, "`etcdctl defrag` gives the rest back")
    return Finding(what, "ok", says)


def _versions(found: list[Member]) -> list[Finding]:
    findings = []
    old = [one for one in found if not keeps_leases(one.version)]
    if old:
        which = ", ".join(f"{one.name} ({one.version or 'not known'})" for one in old)
        findings.append(
            Finding(
                "versions",
                "warning",
                f"{which}: a member that stalls while it leads may end leases early when it wakes (etcd-io/etcd#15247)",
                "safe, but after a crash the next holder waits the whole lease out; from 3.4.31, 3.5.13 and 3.6.0 on it needn't",
            )
        )
    else:
        findings.append(
            Finding(
                "versions",
                "ok",
                "leases can be trusted while all members answer and their leader stays; not for "
                f"{SETTLES_S:.0f} to {2 * SETTLES_S:.0f} s after a change, when a crash costs a lease's length more",
            )
        )
    untested = {one.version for one in found if one.version and not one.version.startswith(_TESTED)}
    if untested:
        findings.append(
            Finding(
                "versions",
                "note",
                f"etcd {', '.join(sorted(map(str, untested)))} is not among those that Tenure is tested on",
            )
        )
    return findings


def _quota(one: Member) -> Finding | None:
    """How full it is; None where its metrics aren't to be had."""
    text = pages.get(one.client_urls[0], "/metrics")
    found = re.search(rb"^etcd_server_quota_backend_bytes ([0-9.e+]+)$", text or b"", re.MULTILINE)
    if found is None or not one.raft_term:
        return None
    quota = float(found[1])
    says = f"{one.size_bytes / _MB:.1f} MB of a quota of {quota / _MB:.0f} MB"
    if one.size_bytes > _FULL * quota:
        return Finding(f"quota {one.name}", "wrong", says, "compact and defragment it, or raise --quota-backend-bytes")
    return Finding(f"quota {one.name}", "ok", says)


def _clock(one: Member, seconds: float) -> Finding | None:
    """The rate of the host's clock against ours, by the second's change in the times that it stamps its answers with."""
    try:
        connection = pages.connect(one.client_urls[0])
    except (OSError, ValueError):
        return None
    try:
        begun, gap = _next_second(connection)
        time.sleep(max(0.0, seconds - 0.5))
        ended, other_gap = _next_second(connection)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    took = ended - begun
    passed = max(1, round(took))
    rate, doubt = passed / took - 1, (gap + other_gap) / took
    says = f"its clock's rate differs by {rate * 1e6:+.0f} ± {doubt * 1e6:.0f} ppm from this host's (over {passed} s)"
    if abs(rate) - doubt <= DRIFT:
        return Finding(f"clock {one.name}", "ok", says)
    return Finding(
        f"clock {one.name}",
        "wrong",
        f"{says}: more than the drift of {DRIFT * 1e6:.0f} ppm that leases are reckoned with",
        "bound its slewing: chrony's `maxslewrate 500`; was it set just now, look again",
    )


def _next_second(connection: http.client.HTTPConnection) -> tuple[float, float]:
    """When the server's clock passed a whole second, by ours; and by how much that may be wrong."""
    before, stamp = time.monotonic(), _stamp(connection)
    while True:
        asked = time.monotonic()
        seen = _stamp(connection)
        if seen != stamp:
            after = time.monotonic()
            return (before + after) / 2, (after - before) / 2
        before = asked


def _stamp(connection: http.client.HTTPConnection) -> str | None:
    connection.request("GET", "/version")
    answer = connection.getresponse()
    answer.read()
    return answer.getheader("Date")
