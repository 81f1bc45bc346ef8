"""tenure store init: have etcd ask who is there, and make the roles that a model needs.

Exits 0; 2 when the store isn't etcd, or the root user's password isn't given where it is needed; 3.
"""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli import shared
from tenure.cli.output import emit


@shared.command(prints=True)
@click.option(
    "--root-password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The password of etcd's user root, who is made if he isn't there; where etcd asks nobody yet.",
)
async def command(settings: shared.Settings, root_password_file: Path | None) -> None:
    """Have etcd ask who is there, and make the roles that a model needs: its operator's and its readers'.

    `tenure store user` makes the users. Where etcd asks already, say who you are: TENURE_STORE_USER=root and
    TENURE_STORE_PASSWORD_FILE. It may be done again at any time.

    \b
    Examples:
      tenure store init --root-password-file root.pw
      TENURE_STORE_USER=root TENURE_STORE_PASSWORD_FILE=root.pw tenure --model other store init
    """
    from tenure.cli.store.users import users_of
    from tenure.errors import BadInput
    from tenure.model import permissions
    from tenure.store.etcd.address import read_password
    from tenure.store.etcd.users import ROOT

    layout = settings.layout
    async with shared.opened(settings) as store:
        users = users_of(store)
        asked = await users.are_asked_for()
        if not asked and root_password_file is None:
            raise BadInput(
                "etcd asks nobody who they are yet; nothing was changed",
                hint="--root-password-file names the file with the password that the user root is to have",
            )
        roles = {
            permissions.operator_role(layout): permissions.operator(layout),
            permissions.reader_role(layout): permissions.reader(layout),
        }
        for role, allowed in roles.items():
            await users.have_role(role, allowed)
        if not asked and root_password_file is not None:
            await users.have_role(ROOT, [])
            await users.have_user(ROOT, read_password(str(root_password_file)), [ROOT])
            await users.ask_for()
    emit(
        settings.format,
        {"asks": True, "roles": sorted(roles)},
        lambda: f"etcd asks who is there; roles: {', '.join(sorted(roles))}",
    )
