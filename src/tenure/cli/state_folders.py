"""Where agents of this user have kept their state on this host: the default places, and links to those named by --state-dir."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tenure.cli import shared

_LINKS = "state-folders"


def note(folder: Path) -> None:
    """Remember that an agent keeps its state in `folder`, so that its log is found when it is gone. Where that can't be, it isn't."""
    if folder.parent == shared.state_home() / "machines":
        return
    links = shared.state_home() / _LINKS
    link = links / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    with contextlib.suppress(OSError):
        links.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.symlink_to(folder)


def known() -> Iterator[Path]:
    """Each that is still there. A link to one that isn't is removed."""
    yield from (shared.state_home() / "machines").glob("*/")
    for link in (shared.state_home() / _LINKS).glob("*"):
        if link.is_dir():
            yield link.resolve()
        else:
            with contextlib.suppress(OSError):
                link.unlink()
