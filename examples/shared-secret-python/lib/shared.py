"""What all hooks of this charm have in common."""

import hashlib
import secrets

import charm


def create_settings():
    return {"secret": secrets.token_hex(charm.config_get("bytes"))}


def valid_settings(settings):
    return bool(settings.get("secret"))


shared = charm.SharedSettings(create=create_settings, valid=valid_settings)


@charm.waiting_for_leader()
def hook(may_create):
    """Make the secret if that is ours to do, then show its fingerprint, or that we wait for it."""
    if may_create and shared.set():
        charm.log("made the secret")
    secret = shared.get()["secret"]
    charm.status_set("active", "secret " + hashlib.sha256(secret.encode()).hexdigest()[:12])
