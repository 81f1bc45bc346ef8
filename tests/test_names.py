"""Names: what a unit, an application, a machine may be called, and what is said when it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadInput
from tenure.names import UnitName, check_application, check_machine, check_model, check_office


@pytest.mark.parametrize("name", ["a", "web", "web2", "my-app", "a-b-c", "node-a1", "x" * 100])
def test_applications_are_named_as_juju_allows(name: str) -> None:
    assert check_application(name) == name


@pytest.mark.parametrize(
    "name", ["", "Web", "2web", "-web", "web-", "web-2", "a--b", "web_1", "web/0", "wéb", "web\n", "x" * 101]
)
def test_other_names_are_refused_with_what_would_do(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_application(name)
    assert refused.value.hint is not None
    assert "small letters" in refused.value.hint


@given(st.from_regex(r"\A[a-z][a-z0-9]{0,9}\Z"), st.integers(min_value=0, max_value=10**9))
def test_a_units_name_is_read_as_it_is_written(application: str, number: int) -> None:
    unit = UnitName(application, number)
    assert UnitName.parse(str(unit)) == unit
    assert unit.tag == f"unit-{application}-{number}"


@pytest.mark.parametrize("text", ["", "web", "web/", "/0", "web/00", "web/01", "web/-1", "web/1/2", "web/x", "web/1 "])
def test_what_names_no_unit_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a unit's name"):
        UnitName.parse(text)


def test_units_sort_by_number() -> None:
    assert sorted([UnitName("web", 10), UnitName("web", 9), UnitName("db", 11)]) == [
        UnitName("db", 11),
        UnitName("web", 9),
        UnitName("web", 10),
    ]


@pytest.mark.parametrize("check", [check_machine, check_model, check_office])
def test_a_name_that_would_reach_into_anothers_keys_is_refused(check: object) -> None:
    assert callable(check)
    assert check("m0.rack-1_b") == "m0.rack-1_b"
    for name in ("", "a/b", "..", ".a", "a.", "a b", "a\n", "x" * 101):
        with pytest.raises(BadInput):
            check(name)
