"""The members of an etcd: which there are, how each is, and what their versions mean for leases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tenure.errors import LeaseLost, StoreDenied, TenureError
from tenure.store.etcd import pages
from tenure.store.etcd.address import Address
from tenure.store.etcd.client import STATUS, Client, Endpoint, Method
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb

MEMBER_LIST = Method("/etcdserverpb.Cluster/MemberList", pb.MemberListRequest, pb.MemberListResponse)
ALARM = Method("/etcdserverpb.Maintenance/Alarm", pb.AlarmRequest, pb.AlarmResponse)

_KEEPS_LEASES = {(3, 4): 31, (3, 5): 13}
"""From which patch on a stalled former leader looks whether it still leads before it ends a lease (etcd-io/etcd#16822)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member. What can't be asked is None, and `says` why."""

    name: str
    number: int
    client_urls: tuple[str, ...]
    version: str | None = None
    leads: bool = False
    has_leader: bool = False
    learner: bool = False
    size_bytes: int = 0
    used_bytes: int = 0
    raft_term: int = 0
    alarms: tuple[str, ...] = ()
    """NOSPACE, CORRUPT."""
    says: str = ""


async def members(client: Client, *, patience_s: float | None = None, alarms: bool = False) -> list[Member]:
    """All members, each asked itself, and for no longer than `patience_s`.

    `alarms`: with theirs, which takes a quorum and costs an entry in etcd's log. Raises StoreUnreachable when none answers,
    StoreBroken.
    """
    listed = (await client.call(MEMBER_LIST, pb.MemberListRequest(), local=True)).members
    raised = await _alarms(client) if alarms else {}
    asking = [asyncio.ensure_future(_ask(client, one, raised.get(one.ID, []))) for one in listed]
    try:
        await asyncio.wait(asking, timeout=patience_s)
    finally:
        for one in asking:
            one.cancel()
        await asyncio.wait(asking)
    return [_silent(one) if ask.cancelled() else ask.result() for one, ask in zip(listed, asking, strict=True)]


async def _alarms(client: Client) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    try:
        for one in (await client.call(ALARM, pb.AlarmRequest(action=pb.AlarmRequest.GET))).alarms:
            found.setdefault(one.memberID, []).append(pb.AlarmType.Name(one.alarm))
    except (TenureError, LeaseLost):
        pass  # what each member says itself is known without
    return found


def keeps_leases(version: str | None) -> bool:
    """Whether a member of this version looks before it ends a lease; one that can't be asked is taken for an old one."""
    parts = (version or "").partition("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return False
    major, minor, patch = (int(part) for part in parts)
    if (major, minor) >= (3, 6):
        return True
    least = _KEEPS_LEASES.get((major, minor))
    return least is not None and patch >= least


def _silent(listed: Any) -> Member:
    return Member(listed.name or "(not started yet)", listed.ID, tuple(listed.clientURLs), says="it does not answer")


async def _ask(client: Client, listed: object, alarms: list[str]) -> Member:
    name = str(getattr(listed, "name", ""))
    number = int(getattr(listed, "ID", 0))
    urls = tuple(getattr(listed, "clientURLs", ()))
    said = ""
    for url in urls:
        where = url.partition("://")[2].rstrip("/")
        known = next((one for one in client.endpoints if one.name == where), None)
        endpoint = known or Endpoint(where, Address((where,), client.address.tls))
        try:
            status = await client.call_at(endpoint, STATUS, pb.StatusRequest())
        except StoreDenied:
            # Later servers tell root alone how they are; their version they tell anybody.
            version = await asyncio.to_thread(pages.version, url)
            if version is not None:
                return Member(
                    name=name, number=number, client_urls=urls, version=version, has_leader=True, alarms=tuple(alarms)
                )
            said = "it tells this user nothing"
            continue
        except TenureError as error:
            said = error.message
            continue
        finally:
            if known is None:
                await endpoint.channel.close()
        if status.header.member_id != number:
            said = f"{where} is another member"
            continue
        return Member(
            name=name,
            number=number,
            client_urls=urls,
            version=status.version,
            leads=status.leader == number,
            has_leader=status.leader != 0,
            learner=status.isLearner,
            size_bytes=status.dbSize,
            used_bytes=status.dbSizeInUse,
            raft_term=status.raftTerm,
            alarms=tuple(alarms),
            says="it has no leader" if not status.leader else "",
        )
    return Member(
        name=name or "(not started yet)",
        number=number,
        client_urls=urls,
        alarms=tuple(alarms),
        says=said or "it tells nobody where it is to be reached",
    )
