"""Which office of an application a command is about: leadership, or that of a singleton."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.errors import NoSuchThing
from tenure.names import LEADER_OFFICE

if TYPE_CHECKING:
    from tenure.model.application import OfficeState
    from tenure.model.view import ModelView

office_option = click.option(
    "--office", default=LEADER_OFFICE, show_default=True, help="The office; a singleton's is named in its tenure.yaml."
)


def find_office(view: ModelView, application: str, office: str) -> OfficeState:
    """The application's office. Raises NoSuchThing where it has no such office."""
    found = view.application(application)
    known = {LEADER_OFFICE, *(one.office for one in found.info.singletons.values())}
    if office not in known and office not in found.offices:
        raise NoSuchThing(
            f'{application} has no office "{office}"',
            hint=f"its offices: {', '.join(sorted(known | {*found.offices}))}",
        )
    return found.office(office)
