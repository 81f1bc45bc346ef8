"""What every engine refuses before it does anything, and in which words: keys, values, transactions, lengths of leases."""

from __future__ import annotations

from collections.abc import Sequence

from tenure.defaults import VALUE_MAX
from tenure.errors import BadInput
from tenure.store.api import Compare, Delete, DeletePrefix, Put, Traits, Write

KEY_MAX = 1024
"""Bytes of a key. Tenure's own are shorter than 400; an index page holds a few of this length."""

WRITES_MAX = 128
"""Comparisons, and writes, that one transaction may hold: etcd's default, so that what passes here passes there."""

TRANSACTION_MAX = 2 * VALUE_MAX
"""Bytes of all values of one transaction."""


def check_transaction(when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write]) -> None:
    """Raises BadInput unless the transaction is within the limits and writes no key twice."""
    for compare in when:
        check_key(compare.key)
    if max(len(when), len(then), len(otherwise)) > WRITES_MAX:
        raise BadInput(f"a transaction of more than {WRITES_MAX} comparisons or writes", hint="commit it in parts")
    _check_writes(then)
    _check_writes(otherwise)


def check_key(key: str) -> None:
    """Raises BadInput unless `key` can be a key: some text without NUL that UTF-8 can hold, of at most `KEY_MAX` bytes."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise BadInput(f"the key {key!r} can't be written as UTF-8") from None
    if not size or "\0" in key:
        raise BadInput(f"{key!r} can't be a key: it is empty or holds a NUL")
    if size > KEY_MAX:
        raise BadInput(f"a key of {size} bytes: {key[:60]!r}…", hint=f"at most {KEY_MAX} bytes")


def check_prefix(prefix: str) -> None:
    """Raises BadInput when no key could begin so; an empty prefix means all keys."""
    if prefix:
        check_key(prefix)


def check_ttl(ttl_s: int, traits: Traits) -> None:
    """Raises BadInput when a lease of `ttl_s` seconds can't be had from this engine."""
    if not traits.least_ttl_s <= ttl_s <= traits.most_ttl_s:
        raise BadInput(
            f"a lease of {ttl_s} s can't be had from {traits.name}",
            hint=f"from {traits.least_ttl_s} s to {traits.most_ttl_s} s",
        )


def check_revision(revision: int, newest: int) -> None:
    """Raises BadInput when there is no such revision to compact to yet."""
    if revision > newest:
        raise BadInput(f"there is no revision {revision} to forget the history before: the newest is {newest}")


def _check_writes(writes: Sequence[Write]) -> None:
    size = 0
    keys: list[str] = []
    prefixes: list[str] = []
    for write in writes:
        match write:
            case Put(key, value):
                check_key(key)
                keys.append(key)
                if len(value) > VALUE_MAX:
                    raise BadInput(f"a value of {len(value)} bytes for {key}", hint=f"at most {VALUE_MAX} bytes")
                size += len(value)
            case Delete(key):
                check_key(key)
                keys.append(key)
            case DeletePrefix(prefix):
                check_key(prefix)
                prefixes.append(prefix)
    if size > TRANSACTION_MAX:
        raise BadInput(f"a transaction of {size} bytes", hint=f"at most {TRANSACTION_MAX} bytes; commit it in parts")
    seen: set[str] = set()
    for key in keys:
        if key in seen or any(key.startswith(prefix) for prefix in prefixes):
            raise BadInput(f"{key} is written twice in one transaction")
        seen.add(key)
    for i, prefix in enumerate(prefixes):
        if any(prefix.startswith(other) or other.startswith(prefix) for other in prefixes[:i]):
            raise BadInput(f"the keys under {prefix} are deleted twice in one transaction")
