"""What every test has: Hypothesis's profiles, and the repository's folders."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What a shell starts in the background, or nohup, ignores Ctrl-C or a hang-up, and so would all that a test starts and
# signals. A handler, even one that does nothing, isn't inherited: we go on ignoring it, and our children don't.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

_STATES = itertools.count()

ROOT = Path(__file__).resolve().parent.parent

# One run is like the next: a failure that Hypothesis finds is found again by the same command.
settings.register_profile("tenure", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", parent=settings.get_profile("tenure"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tenure"))


@pytest.fixture
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the state of whoever runs it."""
    for name in [name for name in os.environ if name.startswith(("TENURE_", "JUJU_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_STATES)}"))
