"""A holder without a guard, as one would write it: python -m tests.soak.naive STORE LEASE_S OFFICE COMMAND…

Its command ends when its term does, as long as this process is there to see to it. The soak must find it out.
"""

from __future__ import annotations

import asyncio
import os
import sys

import tenure
from tenure.errors import NotLeader


async def main() -> None:
    store, lease_s, office, *command = sys.argv[1:]
    async with tenure.connect(store) as connection:
        while True:
            try:
                async with connection.office(office, lease_s=int(lease_s)).hold() as term:
                    process = await asyncio.create_subprocess_exec(
                        *command, env={**os.environ, "TENURE_TERM": str(term.number), "TENURE_OFFICE": office}
                    )
                    try:
                        await process.wait()
                    finally:
                        if process.returncode is None:
                            process.kill()
                        await process.wait()
            except NotLeader:
                continue


asyncio.run(main())
