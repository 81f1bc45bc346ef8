"""URLs and the environment: what can't be is told in one line, and a password is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.errors import BadInput
from tenure.store import open_store
from tenure.store.etcd.address import parse


def test_a_host_without_a_port_has_etcds() -> None:
    assert parse("etcd://a,b:4001,[::1]:99/", {}).endpoints == ("a:2379", "b:4001", "[::1]:99")
    assert parse("etcd://a", {}).url == "etcd://a:2379/"


@pytest.mark.parametrize(
    "url",
    ["etcd://", "etcd:///", "etcd://a,,b/", "etcd://a:port/", "etcd://a:99999/", "etcd://a/path", "etcd://a,a:2379/"],
)
def test_a_url_with_a_mistake_is_bad_input(url: str) -> None:
    with pytest.raises(BadInput, match=r"etcd:|host"):
        parse(url, {})


async def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput) as refused:
        await open_store("etcd://user:hunter2@a:2379/")
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"
    assert "TENURE_STORE_PASSWORD_FILE" in str(refused.value.hint)


def test_a_password_is_read_from_its_file_without_its_end_of_line_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    file.chmod(0o600)
    address = parse("etcd://a/", {"TENURE_STORE_USER": "u", "TENURE_STORE_PASSWORD_FILE": str(file)})
    assert (address.user, address.password) == ("u", "hunter2")
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize(("content", "mode"), [(b"", 0o600), (b"\xff\n", 0o600), (b"x", 0o644)], ids=repr)
def test_a_password_file_that_will_not_do_is_named(tmp_path: Path, content: bytes, mode: int) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(BadInput, match=str(file)):
        parse("etcd://a/", {"TENURE_STORE_USER": "u", "TENURE_STORE_PASSWORD_FILE": str(file)})


@pytest.mark.parametrize(
    "environment",
    [
        {"TENURE_STORE_USER": "u"},
        {"TENURE_STORE_PASSWORD_FILE": "/none"},
        {"TENURE_STORE_CERT": "/none", "TENURE_STORE_CA": "/none"},
        {"TENURE_STORE_CERT": "/none", "TENURE_STORE_KEY": "/none"},
        {"TENURE_STORE_CA": "/none"},
        {"TENURE_STORE_CA": "/etc/hostname"},
    ],
    ids=lambda environment: ",".join(environment),
)
def test_variables_that_belong_together_or_name_no_such_file_are_told(environment: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="TENURE_STORE_"):
        parse("etcd://a/", environment)
