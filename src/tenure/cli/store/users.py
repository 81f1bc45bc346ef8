"""What the commands about users share."""

from __future__ import annotations

from tenure.errors import BadInput
from tenure.store.api import Store
from tenure.store.etcd.store import EtcdStore
from tenure.store.etcd.users import Users


def users_of(store: Store) -> Users:
    """The users of the store. Raises BadInput for one that has none: who may open its file may do everything."""
    if not isinstance(store, EtcdStore):
        raise BadInput(f"{store.url} has no users", hint="etcd has; the file of an embedded store is its owner's alone")
    return Users(store.client)
