"""Tenure for programs that are no charms: connect, join, hold, and read and write what units share.

    async with tenure.connect("sqlite:////var/lib/shop/tenure.db", model="shop") as connection:
        async with connection.office("cron").hold() as term:
            await work()                      # nobody else does; cancelled before that could change

All of it is asyncio; `tenure.blocking` is the same for threads. Every length is in seconds of this host's clocks that go
on while it sleeps (`CLOCK_BOOTTIME`, and `CLOCK_MONOTONIC_RAW` beside it, whichever says that more has passed); no wall clock
takes part. Times with a date are text for people.
"""

from tenure.api.acknowledgements import Acknowledgements
from tenure.api.connection import Connection, connect
from tenure.api.office import Holding, Office, PastTerm, Term
from tenure.api.settings import Settings
from tenure.api.unit import Unit, UnitTerm

__all__ = [
    "Acknowledgements",
    "Connection",
    "Holding",
    "Office",
    "PastTerm",
    "Settings",
    "Term",
    "Unit",
    "UnitTerm",
    "connect",
]
