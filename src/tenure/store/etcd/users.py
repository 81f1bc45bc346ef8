"""etcd's users and roles: made as wanted, however often it is said. All of it takes the user root, once users are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tenure.errors import LeaseLost, StoreUnreachable, TenureError
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
        """Whether etcd asks who is there. Raises Unsure's kinds."""
        try:
            await self._call("UserList", pb.AuthUserListRequest(), pb.AuthUserListResponse)
        except TenureError as error:
            if self._client.address.user or not _asks(error):
                raise
            return True
        return bool(self._client.address.user)

    async def ask_for(self) -> None:
        """From now on etcd asks each client who it is; the user root must be there."""
        await self._call("AuthEnable", pb.AuthEnableRequest(), pb.AuthEnableResponse)

    async def roles(self, user: str) -> list[str] | None:
        """A user's roles; None when there is no such user."""
        answer = await self._call(
            "UserGet", pb.AuthUserGetRequest(name=user), pb.AuthUserGetResponse, absent="user name"
        )
        return None if answer is None else sorted(answer.roles)

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
        request = pb.AuthUserDeleteRequest(name=user)
        return await self._call("UserDelete", request, pb.AuthUserDeleteResponse, absent="user name") is not None

    async def have_role(self, role: str, permissions: Sequence[Permission]) -> None:
        """There is a role that permits this and nothing else."""
        answer = await self._call(
            "RoleGet", pb.AuthRoleGetRequest(role=role), pb.AuthRoleGetResponse, absent="role name"
        )
        if answer is None:
            await self._call("RoleAdd", pb.AuthRoleAddRequest(name=role), pb.AuthRoleAddResponse)
        wanted = {_range(permission): permission for permission in permissions}
        for had in answer.perm if answer is not None else ():
            if (had.key, had.range_end) not in wanted:
                revoke = pb.AuthRoleRevokePermissionRequest(role=role, key=had.key, range_end=had.range_end)
                await self._call("RoleRevokePermission", revoke, pb.AuthRoleRevokePermissionResponse)
        for (key, end), permission in wanted.items():
            kind = pb.Permission.Type.Value(_ACCESS[permission.access])
            grant = pb.AuthRoleGrantPermissionRequest(
                name=role, perm=pb.Permission(permType=kind, key=key, range_end=end)
            )
            await self._call("RoleGrantPermission", grant, pb.AuthRoleGrantPermissionResponse)

    async def _call(self, name: str, request: Any, response: Any, *, absent: str = "") -> Any:
        try:
            return await self._client.call(Method(f"/etcdserverpb.Auth/{name}", type(request), response), request)
        except StoreUnreachable as error:
            if absent and f"{absent} not found" in error.message:
                return None
            raise
        except LeaseLost:  # no call of these has to do with leases
            raise StoreUnreachable("etcd speaks of a lease where none was named") from None


def _range(permission: Permission) -> tuple[bytes, bytes]:
    return (permission.prefix.encode(), b"") if permission.exact else key_range(permission.prefix)


def _asks(error: TenureError) -> bool:
    return "asks who is there" in error.message or "does not permit" in error.message
