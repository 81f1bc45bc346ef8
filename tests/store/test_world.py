"""The memory world as the simulation drives it: without a loop, with leases that misbehave as it likes."""

from __future__ import annotations

import pytest

from tenure.clock import ns
from tenure.errors import Compacted, LeaseLost
from tenure.store.api import Batch, Delete, Put
from tenure.store.world import LeaseRules, MemoryWorld


def test_a_world_may_answer_with_a_longer_lease_than_was_asked_for() -> None:
    world = MemoryWorld(leases=LeaseRules(answered_ttl_s=lambda asked_s: asked_s + 5))
    granted = world.grant(10, 0)
    assert granted.ttl_s == 15
    assert world.renew(granted.lease, ns(14)) == 15
    assert world.earliest_end_ns() == ns(29)


def test_a_world_may_end_its_leases_late_and_renews_one_until_it_has_ended() -> None:
    world = MemoryWorld(leases=LeaseRules(ends_late_by_ns=lambda: ns(1)))
    granted = world.grant(10, 0)
    world.expire(ns(10.5))
    world.renew(granted.lease, ns(10.5))
    with pytest.raises(LeaseLost):
        world.renew(granted.lease, ns(21.5))


def test_a_lease_that_is_revoked_by_the_store_itself_has_ended_early() -> None:
    world = MemoryWorld()
    granted = world.grant(10, 0)
    world.commit([], [Put("/a", b"", granted.lease)])
    world.revoke(granted.lease)
    assert world.get("/a") is None
    assert world.earliest_end_ns() is None
    with pytest.raises(LeaseLost):
        world.renew(granted.lease, ns(1))


def test_listeners_are_told_of_each_revision_as_it_lands_and_in_their_order() -> None:
    world = MemoryWorld()
    heard: list[tuple[int, int]] = []
    world.listeners.append(lambda batch: heard.append((1, batch.revision)))
    world.listeners.append(lambda batch: heard.append((2, batch.revision)))
    world.commit([], [Put("/a", b"")])
    world.commit([], [Delete("/b")])
    assert heard == [(1, 1), (2, 1)]


def test_the_history_of_a_world_is_bounded() -> None:
    world = MemoryWorld(keep_revisions=10)
    for _ in range(100):
        world.commit([], [Put("/a", b"")])
    batches: list[Batch] = list(world.changes("", 90))
    assert [batch.revision for batch in batches] == list(range(91, 101))
    with pytest.raises(Compacted):
        list(world.changes("", 70))
