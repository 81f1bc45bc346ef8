"""A backup is whole or refused, and what is restored from it goes on with numbers that nobody has had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.errors import BadInput
from tenure.model.backup import Backup, load, restore, take, write
from tenure.model.charms import Charm
from tenure.model.layout import Layout
from tenure.model.operations import deploy
from tenure.model.requests import ask
from tenure.model.view import read_model
from tenure.names import UnitName
from tenure.office.records import Last
from tenure.office.records import encode as encode_office
from tenure.store import open_store
from tenure.store.advance import advance
from tenure.store.api import Committed, Put, Store
from tests.model.staging import leads, machine_up, says

W0 = UnitName("web", 0)


@pytest.fixture(params=["memory", "sqlite"])
async def other(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Where it is restored."""
    return await open_store("memory://" if request.param == "memory" else f"sqlite://{tmp_path}/other.db")


async def deployed(store: Store, layout: Layout, charm: Charm) -> int:
    """A model with one unit that leads; returns the term."""
    await deploy(store, layout, charm, application="web", units=1)
    grant = await store.grant(60)
    await machine_up(store, layout, "m0", grant.lease)
    await says(store, layout, W0, "active")
    await leads(store, layout, W0, lease=grant.lease)
    last = Last(unit="web/0", machine="m0", ttl_s=6, successor="web/9")
    landed = await store.commit([], [Put(layout.last("web", "leader"), encode_office(last))])
    assert isinstance(landed, Committed)
    return landed.revision


async def test_what_lasts_is_restored_and_what_lived_on_leases_is_not(
    store: Store, other: Store, layout: Layout, charm: Charm, tmp_path: Path
) -> None:
    await deployed(store, layout, charm)
    await ask(store, await read_model(store, layout), W0, "resolved", {"retry": True})
    write(await take(store), tmp_path / "b")
    await restore(other, load(tmp_path / "b"))
    before, after = await read_model(store, layout), await read_model(other, layout)
    assert after.info == before.info
    assert after.application("web").info == before.application("web").info
    assert after.unit(W0).status == before.unit(W0).status
    assert not after.machines
    assert after.application("web").office().holder is None
    assert not after.unit(W0).request_items
    chunks = (await store.read("/tenure.charms/")).items
    assert {key: item.value for key, item in (await other.read("/tenure.charms/")).items.items()} == {
        key: item.value for key, item in chunks.items()
    }
    assert chunks


async def test_term_numbers_go_on_above_all_that_were_handed_out(
    store: Store, other: Store, layout: Layout, charm: Charm
) -> None:
    number = await deployed(store, layout, charm)
    backup = await take(store)
    newest = await restore(other, backup, beyond=50)
    assert newest >= backup.header.revision + 50
    office = (await read_model(other, layout)).application("web").office()
    assert office.last is not None
    assert office.last.term == number, "a term keeps its number, whatever the revisions of the store that tells of it"
    assert office.last.successor == "", "nobody is asked to succeed in a store where nobody holds anything"
    assert await leads(other, layout, W0) > backup.header.revision + 50


async def test_a_restored_unit_is_the_same_unit(store: Store, other: Store, layout: Layout, charm: Charm) -> None:
    await deployed(store, layout, charm)
    born = (await read_model(store, layout)).unit(W0).born
    await restore(other, await take(store))
    unit = (await read_model(other, layout)).unit(W0)
    assert (unit.born, unit.info_item.create_revision == born) == (born, False)
    again = await open_store("memory://")
    await restore(again, await take(other))
    assert (await read_model(again, layout)).unit(W0).born == born


async def test_a_restore_that_was_cut_short_goes_on_and_one_over_something_else_changes_nothing(
    store: Store, other: Store, layout: Layout, charm: Charm
) -> None:
    await deployed(store, layout, charm)
    backup = await take(store)
    await restore(other, Backup(backup.header, backup.entries[: len(backup.entries) // 2]))
    await restore(other, backup)
    whole = {key: item.value for key, item in (await other.read("/tenure")).items.items()}
    assert whole == {entry.key: entry.value for entry in backup.entries}
    await restore(other, backup)
    await says(other, layout, W0, "blocked")
    with pytest.raises(BadInput, match="already"):
        await restore(other, backup)


async def test_a_file_that_is_no_whole_backup_is_refused_by_line(
    store: Store, layout: Layout, charm: Charm, tmp_path: Path
) -> None:
    await deployed(store, layout, charm)
    whole = tmp_path / "whole"
    write(await take(store), whole)
    assert whole.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadInput, match="is there already"):
        write(await take(store), whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for content, says_ in (
        (b"", "line 1: this is no backup"),
        (b"PNG\x00\xff\n", "line 1: this is no backup"),
        (b"".join(lines[:-1]), f"line {len(lines) - 1}: the backup is damaged"),
        (b"".join(lines[:1]), "ends in the middle"),
        (b"".join([*lines[:3], *lines[4:]]), "ends in the middle"),
        (b"".join([*lines[:2], lines[2][:-9] + b"\n", *lines[3:]]), "line 3: the backup is damaged"),
    ):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(BadInput, match=says_):
            load(tmp_path / "other")


async def test_an_engine_that_skips_no_revisions_is_written_to_until_it_is_there() -> None:
    store = await open_store("memory://")
    seen: list[int] = []
    assert await advance(store, 1000, lambda done, of: seen.append(done)) > 1000
    assert len(seen) > 2
    assert not (await store.read("")).items


async def test_leases_of_a_restored_file_have_numbers_that_nobody_has_saved(tmp_path: Path) -> None:
    store = await open_store(f"sqlite://{tmp_path}/tenure.db")
    before = await store.grant(60)
    await advance(store, 5000)
    after = [(await store.grant(60)).lease for _ in range(2)]
    assert before.lease < 100 < after[0] < after[1]
    await store.renew(before.lease)
