"""What etcd's and gRPC's errors mean for a caller: whether anything may have happened, and what a person is told.

The texts are those of etcd's `rpctypes/error.go`; a server before 3.5 gives some of them other codes, so texts decide.
"""

from __future__ import annotations

import re

from tenure.errors import BadInput, LeaseLost, StoreBroken, StoreDenied, StoreUnreachable, StoreUnsure
from tenure.store.checks import WRITES_MAX
from tenure.store.etcd.grpc_quietly import grpc


class NewToken(Exception):
    """The token isn't known to this server, or not any more (it has expired, or the server was restarted): nothing has happened.

    `refusal`: what it means when a new token is no better.
    """

    def __init__(self, refusal: StoreDenied | None = None) -> None:
        super().__init__("it asks anew who is there")
        self.refusal = refusal or nobody()


class Elsewhere(Exception):
    """This member couldn't take the call, another one may: nothing has happened. `says`: the reason, for a message.

    `waits`: the member itself is well, and waits for the others to elect a leader.
    """

    def __init__(self, says: str, *, waits: bool = False) -> None:
        super().__init__(says)
        self.says = says
        self.waits = waits


class Silent(StoreUnreachable):
    """No endpoint has answered within the deadline."""


class Forgotten(Exception):
    """The revision that was asked for is compacted away."""


class ToCome(Exception):
    """The revision that was asked for doesn't exist yet."""


_TOKEN = ("invalid auth token", "revision of auth store is old", "auth token is not provided", "user name is empty")
_NO_LEADER = ("no leader", "proposal dropped")
_NOT_TAKEN = (
    *_NO_LEADER,
    "not capable",
    "too many requests",
    "rpc not supported for learner",
    "failed to connect to all",
)
_REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED)
_LOST = ("requested lease not found",)


def fault(error: grpc.aio.AioRpcError, endpoint: str, *, writes: bool) -> Exception:
    """What a failed call means. `writes`: it may have changed something if it arrived."""
    code, says = error.code(), error.details() or ""
    own = says.startswith(("etcdserver: ", "auth: "))
    text = says.partition(": ")[2] if own else says
    known = _known(text, code)
    if known is not None:
        return known
    if any(part in text for part in _NOT_TAKEN):
        says = f"{endpoint} says: {text}" if own else f"{endpoint}: {shortened(text)}"
        return Elsewhere(says, waits=any(part in text for part in _NO_LEADER))
    if code in _REFUSED:
        return StoreBroken(f"etcd does not take this call: {shortened(text)}", hint="nothing was changed")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED or "timed out" in text:
        says = f"{endpoint} did not answer in time" if not own else f"{endpoint} says: {text}"
    elif code == grpc.StatusCode.UNAVAILABLE:
        says = f"{endpoint}: {shortened(text)}"
    else:
        says = f"{endpoint}: {code.name.lower()}: {shortened(text)}"
    if writes:
        return StoreUnsure(f"the commit's end is not known: {says}")
    return Elsewhere(says)


def _known(text: str, code: grpc.StatusCode) -> Exception | None:
    if any(part in text for part in _TOKEN):
        return NewToken()
    if any(part in text for part in _LOST):
        return LeaseLost()
    if "required revision has been compacted" in text:
        return Forgotten()
    if "required revision is a future revision" in text:
        return ToCome()
    if "authentication failed" in text:
        return StoreDenied(
            "etcd does not know this user with this password",
            hint="look at TENURE_STORE_USER and the file that TENURE_STORE_PASSWORD_FILE names",
        )
    if "user name not found" in text:
        return nobody()
    if "permission denied" in text:
        return not_permitted()
    if "database space exceeded" in text or "no space" in text:
        return StoreBroken(
            "etcd is out of space (its NOSPACE alarm is on): it takes no writes",
            hint="compact and defragment it, or raise its quota; then `etcdctl alarm disarm`. `tenure doctor` shows how full it is",
        )
    if "request is too large" in text or "larger than max" in text:
        return BadInput(
            "that is more than etcd takes in one request; nothing was changed",
            hint="its --max-request-bytes says how much; 1.5 MB if nobody has set it",
        )
    if "too many operations in txn" in text:
        return BadInput(
            "a transaction of more parts than etcd takes; nothing was changed",
            hint=f"its --max-txn-ops must be {WRITES_MAX} at the least, as it is if nobody has set it",
        )
    if "corrupt" in text and code != grpc.StatusCode.UNAVAILABLE:
        return StoreBroken(f"etcd says that its data are damaged: {text}", hint="replace the member that is")
    return None


def nobody() -> StoreDenied:
    """etcd wants a user, and takes none that we name."""
    return StoreDenied(
        "etcd asks who is there, and does not accept the answer",
        hint="set TENURE_STORE_USER and TENURE_STORE_PASSWORD_FILE, or a client certificate",
    )


def not_permitted(what: str = "this") -> StoreDenied:
    """The user is known and may not."""
    return StoreDenied(
        f"etcd does not permit {what} to the user; nothing was changed", hint="`tenure store init` makes users that may"
    )


def unreachable(reasons: dict[str, str]) -> StoreUnreachable:
    """Nothing could be done at any endpoint; `reasons` by endpoint."""
    said = "; ".join(says if name in says else f"{name}: {says}" for name, says in reasons.items())
    if any(" says: " in says for says in reasons.values()):
        return StoreUnreachable(
            f"etcd has no quorum: {said}", hint="more than half of its members must run and reach each other"
        )
    if "certificate" in said or "TLS" in said:
        hint = "TENURE_STORE_CA must name who vouches for these very hosts"
    elif all("did not answer in time" in says for says in reasons.values()):
        return Silent(
            f"etcd does not answer: {'; '.join(reasons.values())}", hint="is it stopped, or the way to it cut?"
        )
    else:
        hint = "does etcd run there, and with TLS or without as TENURE_STORE_CA says?"
    return StoreUnreachable(f"no endpoint of etcd answers: {said}", hint=hint)


def shortened(details: str) -> str:
    """gRPC's long texts, less what tells a person nothing."""
    for pattern, says in (
        (
            r"(?i)certificate verify failed|CERTIFICATE_VERIFY_FAILED",
            "its certificate isn't vouched for by TENURE_STORE_CA",
        ),
        (r"(?i)hostname verification|peer name .* is not in peer certificate", "its certificate is of another host"),
        (
            r"(?i)\bssl|\btls|\btsi_",
            "no TLS connection can be made: does it speak TLS, and want a client's certificate?",
        ),
        (r"(?i)connection refused", "connection refused"),
        (r"(?i)connection reset|socket closed|broken pipe|GOAWAY", "the connection broke"),
        (r"(?i)name resolution|dns|errors resolving|lookup failed", "the host's name can't be resolved"),
        (r"(?i)no route to host", "no route to host"),
        (r"(?i)timed? ?out|deadline", "no answer in time"),
    ):
        if re.search(pattern, details):
            return says
    return " ".join(details.split())[:200]
