"""Settings that each unit acknowledges: published by the leader, applied by everybody, and the leader can wait for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tenure.errors import BadInput, TimedOut
from tenure.howto.acknowledged import (
    SETTINGS_ACKNOWLEDGED,
    SETTINGS_PUBLISHED,
    SETTINGS_VERSION,
    Missing,
    RollOut,
    roll_out,
)
from tenure.model.view import ModelView
from tenure.model.walltime import now_text

if TYPE_CHECKING:
    from tenure.api.unit import Unit


class Acknowledgements:
    """The roll-out of an application's settings, as one of its units has part in it: `unit.acknowledgements`.

    The same as `tenure.charm.AcknowledgedSettings`, with the same keys: charms and programs understand each other, and
    `tenure settings APP --acknowledged` shows both.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._publishing = asyncio.Lock()

    @property
    def version(self) -> int:
        """The version that is published, as the newest snapshot shows; 0: none yet."""
        return _number(self._unit.settings.get(SETTINGS_VERSION))

    @property
    def settings(self) -> dict[str, str]:
        """The leader settings without the two that are the roll-out's own."""
        own = (SETTINGS_VERSION, SETTINGS_PUBLISHED)
        return {name: value for name, value in self._unit.settings.items() if name not in own}

    @property
    def missing(self) -> list[Missing]:
        """The members that haven't acknowledged the published version, by number, each with a word on why.

        Of the units that are members now. None: everyone has, or nothing is published.
        """
        found = self._roll_out(self._unit.connection.workings.view())
        return list(found.missing) if found is not None else []

    async def publish(self, changes: Mapping[str, str]) -> int:
        """Change leader settings as one new version of all of them; its number. What is so already makes no new version.

        Promises, cancelling: as `Unit.write_settings`. Raises: NotLeader: nothing is written. BadInput: one of the two
            names that are the roll-out's own, and what `write_settings` raises it for. Unsure: it may have landed.
        """
        if taken := sorted({SETTINGS_VERSION, SETTINGS_PUBLISHED} & changes.keys()):
            raise BadInput(f"{taken[0]} is a name of the roll-out's own", hint="give the setting another name")
        unit = self._unit
        async with self._publishing:
            term = unit._term(None)
            # What it counts on from is no older than its own term, in which nobody else writes.
            await unit.connection.workings.seen(term)
            version = self.version
            if version and all(unit.settings.get(name, "") == value for name, value in changes.items()):
                return version
            own = {SETTINGS_VERSION: str(version + 1), SETTINGS_PUBLISHED: now_text()}
            await unit.write_settings({**changes, **own}, term=term)
            return version + 1

    async def acknowledge(self, version: int) -> None:
        """Say that this unit has applied `version`. Promises, times and cancelling: as `Unit.write_databag`.

        Raises: BadInput for a version that was never published, or without a peer relation. NoSuchThing when the unit has left.
        """
        published = self.version
        if not 1 <= version <= published:
            raise BadInput(f"version {version} was never published", hint=f"the newest is {published}")
        await self._unit.write_databag({SETTINGS_ACKNOWLEDGED: str(version)})

    async def everyone(self, timeout_s: float | None = None) -> None:
        """Return once every member has acknowledged the version that is published then.

        Promises: it counts the units that are members at that instant: who joins meanwhile is waited for, who has left
        is not. Times: waits for `timeout_s` seconds, without end if None. Cancelling: at any time.
        Raises: TimedOut, which says who is missing and why. StoreUnreachable when the connection is closed.
        """
        workings = self._unit.connection.workings
        layout = workings.layout

        def done() -> bool:
            found = self._roll_out(ModelView(workings.snapshot, layout))
            return found is not None and not found.missing

        try:
            await workings.times.by(workings.times.limit(timeout_s), workings.mirror.wait_until(lambda _: done()))
        except TimeoutError:
            found = self._roll_out(workings.view())
            raise TimedOut(found.sentence if found is not None else "no settings were published") from None

    def _roll_out(self, view: ModelView) -> RollOut | None:
        application = self._unit.application
        return roll_out(view, application) if application in view.applications else None


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
