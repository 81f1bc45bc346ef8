"""Leases that stand before others in etcd's queue: python leases.py COUNT TTL_S HOST:PORT… Keeps them over the JSON gateway.

The standard library alone. Says "kept" when all are there, and goes on until it is killed.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import threading
from typing import Any

RENEW_EVERY_S = 0.5


def keep(number: int, ttl_s: int, endpoints: list[str]) -> None:
    """Renew one over all endpoints in turn; a lost one is followed by another."""
    turn = itertools.islice(itertools.cycle(endpoints), number % len(endpoints), None)
    lease = None
    while True:
        try:
            if lease is None:
                lease = call(next(turn), "lease/grant", {"TTL": ttl_s})["ID"]
                granted.release()
            elif int(call(next(turn), "lease/keepalive", {"ID": lease})["result"].get("TTL", 0)) <= 0:
                lease = None
        except (OSError, http.client.HTTPException, KeyError, ValueError):
            pass  # a member that doesn't answer: the next one is asked
        pause.wait(RENEW_EVERY_S)


def call(endpoint: str, what: str, body: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(endpoint, timeout=1)
    try:
        connection.request("POST", f"/v3/{what}", json.dumps(body))
        answer: dict[str, Any] = json.loads(connection.getresponse().read().partition(b"\n")[0])
        return answer
    finally:
        connection.close()


granted = threading.Semaphore(0)
pause = threading.Event()

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        threading.Thread(target=keep, args=(number, int(sys.argv[2]), sys.argv[3:])).start()
    for _ in range(int(sys.argv[1])):
        granted.acquire()
    print("kept", flush=True)
