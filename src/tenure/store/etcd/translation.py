"""Tenure's transactions, keys and changes as etcd's messages, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tenure.errors import BadInput
from tenure.store.api import Change, Committed, Compare, Delete, Item, Put, Refused, Witness, Write
from tenure.store.checks import WRITES_MAX
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb


def key_range(prefix: str) -> tuple[bytes, bytes]:
    """The range of all keys that begin with `prefix`; of an empty one, of all keys."""
    if not prefix:
        return b"\0", b"\0"
    start = prefix.encode()
    # UTF-8 has no byte 0xff, so the last one can always be raised.
    return start, start[:-1] + bytes([start[-1] + 1])


def item(kv: Any) -> Item:
    """A key as it stands."""
    return Item(kv.key.decode(), kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def change(event: Any) -> Change:
    """What an event says."""
    if event.type == pb.Event.DELETE:
        return Change(event.kv.key.decode(), None)
    return Change(event.kv.key.decode(), item(event.kv))


def witness(header: Any) -> Witness:
    """Who has answered."""
    return Witness(header.cluster_id, header.member_id, header.raft_term)


def transaction(when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write]) -> Any:
    """The transaction; where it is refused, it reads the compared keys before anything else. Raises BadInput: too large."""
    keys = dict.fromkeys(compare.key for compare in when)
    reads = [pb.RequestOp(request_range=pb.RangeRequest(key=key.encode())) for key in keys]
    writes = [_operation(write) for write in otherwise]
    compares = [part for compare in when for part in _comparisons(compare)]
    if max(len(reads) + len(writes), len(compares)) > WRITES_MAX:
        raise BadInput(
            f"a transaction of {len(compares)} comparisons and {len(writes)} writes if they fail is more than etcd takes",
            hint=f"at most {WRITES_MAX} together; commit it in parts",
        )
    return pb.TxnRequest(
        compare=compares,
        success=[_operation(write) for write in then],
        failure=[*reads, *writes],
    )


def outcome(response: Any, when: Sequence[Compare]) -> Committed | Refused:
    """What became of the transaction."""
    revision = response.header.revision
    if response.succeeded:
        return Committed(revision)
    current: dict[str, Item | None] = dict.fromkeys(compare.key for compare in when)
    for answer in response.responses:
        if answer.WhichOneof("response") == "response_range":
            for kv in answer.response_range.kvs:
                current[kv.key.decode()] = item(kv)
    return Refused(revision, current)


def _comparisons(compare: Compare) -> Iterable[Any]:
    key = compare.key.encode()
    if compare.value is not None:
        yield pb.Compare(target=pb.Compare.VALUE, key=key, value=compare.value)
    if compare.create_revision is not None:
        yield pb.Compare(target=pb.Compare.CREATE, key=key, create_revision=compare.create_revision)
    if compare.mod_revision is not None:
        yield pb.Compare(target=pb.Compare.MOD, key=key, mod_revision=compare.mod_revision)


def _operation(write: Write) -> Any:
    match write:
        case Put(key, value, lease):
            return pb.RequestOp(request_put=pb.PutRequest(key=key.encode(), value=value, lease=lease))
        case Delete(key):
            return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key.encode()))
        case _:
            start, end = key_range(write.prefix)
            return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=start, range_end=end))
