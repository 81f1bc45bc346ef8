"""Users and passwords: tokens that end, servers that forget them, and who may what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.errors import StoreDenied, Unsure
from tenure.store.api import Put
from tenure.store.etcd.store import EtcdStore, open_etcd
from tests.etcd import EtcdCluster, newest, versions
from tests.store.engines import keys, put, watching
from tests.store.etcd.engine import PATIENT_S

pytestmark = pytest.mark.slow

TOKEN_S = 1


@pytest.fixture(params=sorted({*versions()[:1], *versions()[-1:]}) or [""])
def etcd(request: pytest.FixtureRequest) -> Iterator[EtcdCluster]:
    """One that asks for users: root (root), and web (secret), who may read and write under /web/ and read /shared/."""
    with EtcdCluster(request.param or newest(), flags=[f"--auth-token-ttl={TOKEN_S}", "--bcrypt-cost=4"]) as cluster:
        cluster.ctl("user", "add", "web:secret")
        cluster.ctl("role", "add", "web")
        cluster.ctl("role", "grant-permission", "web", "readwrite", "--prefix=true", "/web/")
        cluster.ctl("role", "grant-permission", "web", "read", "--prefix=true", "/shared/")
        cluster.ctl("user", "grant-role", "web", "web")
        cluster.enable_auth()
        yield cluster


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def set_user(user: str, password: str) -> None:
        file = tmp_path / "password"
        file.write_text(password)
        file.chmod(0o600)
        monkeypatch.setenv("TENURE_STORE_USER", user)
        monkeypatch.setenv("TENURE_STORE_PASSWORD_FILE", str(file))

    return set_user


async def settled_put(store: EtcdStore, key: str) -> int:
    """Put it until that succeeds: a server that has just come back may still be electing itself."""
    for _ in range(100):
        try:
            return await put(store, key)
        except StoreDenied:
            raise
        except Unsure:
            continue
    raise AssertionError(f"{key} can't be put")


async def test_a_token_that_has_run_out_is_replaced_without_the_caller_noticing(etcd: EtcdCluster, as_user) -> None:
    as_user("web", "secret")
    store = await open_etcd(etcd.url, call_s=PATIENT_S)
    await put(store, "/web/a")
    token = store.client._token
    # A server throws out old tokens once a second, each after its time; it is asked with the same one until it has.
    async with asyncio.timeout(20):
        while store.client._token == token:
            await etcd_forgets(store)
            await put(store, "/web/a")
    assert await keys(store, "/web/") == ["/web/a"]
    await store.close()


async def etcd_forgets(store: EtcdStore) -> None:
    """Returns when the server doesn't know the store's token any more, which it must not be shown meanwhile."""
    other = await open_etcd(store.url, call_s=PATIENT_S)
    revision = (await other.read("/web/")).revision
    lease = (await other.grant(5)).lease
    await put(other, "/web/timer", lease=lease)
    async with watching(other, "/web/timer", revision) as watch:
        await watch.next()
        await watch.next()
    await other.close()


async def test_a_server_that_was_restarted_knows_no_token_and_is_told_again_who_is_there(
    etcd: EtcdCluster, as_user
) -> None:
    as_user("web", "secret")
    store = await open_etcd(etcd.url, call_s=PATIENT_S)
    revision = await put(store, "/web/a")
    lease = (await store.grant(60)).lease
    await store.renew(lease)
    async with watching(store, "/web/", revision) as watch:
        coming = asyncio.create_task(watch.next_keys())
        await asyncio.sleep(0)
        etcd.restart_all()
        await settled_put(store, "/web/b")
        assert await coming == ["/web/b"]
    await store.renew(lease)
    await store.close()


@pytest.mark.parametrize(("user", "password"), [("web", "wrong"), ("nobody", "secret")])
async def test_a_wrong_password_is_told_at_once(etcd: EtcdCluster, as_user, user: str, password: str) -> None:
    as_user(user, password)
    with pytest.raises(StoreDenied, match="does not know this user with this password") as denied:
        await open_etcd(etcd.url, call_s=PATIENT_S)
    assert password not in f"{denied.value} {denied.value.hint}"


async def test_who_says_nothing_is_asked_who_they_are(etcd: EtcdCluster) -> None:
    with pytest.raises(StoreDenied, match="asks who is there") as denied:
        store = await open_etcd(etcd.url, call_s=PATIENT_S)
        await store.read("/web/")
    assert "TENURE_STORE_USER" in str(denied.value.hint)


async def test_what_a_user_may_not_is_refused_and_what_they_may_goes_on(etcd: EtcdCluster, as_user) -> None:
    as_user("web", "secret")
    store = await open_etcd(etcd.url, call_s=PATIENT_S)
    revision = await put(store, "/web/a")
    for refused in (store.read("/other/"), store.read(""), put(store, "/shared/a"), put(store, "/other/a")):
        with pytest.raises(StoreDenied, match="not permit"):
            await refused
    with pytest.raises(StoreDenied, match="not permit"):
        await store.commit([], [Put("/web/a", b""), Put("/other/a", b"")])
    async with watching(store, "/other/", revision) as watch:
        with pytest.raises(StoreDenied, match="not permit"):
            await watch.next()
    async with watching(store, "/web/", revision) as watch:
        assert (await put(store, "/web/b")) == revision + 1
        assert await watch.next_keys() == ["/web/b"]
    assert (await store.read("/shared/")).items == {}
    await store.close()


async def test_a_user_who_is_named_where_nobody_is_asked_is_no_hindrance(as_user) -> None:
    as_user("web", "secret")
    with EtcdCluster(newest()) as etcd:
        store = await open_etcd(etcd.url, call_s=PATIENT_S)
        await put(store, "/a")
        await store.close()
