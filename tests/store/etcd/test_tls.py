"""TLS: whom to believe, for which host, and a certificate of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tenure.errors import BadInput, StoreUnreachable
from tenure.store.etcd.store import open_etcd
from tests.etcd import EtcdCluster, newest
from tests.store.engines import put

pytestmark = pytest.mark.slow


class Authority:
    """Who vouches for hosts and clients, and the files that say so."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def vouches_for(self, name: str) -> tuple[Path, Path]:
        """A certificate for `name` and its key."""
        made = self._ca.issue_cert(name, common_name=name)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        made.cert_chain_pems[0].write_to_path(certificate)
        made.private_key_pem.write_to_path(key)
        return certificate, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def test_the_named_authority_is_believed_and_no_other(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EtcdCluster(newest(), client_tls=(*authority.vouches_for("127.0.0.1"), None)) as etcd:
        monkeypatch.setenv("TENURE_STORE_CA", str(authority.file))
        store = await open_etcd(etcd.url)
        await put(store, "/a")
        await store.close()
        monkeypatch.setenv("TENURE_STORE_CA", str(Authority(tmp_path / "other").file))
        with pytest.raises(StoreUnreachable, match="certificate isn't vouched for by TENURE_STORE_CA"):
            await open_etcd(etcd.url)
        monkeypatch.delenv("TENURE_STORE_CA")
        with pytest.raises(StoreUnreachable) as plain:
            await open_etcd(etcd.url)
        assert "TLS" in str(plain.value.hint)


async def test_a_certificate_of_another_host_is_told(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_STORE_CA", str(authority.file))
    with (
        EtcdCluster(newest(), client_tls=(*authority.vouches_for("elsewhere.example"), None)) as etcd,
        pytest.raises(StoreUnreachable, match="its certificate is of another host"),
    ):
        await open_etcd(etcd.url)


async def test_a_server_that_asks_for_a_certificate_takes_ours_and_nobody_without_one(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_STORE_CA", str(authority.file))
    with EtcdCluster(newest(), client_tls=(*authority.vouches_for("127.0.0.1"), authority.file)) as etcd:
        with pytest.raises(StoreUnreachable, match=r"client's certificate|connection broke"):
            await open_etcd(etcd.url)
        certificate, key = authority.vouches_for("client.example")
        monkeypatch.setenv("TENURE_STORE_CERT", str(certificate))
        monkeypatch.setenv("TENURE_STORE_KEY", str(key))
        store = await open_etcd(etcd.url)
        await put(store, "/a")
        await store.close()


async def test_files_that_do_not_fit_each_other_are_bad_input(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, _ = authority.vouches_for("one.example")
    _, key = authority.vouches_for("other.example")
    monkeypatch.setenv("TENURE_STORE_CA", str(authority.file))
    monkeypatch.setenv("TENURE_STORE_CERT", str(certificate))
    monkeypatch.setenv("TENURE_STORE_KEY", str(key))
    with pytest.raises(BadInput, match=r"TENURE_STORE_CERT.*TENURE_STORE_KEY"):
        await open_etcd("etcd://127.0.0.1:1/")
