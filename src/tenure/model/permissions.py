"""What each of a model's users may do in a store that asks who is there, as ranges of keys.

A machine's agent reads all of its model, for it keeps one consistent picture of it; it writes what belongs to its own
machine and to the applications that it was made for, and nothing else.
"""

from __future__ import annotations

from tenure.model.layout import CHARMS_ROOT, TASKS_ROOT, Layout
from tenure.model.view import ModelView
from tenure.store.advance import SCRATCH
from tenure.store.etcd.users import Permission


def operator_role(layout: Layout) -> str:
    """The role of whoever deploys and looks after the model."""
    return f"tenure-{layout.model}-operator"


def reader_role(layout: Layout) -> str:
    """The role of all who are to see the model."""
    return f"tenure-{layout.model}-reader"


def machine_role(layout: Layout, machine: str) -> str:
    """The role of a machine's agent."""
    return f"tenure-{layout.model}-machine-{machine}"


def application_role(layout: Layout, application: str) -> str:
    """The role of those that run an application's units."""
    return f"tenure-{layout.model}-app-{application}"


def operator(layout: Layout) -> list[Permission]:
    """All of the model."""
    roots = [layout.prefix, f"{CHARMS_ROOT}{layout.model}/", f"{TASKS_ROOT}{layout.model}/"]
    return [*(Permission(root, "read and write") for root in roots), Permission(SCRATCH, "read and write", exact=True)]


def reader(layout: Layout) -> list[Permission]:
    """The model and its charms; what was run in units, and what it printed, isn't part of it."""
    return [Permission(layout.prefix, "read"), Permission(f"{CHARMS_ROOT}{layout.model}/", "read")]


def machine(layout: Layout, name: str) -> list[Permission]:
    """The machine's own record."""
    return [Permission(layout.machine(name), "read and write", exact=True)]


def application(layout: Layout, view: ModelView, name: str) -> list[Permission]:
    """The application's keys, its part of the relations that it is in, and what its end takes away. Raises NoSuchThing.

    In a peer relation that is all of it; in another its own databags.
    """
    info = view.application(name).info
    found = [
        Permission(layout.application(name), "read and write"),
        Permission(f"{TASKS_ROOT}{layout.model}/{name}/", "read and write"),
        # The last unit of an application that is removed takes its charm along, and says where numbers go on.
        Permission(layout.info, "read and write", exact=True),
        Permission(layout.commit_ids, "read and write"),
    ]
    if info.charm:
        found.append(Permission(layout.charm(info.charm), "read and write"))
    for number, relation in view.relations.items():
        ends = [end.application for end in relation.info.endpoints]
        if ends == [name]:
            found.append(Permission(layout.relation(number), "read and write"))
        elif name in ends:
            found.append(Permission(layout.application_bag(number, name), "read and write", exact=True))
            found.append(Permission(layout.unit_bags(number, name), "read and write"))
    return found
