"""Whether a store has been put back to an older state. Term numbers are its revisions: it would hand them out again."""

from __future__ import annotations

from collections.abc import Iterable

MARGIN = 10_000
"""How far beyond the greatest number that is known a store is moved on: as many terms may have been begun unseen."""


def went_back(revision: int, terms: Iterable[int]) -> int:
    """The greatest of the `terms` that are known, if a store that stands at `revision` can't have had it; else 0.

    A store in good order has had every term's number as a revision. After a restore from an older copy its revisions are
    moved on beyond that number (`etcdctl snapshot restore --bump-revision`, or `tenure store raise-terms`) before
    anybody claims an office: else two terms bear one number, and what is fenced by numbers takes the one for the other.
    """
    greatest = max(terms, default=0)
    return greatest if revision < greatest else 0


def raise_to(greatest: int) -> int:
    """The revision beyond which the store is to be moved, given the greatest number that is known."""
    return greatest + MARGIN
