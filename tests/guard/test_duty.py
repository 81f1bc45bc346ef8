"""What a candidate is told of its terms' guards: that nothing is left never while a guard of that term is there."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenure.clock import NS_PER_S, KernelClock
from tenure.guard import duty as duties
from tenure.guard.duty import Duty
from tenure.guard.spec import Spec
from tests.waiting import until_async

TERM = 7


class Owner:
    """Has a sleep guarded; `room` says whether the host has room for a guard's process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.room = True
        self.failed = 0
        self.started = 0

    def spec(self, term: int, until: Any, link: int, second: bool) -> Spec:
        self.started += 1
        return Spec(
            term=term,
            office="web/job",
            until=(until.boot_ns, until.raw_ns),
            guarantee_ns=NS_PER_S,
            stop_ns=NS_PER_S,
            margin_ns=NS_PER_S // 2,
            command=["/bin/sleep", "1000"],
            link=link,
            listen=str(self.folder / "guard.sock"),
            waits=True,
        )

    def environment(self, term: int) -> dict[str, str]:
        return {"PATH": os.environ["PATH"]}

    def output(self, term: int) -> int | None:
        if not self.room:
            raise OSError(12, "no room")
        return os.open(os.devnull, os.O_RDWR)

    def may_begin(self, term: int) -> None:
        pass

    def work_ended(self, term: int, status: int) -> bool:
        return False

    def said(self, term: int, word: str, rest: str) -> None:
        pass

    def guard_failed(self, term: int, error: OSError) -> None:
        self.failed += 1

    async def none_left(self) -> None:
        pass


class Told:
    """Stands for the candidate, and keeps what it is told."""

    def __init__(self) -> None:
        self.until = KernelClock().now().after(30 * NS_PER_S)
        self.session = SimpleNamespace(sure_until=self.until)
        self.acknowledged: list[int] = []
        self.guard_is_gone: list[int] = []
        self.work_is_gone: list[int] = []

    def guard_acknowledged(self, term: int, until: Any) -> None:
        self.acknowledged.append(term)

    def guard_gone(self, term: int) -> None:
        self.guard_is_gone.append(term)

    def work_gone(self, term: int) -> None:
        self.work_is_gone.append(term)


def made(folder: Path) -> tuple[Duty, Owner, Told]:
    owner, told = Owner(folder), Told()
    duty = Duty(owner)
    duty.bind(cast(Any, told))
    return duty, owner, told


async def test_a_term_for_which_no_guard_could_be_started_gets_none_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "TRIES_EVERY_S", 0.1)
    duty, owner, told = made(tmp_path)
    owner.room = False
    duty.arm(TERM, told.until)
    owner.room = True
    duty.arm(TERM, told.until)  # the lease was renewed meanwhile
    await until_async(lambda: told.work_is_gone)
    assert (owner.failed, owner.started, told.guard_is_gone) == (1, 0, [TERM])
    duty.arm(TERM + 1, told.until)
    await until_async(lambda: told.acknowledged)
    duty.kill()
    await duty.until_idle()


async def test_a_guard_that_is_found_says_itself_which_term_it_guards(tmp_path: Path) -> None:
    duty, _, told = made(tmp_path)
    duty.arm(TERM, told.until)
    await until_async(lambda: told.acknowledged)
    successor, _, heard = made(tmp_path)
    assert successor.find(TERM - 3, str(tmp_path / "guard.sock")) == TERM
    await until_async(lambda: heard.acknowledged)
    assert heard.acknowledged == [TERM]
    successor.kill()
    await successor.until_idle()
    assert heard.work_is_gone == [TERM]
    assert not successor.find(TERM, str(tmp_path / "guard.sock"))
    duty.kill()
