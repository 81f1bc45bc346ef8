"""Promise 3, fenced writes: settings land in the term that they were written in, whole, once, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadInput, NotLeader, StoreUnsure
from tenure.model.layout import Layout
from tenure.model.records import Settings, decode
from tenure.model.settings import merged, write_settings
from tenure.names import UnitName
from tenure.store.api import Committed, Compare, Item, Put, Refused, Store, Write, modified_at
from tenure.store.memory import MemoryStore
from tests.model.staging import leads

KEY = Layout("default").settings("web")
HOLDER = Layout("default").holder("web", "leader")
W0, W1 = UnitName("web", 0), UnitName("web", 1)


async def item(store: Store) -> Item | None:
    return (await store.read(KEY)).items.get(KEY)


async def revision(store: Store) -> int:
    now = await item(store)
    return 0 if now is None else now.mod_revision


async def values(store: Store) -> dict[str, str]:
    now = await item(store)
    return {} if now is None else decode(Settings, now.value, KEY).values


@pytest.fixture
async def term(store: Store, layout: Layout) -> int:
    return await leads(store, layout, W0)


async def test_a_group_of_settings_is_written_whole(store: Store, term: int) -> None:
    odd = {"a": "1\n2", "q": "'\"", "e": "=", "u": "\u00fc\U0001f600", "long": "x" * 131_071}
    written = await write_settings(store, KEY, modified_at(HOLDER, term), None, odd)
    assert written.changed
    assert await values(store) == odd
    assert await revision(store) == written.revision


async def test_an_empty_value_removes_its_name(store: Store, term: int) -> None:
    fence = modified_at(HOLDER, term)
    await write_settings(store, KEY, fence, None, {"a": "1", "b": "2"})
    await write_settings(store, KEY, fence, await item(store), {"a": "", "never": ""})
    assert await values(store) == {"b": "2"}


async def test_what_changes_nothing_is_not_written(store: Store, term: int) -> None:
    fence = modified_at(HOLDER, term)
    first = await write_settings(store, KEY, fence, None, {"a": "1"})
    again = await write_settings(store, KEY, fence, await item(store), {"a": "1", "b": ""})
    assert (again.changed, again.revision) == (False, first.revision)
    assert await revision(store) == first.revision


async def test_a_deposed_leaders_write_never_lands(store: Store, layout: Layout, term: int) -> None:
    await write_settings(store, KEY, modified_at(HOLDER, term), None, {"a": "old"})
    base = await item(store)
    await leads(store, layout, W1)
    with pytest.raises(NotLeader):
        await write_settings(store, KEY, modified_at(HOLDER, term), base, {"a": "late"})
    assert await values(store) == {"a": "old"}


async def test_a_term_of_the_same_unit_is_another_term(store: Store, layout: Layout, term: int) -> None:
    await leads(store, layout, W0)
    with pytest.raises(NotLeader):
        await write_settings(store, KEY, modified_at(HOLDER, term), None, {"a": "1"})


async def test_an_old_picture_of_the_settings_loses_nothing(store: Store, term: int) -> None:
    fence = modified_at(HOLDER, term)
    await write_settings(store, KEY, fence, None, {"a": "1"})
    await write_settings(store, KEY, fence, None, {"b": "2"})
    assert await values(store) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("text", ["\udcff", "a\ud800b"])
async def test_what_is_not_utf8_is_refused_and_nothing_is_written(store: Store, term: int, text: str) -> None:
    with pytest.raises(BadInput, match="UTF-8"):
        await write_settings(store, KEY, modified_at(HOLDER, term), None, {"ok": "1", "bad": text})
    assert await item(store) is None


async def test_what_is_too_long_is_refused_and_nothing_is_written(store: Store, term: int) -> None:
    fence = modified_at(HOLDER, term)
    await write_settings(store, KEY, fence, None, {"big": "x" * 2_000_000})
    with pytest.raises(BadInput, match="bytes"):
        await write_settings(store, KEY, fence, await item(store), {"bigger": "x" * 5_000_000})
    assert set(await values(store)) == {"big"}


class LosingStore(MemoryStore):
    """Does to each commit of the settings what it is told: loses its answer, itself, or lets others come between."""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[str] = []
        self.late: list[tuple[Sequence[Compare], Sequence[Write]]] = []
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        if not any(isinstance(write, Put) and write.key == KEY for write in then) or not self.script:
            return await super().commit(when, then, otherwise)
        step = self.script.pop(0)
        if step == "answer lost":
            await super().commit(when, then, otherwise)
        else:
            self.late.append((when, then))
        if self.meanwhile is not None and not self.script:
            await self.meanwhile()
        raise StoreUnsure(step)


@pytest.mark.parametrize("script", [["answer lost"], ["late"], ["late", "late", "answer lost"]])
async def test_an_unsure_write_is_settled_and_a_late_copy_of_it_changes_nothing(
    script: list[str], layout: Layout
) -> None:
    store = LosingStore()
    fence = modified_at(HOLDER, await leads(store, layout, W0))
    await write_settings(store, KEY, fence, None, {"a": "0"})
    store.script = script
    written = await write_settings(store, KEY, fence, await item(store), {"a": "1"})
    assert await revision(store) == written.revision
    await write_settings(store, KEY, fence, await item(store), {"a": "2"})
    for when, then in store.late:
        assert isinstance(await store.commit(when, then), Refused)
    assert await values(store) == {"a": "2"}
    await store.close()


async def test_an_unsure_write_whose_term_ended_meanwhile_is_refused(layout: Layout) -> None:
    store = LosingStore()
    fence = modified_at(HOLDER, await leads(store, layout, W0))
    store.script = ["late"]
    store.meanwhile = lambda: leads(store, layout, W1)
    with pytest.raises(NotLeader):
        await write_settings(store, KEY, fence, None, {"a": "1"})
    for when, then in store.late:
        assert isinstance(await store.commit(when, then), Refused)
    assert await values(store) == {}
    await store.close()


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=2))))
def test_changes_one_after_the_other_leave_no_empty_values_and_the_last_word_of_each(
    changes: list[dict[str, str]],
) -> None:
    values: dict[str, str] = {}
    last: dict[str, str] = {}
    for change in changes:
        values = merged(values, change)
        last.update(change)
    assert values == {name: text for name, text in last.items() if text}
