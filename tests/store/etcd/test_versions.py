"""What an etcd's versions, members and leases say of whether a lease may end early."""

from __future__ import annotations

import pytest

from tenure.errors import StoreUnreachable
from tenure.store.etcd.members import keeps_leases, members
from tenure.store.etcd.store import open_etcd
from tenure.store.etcd.versions import LEASES_TRUSTED
from tests.etcd import EtcdCluster, newest, versions


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


@pytest.mark.slow
@pytest.mark.parametrize("version", versions() or [""])
async def test_each_version_that_is_here_is_told_by_its_members(version: str) -> None:
    with EtcdCluster(version or newest()) as etcd:
        store = await open_etcd(etcd.url)
        traits = store.traits
        (member,) = await members(store.client)
        await store.close()
    assert (member.version, member.leads, member.says) == (etcd.version, True, "")
    assert traits.may_end_early is not keeps_leases(etcd.version)
    assert (traits.confirm_renewals, traits.least_ttl_s, traits.most_ttl_s) == (True, 5, 300)


@pytest.mark.slow
async def test_a_member_that_cannot_be_asked_counts_as_an_old_one() -> None:
    with EtcdCluster(newest(), members=3) as etcd:
        etcd.members[2].kill()
        store = await open_etcd(etcd.url)
        found = {member.name: member for member in await members(store.client)}
        assert store.traits.may_end_early
        assert found["etcd2"].version is None
        assert "refused" in found["etcd2"].says
        assert [found[name].version for name in ("etcd0", "etcd1")] == [etcd.version] * 2
        await store.close()
        etcd.members[1].kill()
        with pytest.raises(StoreUnreachable, match="quorum"):
            while True:  # until the one that is left has noticed
                await (await open_etcd(etcd.url)).close()


@pytest.mark.slow
async def test_more_leases_than_are_ended_in_one_go_are_not_trusted() -> None:
    with EtcdCluster(newest()) as etcd:
        store = await open_etcd(etcd.url)
        leases = [(await store.grant(60)).lease for _ in range(LEASES_TRUSTED + 1)]
        other = await open_etcd(etcd.url)
        assert not store.traits.may_end_early
        assert other.traits.may_end_early
        await store.revoke(leases[0])
        third = await open_etcd(etcd.url)
        assert not third.traits.may_end_early
        for one in (store, other, third):
            await one.close()
