"""How a hook's file is found and run: exactly as Juju does it, with real processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure.agent.environment import Surroundings, hook_environment
from tenure.agent.hook import Hook
from tenure.agent.hooks import Ended, HookCannotRun, HookProcess, find_hook
from tenure.agent.processes import Processes, end_what_is_left, started_ticks
from tenure.defaults import HOOK_OUTPUT_MAX
from tests.waiting import until, until_async

CONTEXT = "web/0-config-changed-0123"


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    processes = Processes()
    processes.start()
    yield processes
    processes.close()


@pytest.fixture
def charm(tmp_path: Path) -> Path:
    charm = tmp_path / "charm"
    (charm / "hooks").mkdir(parents=True)
    (charm / "metadata.yaml").write_text("name: web\n")
    return charm


def write_hook(charm: Path, script: str, name: str = "hooks/config-changed", mode: int = 0o755) -> Path:
    path = charm / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


async def run(processes: Processes, charm: Path, path: Path, context_id: str = CONTEXT) -> Ended:
    process = HookProcess(processes, context_id, logging.getLogger("unit.web/0.config-changed"))
    process.start(path, {"JUJU_CONTEXT_ID": context_id, "PATH": os.environ["PATH"]}, charm)
    return await process.wait()


# ---- which file


def test_dispatch_is_run_for_every_hook_and_nothing_else_is_looked_at(charm: Path) -> None:
    write_hook(charm, "", mode=0o644)
    dispatch = write_hook(charm, "", "dispatch")
    assert find_hook(charm, "config-changed") == dispatch
    assert find_hook(charm, "start") == dispatch


def test_a_hook_that_the_charm_does_not_have_is_none(charm: Path) -> None:
    assert find_hook(charm, "config-changed") is None


@pytest.mark.parametrize("name", ["dispatch", "hooks/config-changed"])
def test_a_hook_without_its_run_bit_is_an_error_that_names_it(charm: Path, name: str) -> None:
    path = write_hook(charm, "", name, mode=0o644)
    if os.geteuid() == 0:
        assert not os.access(path, os.X_OK), "root, too, needs one run bit"
    with pytest.raises(HookCannotRun, match=f"{path} is not executable"):
        find_hook(charm, "config-changed")


def test_a_charm_without_metadata_is_missing_from_disk(charm: Path) -> None:
    (charm / "metadata.yaml").unlink()
    with pytest.raises(HookCannotRun, match="the charm is missing from disk"):
        find_hook(charm, "install")


async def test_a_symlinked_hook_is_run_under_its_own_name(processes: Processes, charm: Path) -> None:
    write_hook(charm, 'echo "$0" >seen', "hooks/all")
    (charm / "hooks/config-changed").symlink_to("all")
    path = find_hook(charm, "config-changed")
    assert path is not None
    assert await run(processes, charm, path) == Ended("succeeded")
    assert (charm / "seen").read_text().strip() == str(charm / "hooks/config-changed")


# ---- how it is run


async def test_a_hook_runs_in_the_charm_s_folder_without_input_in_a_session_of_its_own(
    processes: Processes, charm: Path
) -> None:
    path = write_hook(charm, 'pwd >seen; cat >>seen; cut -d" " -f5,6 /proc/$$/stat >>seen; echo $$ $# >>seen')
    assert await run(processes, charm, path) == Ended("succeeded")
    folder, group, last = (charm / "seen").read_text().splitlines()
    assert folder == str(charm)
    pid, arguments = last.split()
    assert group.split() == [pid, pid]
    assert arguments == "0"


AROUND = Surroundings(
    unit="web/0",
    charm=Path("/state/agents/unit-web-0/charm"),
    tools=Path("/state/tools/unit-web-0"),
    model="default",
    model_uuid="c7b1c0de-0000-4000-8000-000000000000",
    machine="m0",
    api_address="127.0.0.1:17070",
    socket={"JUJU_AGENT_SOCKET_ADDRESS": "/run/t.sock", "JUJU_AGENT_SOCKET_NETWORK": "unix"},
)

ALWAYS = {
    "CHARM_DIR", "JUJU_CHARM_DIR", "JUJU_CONTEXT_ID", "JUJU_AGENT_SOCKET_ADDRESS", "JUJU_AGENT_SOCKET_NETWORK",
    "JUJU_HOOK_NAME", "JUJU_DISPATCH_PATH", "JUJU_UNIT_NAME", "JUJU_MODEL_NAME", "JUJU_MODEL_UUID",
    "JUJU_API_ADDRESSES", "JUJU_MACHINE_ID", "JUJU_PRINCIPAL_UNIT", "JUJU_AVAILABILITY_ZONE", "JUJU_VERSION",
    "JUJU_SLA", "CLOUD_API_VERSION", "JUJU_CHARM_HTTP_PROXY", "JUJU_CHARM_HTTPS_PROXY", "JUJU_CHARM_FTP_PROXY",
    "JUJU_CHARM_NO_PROXY", "PATH", "LANG", "TERM",
}  # fmt: skip
UBUNTU = {"APT_LISTCHANGES_FRONTEND", "DEBIAN_FRONTEND"}
RELATION = {"JUJU_RELATION", "JUJU_RELATION_ID", "JUJU_REMOTE_UNIT", "JUJU_REMOTE_APP"}


def test_a_hook_s_environment_is_exactly_juju_s() -> None:
    environment = hook_environment(AROUND, Hook(kind="start"), CONTEXT, None)
    assert environment.keys() - UBUNTU == ALWAYS
    assert environment["JUJU_DISPATCH_PATH"] == "hooks/start"
    assert environment["PATH"].startswith("/state/tools/unit-web-0:")
    assert environment["JUJU_PRINCIPAL_UNIT"] == ""


def test_the_leader_s_hook_knows_the_term() -> None:
    environment = hook_environment(AROUND, Hook(kind="leader-elected", term=77), CONTEXT, 77)
    assert environment.keys() - UBUNTU - ALWAYS == {"TENURE_TERM"}
    assert environment["TENURE_TERM"] == "77"


def test_a_relation_s_hook_knows_the_relation_and_an_empty_remote_unit_is_set() -> None:
    created = Hook(kind="relation-created", relation=3, endpoint="peers", remote_application="web")
    environment = hook_environment(AROUND, created, CONTEXT, None)
    assert environment.keys() - UBUNTU - ALWAYS == RELATION
    assert environment["JUJU_HOOK_NAME"] == "peers-relation-created"
    assert environment["JUJU_RELATION_ID"] == "peers:3"
    assert environment["JUJU_REMOTE_UNIT"] == ""
    assert environment["JUJU_REMOTE_APP"] == "web"


def test_only_departed_knows_who_departs() -> None:
    departed = Hook(
        kind="relation-departed",
        relation=3,
        endpoint="peers",
        remote_application="web",
        remote_unit="web/1",
        departing_unit="web/1",
    )
    environment = hook_environment(AROUND, departed, CONTEXT, None)
    assert environment.keys() - UBUNTU - ALWAYS == RELATION | {"JUJU_DEPARTING_UNIT"}


async def test_nothing_of_the_agent_s_environment_is_inherited(
    processes: Processes, charm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR_DISPATCH", "1")
    path = write_hook(charm, "tr '\\0' '\\n' </proc/$$/environ >seen")
    assert await run(processes, charm, path) == Ended("succeeded")
    assert {line.split("=")[0] for line in (charm / "seen").read_text().splitlines()} == {"JUJU_CONTEXT_ID", "PATH"}


# ---- what its end means


async def test_another_exit_status_than_0_is_a_failure(processes: Processes, charm: Path) -> None:
    assert await run(processes, charm, write_hook(charm, "exit 143")) == Ended("failed", "exit status 143")


@pytest.mark.parametrize("name", ["TERM", "KILL"])
async def test_killed_from_outside_is_no_failure(processes: Processes, charm: Path, name: str) -> None:
    path = write_hook(charm, f"kill -{name} $$")
    assert await run(processes, charm, path) == Ended("killed", f"killed by SIG{name}")


async def test_ended_by_another_signal_is_a_failure(processes: Processes, charm: Path) -> None:
    assert await run(processes, charm, write_hook(charm, "kill -SEGV $$")) == Ended("failed", "killed by SIGSEGV")


@pytest.mark.parametrize(
    ("first_line", "why"),
    [("#!/no/such/interpreter", "the interpreter that its first line names isn't there"), ("echo", "#!/bin/sh")],
)
async def test_a_file_that_the_kernel_refuses_is_an_error_that_says_what_to_mend(
    processes: Processes, charm: Path, first_line: str, why: str
) -> None:
    path = charm / "hooks/config-changed"
    path.write_text(f"{first_line}\n")
    path.chmod(0o755)
    with pytest.raises(HookCannotRun, match=f"config-changed can't be run: .*{why}"):
        await run(processes, charm, path)


# ---- what it prints


async def test_output_goes_to_the_log_by_lines(
    processes: Processes, charm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "unit")
    path = write_hook(charm, "echo out; echo err >&2; printf 'a\\377b\\nunfinished'")
    await run(processes, charm, path)
    lines = {(record.name, record.levelname, record.getMessage()) for record in caplog.records}
    name = "unit.web/0.config-changed"
    assert lines == {
        (name, "DEBUG", "out"),
        (name, "WARNING", "err"),
        (name, "DEBUG", "a�b"),
        (name, "DEBUG", "unfinished"),
    }


async def test_of_megabytes_the_rest_is_counted_and_dropped(
    processes: Processes, charm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "unit")
    path = write_hook(charm, "head -c 3000000 /dev/zero | tr '\\0' x")
    assert await run(processes, charm, path) == Ended("succeeded")
    assert sum(len(record.getMessage()) for record in caplog.records if record.levelname == "DEBUG") == HOOK_OUTPUT_MAX
    assert caplog.messages[-1] == f"{3000000 - HOOK_OUTPUT_MAX} more bytes of output were dropped"


async def test_a_child_that_keeps_the_pipes_open_does_not_hold_up_the_hook_and_is_left_alone(
    processes: Processes, charm: Path
) -> None:
    path = write_hook(charm, "sleep 1000 & echo $! >child")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await run(processes, charm, path) == Ended("succeeded")
    assert loop.time() - begun < 2
    child = int((charm / "child").read_text())
    assert started_ticks(child)
    os.kill(child, signal.SIGKILL)


async def test_a_hook_that_never_ends_can_be_ended(processes: Processes, charm: Path) -> None:
    path = write_hook(charm, "trap '' TERM; (trap '' TERM; setsid sleep 1000) & echo $! >child; wait; wait; sleep 1000")
    process = HookProcess(processes, CONTEXT, logging.getLogger("unit.web/0.config-changed"))
    process.start(path, {"JUJU_CONTEXT_ID": CONTEXT, "PATH": os.environ["PATH"]}, charm)
    child = int(await until_async(lambda: (charm / "child").exists() and (charm / "child").read_text()))
    await process.end()
    assert await process.wait() == Ended("killed", "killed by SIGKILL")
    await until_async(lambda: not started_ticks(child))


# ---- what is left of it


async def ended(processes: Processes, charm: Path, script: str, context_id: str = CONTEXT) -> asyncio.Event:
    """Run a hook to its end; the event is set once none of its processes is left."""
    path = write_hook(charm, script)
    process = HookProcess(processes, context_id, logging.getLogger("unit.web/0.config-changed"))
    process.start(path, {"JUJU_CONTEXT_ID": context_id, "PATH": os.environ["PATH"]}, charm)
    await process.wait()
    none_left = asyncio.Event()
    process.when_none_left(none_left.set)
    return none_left


async def test_a_hook_that_leaves_nothing_is_known_to_have_left_nothing_at_once(
    processes: Processes, charm: Path
) -> None:
    assert (await ended(processes, charm, "sh -c 'sleep 0'; :")).is_set()


GRANDCHILD = "(setsid sh -c 'sleep 1000 & echo $! >child' >/dev/null 2>&1 &); while [ ! -s child ]; do :; done"


async def test_a_grandchild_in_a_session_of_its_own_counts_until_it_ends(processes: Processes, charm: Path) -> None:
    none_left = await ended(processes, charm, GRANDCHILD)
    assert not none_left.is_set()
    os.kill(int((charm / "child").read_text()), signal.SIGKILL)
    async with asyncio.timeout(10):
        await none_left.wait()


async def test_what_one_hook_left_does_not_count_for_another(processes: Processes, charm: Path) -> None:
    first = await ended(processes, charm, GRANDCHILD)
    second = await ended(processes, charm, ":", "web/0-start-4567")
    assert second.is_set()
    assert not first.is_set()
    os.kill(int((charm / "child").read_text()), signal.SIGKILL)
    async with asyncio.timeout(10):
        await first.wait()


async def test_an_orphan_that_can_not_be_told_apart_counts_for_each_hook_that_may_have_left_it(
    processes: Processes, charm: Path
) -> None:
    hidden = GRANDCHILD.replace("(setsid sh", "(setsid env -i PATH=$PATH sh")
    first = await ended(processes, charm, hidden)
    second = await ended(processes, charm, ":", "web/0-start-4567")
    assert not first.is_set()
    assert not second.is_set()
    os.kill(int((charm / "child").read_text()), signal.SIGKILL)
    async with asyncio.timeout(10):
        await first.wait()
        await second.wait()


def test_what_is_left_of_a_hook_whose_agent_died_is_ended(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    script = f"env -i PATH=$PATH sh -c 'echo $$ >{hidden}; sleep 1000' & setsid sleep 1000 & wait"
    hook = subprocess.Popen(
        ["/bin/sh", "-c", script],
        env={"JUJU_CONTEXT_ID": CONTEXT, "PATH": os.environ["PATH"]},
        start_new_session=True,
    )
    until(lambda: hidden.exists() and hidden.read_text())
    assert end_what_is_left("web/0-start-4567", 0, 0) == 0, "another hook's are left alone"
    ticks = started_ticks(hook.pid)
    assert end_what_is_left(CONTEXT, hook.pid, ticks) >= 3
    hook.wait(10)
    until(lambda: not started_ticks(int(hidden.read_text())))
    assert end_what_is_left(CONTEXT, hook.pid, ticks) == 0
