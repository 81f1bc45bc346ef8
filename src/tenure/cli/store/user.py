"""tenure store user NAME: make a user of etcd's who may do what he is for, and nothing else.

Exits 0; 2 when the store isn't etcd, or nothing is said of what he is for; 3, also when it isn't root who says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenure.cli import shared, values
from tenure.cli.output import emit

if TYPE_CHECKING:
    from tenure.store.api import Store


@shared.command(prints=True)
@click.argument("name", metavar="NAME")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The password that he is to have.",
)
@click.option("--operator", is_flag=True, help="He looks after the model: all of it, and nothing outside of it.")
@click.option("--machine", metavar="MACHINE", help="He is the agent of this machine.")
@click.option(
    "--application",
    "applications",
    type=values.application,
    multiple=True,
    metavar="APP",
    help="Units of it run there.",
)
@click.option("--remove", is_flag=True, help="There is to be no such user any more.")
async def command(
    settings: shared.Settings,
    name: str,
    password_file: Path | None,
    operator: bool,
    machine: str | None,
    applications: tuple[str, ...],
    remove: bool,
) -> None:
    """Make a user of etcd's who may do what he is for, and nothing else.

    A machine's agent reads its model; it writes its machine's own record, and the keys of its applications and of
    the relations that they are in. Say it again when an application has come or a relation was added.

    \b
    Examples:
      tenure store user anna --password-file anna.pw --operator
      tenure store user m0 --password-file m0.pw --machine m0 --application web --application db
      tenure store user m0 --remove
    """
    from tenure.cli.store.users import users_of
    from tenure.errors import BadInput, NoSuchThing
    from tenure.store.etcd.address import read_password

    if remove:
        async with shared.opened(settings) as store:
            if not await users_of(store).remove_user(name):
                raise NoSuchThing(f'there is no user "{name}"')
        emit(settings.format, {"user": name, "roles": []}, lambda: f"{name} is removed")
        return
    if operator == bool(machine) or (applications and not machine):
        raise BadInput("what is he for?", hint="--operator, or --machine MACHINE with --application APP for each")
    if password_file is None:
        raise BadInput("a user has a password", hint="--password-file FILE")
    password = read_password(str(password_file))
    async with shared.opened(settings) as store:
        roles = await _roles(settings, store, machine, applications)
        await users_of(store).have_user(name, password, roles)
    emit(settings.format, {"user": name, "roles": roles}, lambda: f"{name}: {', '.join(roles)}")


async def _roles(
    settings: shared.Settings, store: Store, machine: str | None, applications: tuple[str, ...]
) -> list[str]:
    from tenure.cli.store.users import users_of
    from tenure.model import permissions
    from tenure.model.view import read_model

    layout, users = settings.layout, users_of(store)
    if machine is None:
        roles = {permissions.operator_role(layout): permissions.operator(layout)}
    else:
        view = await read_model(store, layout)
        roles = {
            permissions.reader_role(layout): permissions.reader(layout),
            permissions.machine_role(layout, machine): permissions.machine(layout, machine),
        }
        for name in applications:
            roles[permissions.application_role(layout, name)] = permissions.application(layout, view, name)
    for role, allowed in roles.items():
        await users.have_role(role, allowed)
    return sorted(roles)
