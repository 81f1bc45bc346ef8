"""Leases of etcd kept alive over its JSON gateway, without any of Tenure's code, to see which of them end before their time."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.etcd import Member

RENEW_EVERY_S = 0.25


class KeptLease:
    """One lease with a key on it, renewed by a thread over all members in turn until it is gone."""

    def __init__(self, members: Sequence[Member], name: str, ttl_s: int) -> None:
        self.ttl_s = ttl_s
        self._members = itertools.cycle(members)
        self.id = call(members[0], "lease/grant", {"TTL": ttl_s})["ID"]
        key = {"key": base64.b64encode(name.encode()).decode(), "lease": self.id}
        call(members[0], "kv/put", key)
        self.renewed = time.monotonic()
        """When the request left whose answer said last that it lives on."""
        self.gone: float | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    @property
    def early_s(self) -> float:
        """By how much it ended before its time; 0 when it lives, or ended when it may."""
        return max(0.0, self.renewed + self.ttl_s - self.gone) if self.gone is not None else 0.0

    def end(self) -> None:
        """Renew no more."""
        self._end.set()
        self._thread.join(10)

    def _keep(self) -> None:
        while not self._end.wait(RENEW_EVERY_S):
            sent = time.monotonic()
            try:
                ttl = int(call(next(self._members), "lease/keepalive", {"ID": self.id})["result"].get("TTL", 0))
            except (OSError, http.client.HTTPException, KeyError):
                continue
            if ttl <= 0:
                self.gone = time.monotonic()
                return
            self.renewed = sent


def call(member: Member, what: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request. Raises OSError, HTTPException or KeyError when there is no good answer within a second."""
    connection = http.client.HTTPConnection(member.host, member.client_port, timeout=1)
    try:
        connection.request("POST", f"/v3/{what}", json.dumps(body))
        answer: dict[str, Any] = json.loads(connection.getresponse().read().partition(b"\n")[0] or b"{}")
        return answer
    finally:
        connection.close()
