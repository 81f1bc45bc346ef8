"""What an etcd's versions, members and leases say of whether a lease may end early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tenure.errors import StoreUnreachable
from tenure.store.api import Put
from tenure.store.etcd.members import Member, keeps_leases, members
from tenure.store.etcd.store import open_etcd
from tenure.store.etcd.versions import Versions
from tests.etcd import EtcdCluster, newest, versions
from tests.waiting import until_async


@pytest.mark.parametrize(
    ("version", "keeps"),
    [
        ("3.3.27", False),
        ("3.4.23", False),
        ("3.4.30", False),
        ("3.4.31", True),
        ("3.5.12", False),
        ("3.5.13", True),
        ("3.5.30", True),
        ("3.6.0", True),
        ("3.6.0-rc.1", True),
        ("3.10.2", True),
        ("4.0.0", True),
        ("3.5", False),
        ("", False),
        (None, False),
    ],
)
def test_versions_with_and_without_the_look_before_a_lease_is_ended(version: str | None, keeps: bool) -> None:
    assert keeps_leases(version) is keeps


SETTLES_S = 0.3

Looks = Callable[[int], Awaitable[None]]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Waits for so many more looks at the members."""
    done = 0

    async def counted(*arguments: Any, **options: Any) -> list[Member]:
        nonlocal done
        found = await members(*arguments, **options)
        done += 1
        return found

    async def wait(count: int) -> None:
        wanted = done + count
        await until_async(lambda: done >= wanted, what=f"{count} looks", within_s=30)

    monkeypatch.setattr("tenure.store.etcd.versions.members", counted)
    return wait


@pytest.mark.slow
@pytest.mark.parametrize("version", versions() or [""])
async def test_leases_are_trusted_once_each_member_has_told_its_version_twice(version: str, looks: Looks) -> None:
    with EtcdCluster(version or newest()) as etcd:
        store = await open_etcd(etcd.url, settles_s=SETTLES_S)
        assert store.traits.may_end_early, "a former leader may have woken a moment ago"
        (member,) = await members(store.client)
        assert (member.version, member.leads, member.says) == (etcd.version, True, "")
        if keeps_leases(etcd.version):
            await until_async(lambda: not store.traits.may_end_early, what="trusted")
        else:
            await looks(4)
            assert store.traits.may_end_early
        traits = store.traits
        assert (traits.confirm_renewals, traits.least_ttl_s, traits.most_ttl_s) == (True, 5, 300)
        await store.close()


@pytest.mark.slow
async def test_a_member_that_cannot_be_asked_counts_as_an_old_one(looks: Looks) -> None:
    with EtcdCluster(newest(), members=3) as etcd:
        etcd.members[2].kill()
        store = await open_etcd(etcd.url, settles_s=SETTLES_S)
        found = {member.name: member for member in await members(store.client)}
        assert found["etcd2"].version is None
        assert "refused" in found["etcd2"].says
        assert [found[name].version for name in ("etcd0", "etcd1")] == [etcd.version] * 2
        await looks(4)
        assert store.traits.may_end_early
        etcd.restart(etcd.members[2])
        await until_async(lambda: not store.traits.may_end_early, what="trusted once it is back")
        await store.close()
        etcd.members[2].kill()
        etcd.members[1].kill()
        with pytest.raises(StoreUnreachable, match="quorum"):
            while True:  # until the one that is left has noticed
                await (await open_etcd(etcd.url)).close()


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["a watch", "a commit"])
async def test_the_first_answer_under_a_new_leader_ends_the_trust_before_anybody_acts_on_it(
    reader: str, looks: Looks
) -> None:
    with EtcdCluster(newest(), members=3) as etcd:
        leader = etcd.leader()
        others = [member for member in etcd.members if member is not leader]
        store = await open_etcd(f"etcd://{','.join(one.endpoint for one in others)}/", settles_s=SETTLES_S)
        await until_async(lambda: not store.traits.may_end_early, what="trusted")
        watch = store.watch("/a", (await store.read("/")).revision)
        seen = asyncio.ensure_future(anext(watch))
        leader.stop()
        etcd_leads_again = until_async(lambda: etcd.run_ctl("put", "/a", "", at=others).returncode == 0, within_s=20)
        if reader == "a watch":
            await etcd_leads_again
            await asyncio.wait_for(seen, 10)
        else:
            seen.cancel()
            await etcd_leads_again
            await store.commit([], [Put("/b", b"")])
        assert store.traits.may_end_early
        await looks(4)
        assert store.traits.may_end_early, "the former leader has not been heard of"
        leader.go_on()
        await until_async(lambda: not store.traits.may_end_early, what="trusted", within_s=30)
        await watch.aclose()  # type: ignore[attr-defined]
        await store.close()


async def test_a_look_that_was_under_way_as_the_leader_changed_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    well = Member(name="a", number=1, client_urls=(), version="3.5.30", has_leader=True, raft_term=2)
    asked, answers = asyncio.Event(), asyncio.Event()
    distrusted: list[bool] = []
    """As each look began."""

    async def members(*_: object, **__: object) -> list[Member]:
        distrusted.append(known.traits.may_end_early)
        if len(distrusted) == 2:
            asked.set()
            await answers.wait()
        return [well]

    monkeypatch.setattr("tenure.store.etcd.versions.members", members)
    client = SimpleNamespace(met=None)
    known = Versions(client, 5, 0.01)  # type: ignore[arg-type]
    await known.look()
    await asyncio.wait_for(asked.wait(), 10)
    known.met(SimpleNamespace(raft_term=3))
    answers.set()
    await until_async(lambda: not known.traits.may_end_early, what="trusted by two looks after the change")
    assert distrusted == [True] * 4, "at opening, the one under way, and two thereafter"
    await known.close()
