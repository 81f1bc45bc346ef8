"""The soak on three hosts over three etcds, for a short time; and that its witnesses can find something is in tests/net."""

from __future__ import annotations

import pytest

from tests.etcd import newest
from tests.net.hosts import why_not
from tests.net.witness import terms
from tests.soak.etcd import soaking

SECONDS = 90


@pytest.mark.slow
@pytest.mark.xdist_group("net")
@pytest.mark.timeout(400)
def test_under_faults_of_network_hosts_and_etcd_there_are_never_two_and_nothing_is_lost() -> None:
    if why_not():
        pytest.skip(why_not())
    with soaking(3, newest()) as soak:
        assert soak.run(SECONDS, print)
        assert terms(soak.world.landed_lines()) > 1
        assert len(soak.faults) > 8
