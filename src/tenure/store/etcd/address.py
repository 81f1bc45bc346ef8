"""Where an etcd is and how it is spoken to: `etcd://h1:2379,h2:2379/`, and what the environment says of TLS and users.

| variable | what it names |
|---|---|
| `TENURE_STORE_CA` | a file with the certificates of who may vouch for the servers; that it is set turns TLS on |
| `TENURE_STORE_CERT`, `TENURE_STORE_KEY` | this client's certificate and its key, for servers that ask for one |
| `TENURE_STORE_USER`, `TENURE_STORE_PASSWORD_FILE` | a user of etcd's, and the file with its password |
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tenure.errors import BadInput

PORT = 2379
FORM = "etcd://host:2379,other:2379/"


@dataclass(frozen=True, slots=True)
class Tls:
    """Contents of files in PEM form."""

    authorities: bytes
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """All that is needed to open connections. `endpoints`: `host:port` each."""

    endpoints: tuple[str, ...]
    tls: Tls | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """What can be shown: nothing secret is ever in it."""
        return f"etcd://{','.join(self.endpoints)}/"


def parse(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """What `url` and the environment say. Raises BadInput for what can't be, naming it; a password's text is never shown."""
    env = os.environ if environment is None else environment
    rest = url.partition("://")[2]
    if "@" in rest.partition("/")[0]:
        raise BadInput(
            "a user or password does not belong into the store's URL",
            hint="TENURE_STORE_USER and TENURE_STORE_PASSWORD_FILE name them",
        )
    hosts, _, path = rest.partition("/")
    if path or "?" in hosts or "#" in hosts:
        raise BadInput(f'"{url}" has more than hosts in it', hint=FORM)
    endpoints = tuple(_endpoint(part.strip(), url) for part in hosts.split(","))
    if len(set(endpoints)) < len(endpoints):
        raise BadInput(f'"{url}" names a host twice', hint=FORM)
    user = env.get("TENURE_STORE_USER", "")
    password_file = env.get("TENURE_STORE_PASSWORD_FILE", "")
    if bool(user) != bool(password_file):
        raise BadInput("TENURE_STORE_USER and TENURE_STORE_PASSWORD_FILE belong together", hint="set both, or neither")
    password = read_password(password_file) if password_file else ""
    return Address(endpoints, _tls(env), user, password)


def _endpoint(text: str, url: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.path or any(char.isspace() for char in text):
        raise BadInput(f'"{text}" in "{url}" is not a host and port', hint=FORM)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tls(env: Mapping[str, str]) -> Tls | None:
    authorities, certificate, key = (env.get(f"TENURE_STORE_{name}", "") for name in ("CA", "CERT", "KEY"))
    if bool(certificate) != bool(key):
        raise BadInput("TENURE_STORE_CERT and TENURE_STORE_KEY belong together", hint="set both, or neither")
    if not authorities:
        if certificate:
            raise BadInput("TENURE_STORE_CERT is set, TENURE_STORE_CA isn't", hint="it turns TLS on")
        return None
    tls = Tls(
        _pem("TENURE_STORE_CA", authorities, b"CERTIFICATE"),
        _pem("TENURE_STORE_CERT", certificate, b"CERTIFICATE") if certificate else None,
        _pem("TENURE_STORE_KEY", key, b"PRIVATE KEY") if key else None,
    )
    _check_tls(authorities, certificate, key)
    return tls


def _check_tls(authorities: str, certificate: str, key: str) -> None:
    """gRPC says of files that won't do only that no connection can be made; so they are tried here first."""
    import ssl  # costs 10 ms, which who has no TLS need not wait for

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(authorities)
    except (ssl.SSLError, OSError):
        raise BadInput(f"TENURE_STORE_CA: {authorities} holds no certificate that can be read") from None
    if certificate:
        try:
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (ssl.SSLError, OSError):
            raise BadInput(
                f"TENURE_STORE_CERT: {certificate} does not fit TENURE_STORE_KEY: {key}",
                hint="a key without a password is wanted, and the certificate that was made for it",
            ) from None


def _pem(name: str, path: str, what: bytes) -> bytes:
    content = _read(name, path)
    if b"-----BEGIN" not in content or what not in content:
        raise BadInput(f"{name}: {path} holds no {what.decode().lower()} in PEM form")
    return content


def read_password(path: str) -> str:
    """The password that a file holds. Raises BadInput: it can't be read, others can read it, it holds none."""
    content = _read("TENURE_STORE_PASSWORD_FILE", path)
    if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IRGRP):
        raise BadInput(f"{path} can be read by every user of this host", hint=f"chmod 600 {path}")
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise BadInput(f"TENURE_STORE_PASSWORD_FILE: {path} holds no password")
    return text


def _read(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadInput(f"{name}: {path} can't be read: {error.strerror}") from None
