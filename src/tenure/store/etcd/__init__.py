"""The engine for several machines: etcd, from 3.4 on, by a thin client of our own on gRPC.

`store.py` is its face; `client.py` the connections, `renewals.py` and `watching.py` the two streams, `translation.py` the
messages, `members.py` what the versions mean, `address.py` the URL and its environment, `faults.py` the errors.
"""

from __future__ import annotations

from tenure.store.etcd.store import EtcdStore, open_etcd

__all__ = ["EtcdStore", "open_etcd"]
