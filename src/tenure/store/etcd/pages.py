"""What a member tells over HTTP, on the port of its clients: to whoever asks, also where its API asks who is there."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from urllib.parse import urlsplit

WITHIN_S = 2.0


def connect(url: str) -> http.client.HTTPConnection:
    """A connection to the member at a client URL of its, with TLS as the environment says. Raises OSError, ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WITHIN_S)
    context = ssl.create_default_context(cafile=os.environ.get("TENURE_STORE_CA"))
    if certificate := os.environ.get("TENURE_STORE_CERT"):
        context.load_cert_chain(certificate, os.environ.get("TENURE_STORE_KEY"))
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=WITHIN_S, context=context)


def get(url: str, path: str) -> bytes | None:
    """A page; None where it isn't to be had. Blocks for `WITHIN_S` at most."""
    try:
        connection = connect(url)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == http.HTTPStatus.OK else None
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None


def version(url: str) -> str | None:
    """The member's version; None where it doesn't say. Blocks likewise."""
    try:
        said = json.loads(get(url, "/version") or b"{}").get("etcdserver")
    except (ValueError, AttributeError):
        return None
    return said if isinstance(said, str) else None
