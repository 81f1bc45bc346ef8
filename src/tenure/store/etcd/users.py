"""etcd's users and roles: made as wanted, however often it is said. All of it takes the user root, once users are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tenure.errors import StoreDenied
from tenure.store.etcd.client import Client, Method
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb
from tenure.store.etcd.translation import key_range

Access = Literal["read", "write", "read and write"]

_ACCESS = {"read": "READ", "write": "WRITE", "read and write": "READWRITE"}

ROOT = "root"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """What may be done to all keys that begin with `prefix`; `exact`: to that one key."""

    prefix: str
    access: Access
    exact: bool = False


class Users:
    """The users of the etcd that a client speaks to."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def are_asked_for(self) -> bool:
        """Whether etcd asks who is there. Raises Unsure's kinds, StoreDenied among them when it does not take the answer."""
        try:
            await self.users()
        except StoreDenied:
            if self._client.address.user:
                raise
            return True
        return bool(self._client.address.user)

    async def ask_for(self) -> None:
        """From now on etcd asks each client who it is; the user root must be there."""
        await self._call("AuthEnable", pb.AuthEnableRequest(), pb.AuthEnableResponse)

    async def roles(self, user: str) -> list[str] | None:
        """A user's roles; None when there is no such user."""
        if user not in await self.users():
            return None
        return sorted((await self._call("UserGet", pb.AuthUserGetRequest(name=user), pb.AuthUserGetResponse)).roles)

    async def users(self) -> list[str]:
        """All users' names."""
        return sorted((await self._call("UserList", pb.AuthUserListRequest(), pb.AuthUserListResponse)).users)

    async def have_user(self, user: str, password: str, roles: Sequence[str]) -> None:
        """There is a user with this password, and he has these roles and no other."""
        had = await self.roles(user)
        if had is None:
            await self._call("UserAdd", pb.AuthUserAddRequest(name=user, password=password), pb.AuthUserAddResponse)
        else:
            change = pb.AuthUserChangePasswordRequest(name=user, password=password)
            await self._call("UserChangePassword", change, pb.AuthUserChangePasswordResponse)
        for role in sorted(set(roles) - set(had or ())):
            grant = pb.AuthUserGrantRoleRequest(user=user, role=role)
            await self._call("UserGrantRole", grant, pb.AuthUserGrantRoleResponse)
        for role in sorted(set(had or ()) - set(roles)):
            revoke = pb.AuthUserRevokeRoleRequest(name=user, role=role)
            await self._call("UserRevokeRole", revoke, pb.AuthUserRevokeRoleResponse)

    async def remove_user(self, user: str) -> bool:
        """There is no such user; False: there was none."""
        if user not in await self.users():
            return False
        await self._call("UserDelete", pb.AuthUserDeleteRequest(name=user), pb.AuthUserDeleteResponse)
        return True

    async def have_role(self, role: str, permissions: Sequence[Permission]) -> None:
        """There is a role that permits this and nothing else."""
        had: Sequence[Any] = ()
        if role in (await self._call("RoleList", pb.AuthRoleListRequest(), pb.AuthRoleListResponse)).roles:
            had = (await self._call("RoleGet", pb.AuthRoleGetRequest(role=role), pb.AuthRoleGetResponse)).perm
        else:
            await self._call("RoleAdd", pb.AuthRoleAddRequest(name=role), pb.AuthRoleAddResponse)
        wanted = {_range(permission): permission for permission in permissions}
        for one in had:
            if (one.key, one.range_end) not in wanted:
                revoke = pb.AuthRoleRevokePermissionRequest(role=role, key=one.key, range_end=one.range_end)
                await self._call("RoleRevokePermission", revoke, pb.AuthRoleRevokePermissionResponse)
        for (key, end), permission in wanted.items():
            kind = pb.Permission.Type.Value(_ACCESS[permission.access])
            grant = pb.AuthRoleGrantPermissionRequest(
                name=role, perm=pb.Permission(permType=kind, key=key, range_end=end)
            )
            await self._call("RoleGrantPermission", grant, pb.AuthRoleGrantPermissionResponse)

    async def _call(self, name: str, request: Any, response: Any) -> Any:
        return await self._client.call(Method(f"/etcdserverpb.Auth/{name}", type(request), response), request)


def _range(permission: Permission) -> tuple[bytes, bytes]:
    return (permission.prefix.encode(), b"") if permission.exact else key_range(permission.prefix)
