"""The errors that a user can meet: the class knows the exit code, and a broken promise is caught by nobody."""

from __future__ import annotations

import pytest

from tenure import errors
from tenure.errors import Broken, TenureError, invariant


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.NotLeader, 1),
        (errors.Vacant, 1),
        (errors.BadInput, 2),
        (errors.NoSuchThing, 2),
        (errors.StoreUnreachable, 3),
        (errors.StoreUnsure, 3),
        (errors.StoreBroken, 3),
        (errors.TimedOut, 124),
    ],
)
def test_the_exit_code_follows_from_the_class(kind: type[TenureError], code: int) -> None:
    error = kind("what happened", hint="what to do")
    assert (error.exit_code, error.message, error.hint, str(error)) == (
        code,
        "what happened",
        "what to do",
        "what happened",
    )


def test_a_hint_may_be_missing() -> None:
    assert errors.Vacant("nobody leads web").hint is None


def test_a_broken_promise_is_no_exception_that_somebody_catches_by_the_way() -> None:
    assert not issubclass(Broken, Exception)
    with pytest.raises(Broken, match="a term number never goes back"):
        invariant(False, "a term number never goes back")
    invariant(True, "a term number never goes back")


def test_a_lost_answer_is_never_taken_for_a_refusal() -> None:
    assert not issubclass(errors.StoreUnsure, errors.No)
    assert not issubclass(errors.StoreUnreachable, errors.StoreUnsure)
