"""What `explain` says: each sentence follows from the keys, or from an agent's own word, and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tenure.model.charms import Charm
from tenure.model.layout import Layout
from tenure.model.operations import deploy
from tenure.model.reasons import outage_sentence, sentences
from tenure.model.records import encode
from tenure.model.upkeep import drain, pause, set_priority
from tenure.model.view import read_model
from tenure.names import UnitName
from tenure.office.records import Last, TermRecord, Unclean
from tenure.office.records import encode as encode_office
from tenure.office.timing import Timing
from tenure.store.api import Put, Store
from tests.model.staging import leads, machine_up, present

W0, W1, W2 = (UnitName("web", number) for number in range(3))
TIMING = Timing.for_lease(60)


@pytest.fixture
async def web(store: Store, layout: Layout, charm: Charm) -> None:
    await deploy(store, layout, charm, units=3, to=("m0", "m1", "m2"))


async def said(store: Store, layout: Layout, **candidacies: dict[str, Any]) -> list[str]:
    view = await read_model(store, layout)
    application = view.application("web")
    answers = {name.replace("_", "/"): one for name, one in candidacies.items()}
    return sentences(view, application, application.office(), TIMING, answers)


def holding(owed_s: float = 0.0, state: str = "holding") -> dict[str, Any]:
    return {"state": state, "surely_left_s": 51.0, "owed_s": owed_s, "because": None}


async def test_of_a_leader_it_says_how_it_came_to_lead_what_it_owes_and_when_its_lease_is_renewed(
    store: Store, layout: Layout, web: None
) -> None:
    former = TermRecord(number=3, unit="web/1", machine="m1", ended="2026-05-01T11:00:00Z", how="expired")
    await store.commit([], [Put(f"{layout.terms('web', 'leader')}3", encode_office(former))])
    term = await leads(store, layout, W0)
    lines = await said(store, layout, web_0=holding(owed_s=24.5))
    assert lines[0].startswith(f"web/0 leads web in term {term}, since 2026-05-0")
    assert lines[0].endswith("term 3 of web/1 had ended (expired), and it was the first in line to claim it.")
    assert "51.0 s more; it is renewed every 8.57 s" in lines[1]
    assert lines[2].startswith("It owes 24.5 s")
    assert "had died, hung, or could not reach the store" in lines[3]
    [unknown] = [
        line for line in await said(store, layout, web_0={"unknown": "its agent is away"}) if "only its agent" in line
    ]
    assert unknown.endswith("its agent is away.")


async def test_of_each_other_unit_it_says_why_it_does_not_lead_and_where_it_is_in_line(
    store: Store, layout: Layout, web: None
) -> None:
    await leads(store, layout, W0)
    for machine in ("m0", "m1", "m2"):
        await machine_up(store, layout, machine)
    await set_priority(store, layout, W2, 7)
    for unit, machine, priority in ((W1, "m1", 0), (W2, "m2", 7)):
        await present(store, layout, unit, machine, priority=priority)
    lines = await said(store, layout, web_0=holding())
    assert (
        "web/2 doesn't lead: web/0 holds it; at the next vacancy it is number 1 of 2 in line, by its priority of 7."
        in lines
    )
    assert "web/1 doesn't lead: web/0 holds it; at the next vacancy it is number 2 of 2 in line." in lines
    await drain(store, layout, "m2")
    found = (await read_model(store, layout)).unit(W1)
    await store.commit([], [Put(found.info_item.key, encode(replace(found.info, life="dying")))])
    lines = await said(store, layout, web_0=holding())
    assert "web/2 doesn't lead: its machine m2 is drained, until `tenure undrain m2`." in lines
    assert "web/1 doesn't lead: it is being removed, and stands for nothing any more." in lines


async def test_of_a_vacancy_it_says_what_it_waits_for(store: Store, layout: Layout, web: None) -> None:
    assert (await said(store, layout))[0] == "Nobody leads web: no unit is there to claim it."
    last = Last(term=9, unit="web/1", how="released", unclean=(Unclean(term=9, ttl_s=60),))
    await store.commit([], [Put(layout.last("web", "leader"), encode_office(last))])
    await present(store, layout, W0)
    lines = await said(store, layout)
    assert "are web/0; one will" in lines[0]
    assert "Whoever takes it up waits up to 60 s before acting: term 9 isn't known to have ended cleanly." in lines
    await pause(store, layout, "web", "the database moves")
    assert "it is paused since" in (await said(store, layout))[0]
    assert "(the database moves), until `tenure resume web`" in (await said(store, layout))[0]


async def test_of_a_unit_that_claims_nothing_in_a_store_that_was_put_back_it_says_so_and_what_to_do(
    store: Store, layout: Layout, web: None
) -> None:
    await machine_up(store, layout, "m0")
    await present(store, layout, W0)
    (line,) = [
        line
        for line in await said(store, layout, web_0={"state": "watching", "store_went_back_behind_term": 900})
        if line.startswith("web/0 doesn't lead")
    ]
    assert "knows of term 900" in line
    assert "`tenure store raise-terms 10900`" in line


def test_the_outage_formula_has_the_applications_own_numbers() -> None:
    assert outage_sentence(TIMING).startswith("The store may be silent for 20.37 s")
    assert outage_sentence(TIMING).endswith("= 60 x 0.999 - 30 - 8.57 - 1.00.")
