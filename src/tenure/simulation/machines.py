"""Which machines the simulation drives: production's, or ones with a bug planted in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenure.defaults import DRIFT
from tenure.office.candidacy import Candidacy
from tenure.office.session import Session
from tenure.simulation.clocks import HostClock


@dataclass(frozen=True, slots=True)
class Machines:
    """What is driven. The flags are rules of the drivers and tools, which a planted bug switches off."""

    session: Any = Session
    candidacy: Any = Candidacy
    clock: type[HostClock] = HostClock
    fenced: bool = True
    """Writes made as leader compare the term."""
    compared: bool = True
    """They compare the key's own mod revision, too."""
    bound_asks: bool = True
    """A hook is bound to the term of its first True: in any other it is told False."""
    bound_writes: bool = True
    """What it writes as leader is fenced by that term, not by the one that the unit is in by now."""
    checked_print: bool = True
    """A tool reads its clocks as it prints."""
    closes_streams: bool = True
    """What comes from a stream that was closed is void."""
    durable_endings: bool = True
    """A verdict is on disk before what follows from it."""
    vouches_for_folder: bool = True
    """Beside the folder is said which state is the newest: an older one is as good as none."""
    revokes_at_start: bool = False
    """A restarted agent ends its forerunner's lease and takes a new one."""
    counts_orphans: bool = True
    """A hook that leaves children behind is owed in full."""
    waits_to_leave: bool = True
    """A lease is revoked only when all of its candidacies have left."""
    scope_outlasts: bool = True
    """An end on purpose waits for what runs on the term."""
    drift: float = DRIFT
    """What the timing allows for."""
    deposes_at: float = 0.95
    """At which part of the guarantee a guard begins to end its term: a little later than the agent would see to it."""
    waits_out: bool = True
    """Where leases may end early, an unclean term is waited out."""


PRODUCTION = Machines()
