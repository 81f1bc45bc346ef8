"""The guard: a term's work is gone in time, whatever becomes of who has started it, of the guard, and whatever it does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.guard.conftest import Guarded, Starter, Witness, boot_s
from tests.waiting import until

# Each of these is left running by its shell; all of them together are one workload.
FORKS = "sleep 1000 & sleep 1001 & wait"
DAEMONISES = "setsid sh -c 'setsid sleep 1000 & sleep 1001' & sleep 0.1; sleep 1002"
IGNORES_SIGTERM = "trap '' TERM; sleep 1000 & sleep 1001; sleep 1002"
FLOOD = "flood() { [ $1 = 0 ] || { flood $(($1 - 1)) & flood $(($1 - 1)) & }; sleep 30; }; trap '' TERM; flood 6"
"""Some hundreds of processes that bear more, but not without end: a larger flood starves whatever else the host tests."""

pytestmark = pytest.mark.slow  # they keep time, so nothing else should run beside them

NAMESPACES = pytest.mark.parametrize("namespace", [True, False], ids=["in a namespace", "without a namespace"])


def held(start: Starter, witness: Witness, script: str, **settings: object) -> Guarded:
    """A guard whose workload runs."""
    guarded = start(command=witness.command(script), **settings)
    guarded.run()
    until(lambda: witness.up)
    return guarded


def sure_for(guarded: Guarded, seconds: float) -> float:
    """Let the term be sure for so long from now; returns when it ends. (So the host may be slow until the work is there.)

    Said twice: when it is heard again, the timers are set that the first, shorter than what was sure before, has changed.
    """
    for _ in range(2):
        until_s = boot_s() + seconds
        guarded.tell(f"extend {seconds}")
        guarded.expect("held")
    return until_s + LATE_S


LATE_S = 0.1
"""What the parent may be late in passing an extension on."""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_it_says_when_all_will_be_gone_and_what_encloses_the_work(start: Starter) -> None:
    armed = start(command=["true"], until_s=30.0).expect("armed")
    boot, raw = armed.split(" ")[1].split(":")
    assert 25e9 < int(boot) - boot_s() * 1e9 < 30e9
    assert int(raw) > 0
    assert "a PID namespace" in armed or "its process tree" in armed


@NAMESPACES
def test_a_command_that_ends_by_itself_is_told_with_its_status_and_nothing_is_left(
    start: Starter, witness: Witness, namespace: bool
) -> None:
    guarded = held(start, witness, "sleep 1000 & exit 3", namespace=namespace)
    assert os.waitstatus_to_exitcode(int(guarded.expect("ended").split(" ")[1])) == 3
    guarded.expect("gone")
    assert not witness.is_held()


@NAMESPACES
def test_an_orderly_end_gives_the_command_its_time(start: Starter, witness: Witness, namespace: bool) -> None:
    guarded = held(
        start,
        witness,
        f"trap 'sleep 0.2; echo stopped > {witness.path}.said; exit 0' TERM; while :; do sleep 0.05; done",
        namespace=namespace,
        stop_ns=5_000_000_000,
    )
    guarded.tell("end")
    guarded.expect("gone")
    assert Path(f"{witness.path}.said").read_text() == "stopped\n"


@NAMESPACES
def test_what_ignores_the_signal_is_killed_after_the_stop_timeout(
    start: Starter, witness: Witness, namespace: bool
) -> None:
    guarded = held(start, witness, IGNORES_SIGTERM, namespace=namespace)
    guarded.tell("end")
    asked = boot_s()
    guarded.expect("gone")
    assert not witness.is_held()
    assert boot_s() - asked < 2.0


@NAMESPACES
@pytest.mark.parametrize("script", [FORKS, DAEMONISES, IGNORES_SIGTERM], ids=["forks", "daemonises", "ignores SIGTERM"])
def test_nothing_is_left_at_the_deadline_of_a_term_that_is_not_extended(
    start: Starter, witness: Witness, namespace: bool, script: str
) -> None:
    guarded = held(start, witness, script, namespace=namespace)
    ends = sure_for(guarded, 1.5)
    assert witness.wait_free() < ends
    guarded.expect("gone")
    assert "ending the term was not extended in time" in guarded.heard


@NAMESPACES
def test_a_flood_of_processes_is_gone_in_time(start: Starter, witness: Witness, namespace: bool) -> None:
    # So many take a while to end; as with every lease, most of the guarantee is left after the kill.
    guarded = held(start, witness, FLOOD, namespace=namespace, guarantee_ns=7_200_000_000)
    ends = sure_for(guarded, 8.0)
    assert witness.wait_free() < ends
    guarded.expect("gone")


def test_each_extension_is_acknowledged_and_counts(start: Starter, witness: Witness) -> None:
    guarded = held(start, witness, FORKS)
    for _ in range(3):
        guarded.tell("extend 1.5")
        guarded.expect("held")
    last = boot_s()
    assert witness.wait_free() > last + 0.3
    assert boot_s() < last + 1.5


def test_once_it_has_begun_to_end_the_term_it_extends_nothing(start: Starter, witness: Witness) -> None:
    guarded = held(start, witness, IGNORES_SIGTERM, stop_ns=400_000_000)
    guarded.tell("end")
    guarded.expect("ending")
    guarded.tell("extend 60")
    assert guarded.expect("ending") == "ending refused"
    guarded.expect("gone")


@NAMESPACES
def test_when_its_parent_is_killed_the_work_is_ended(start: Starter, witness: Witness, namespace: bool) -> None:
    guarded = held(start, witness, DAEMONISES, namespace=namespace)
    guarded.signal(signal.SIGKILL)
    killed = boot_s()
    assert witness.wait_free() < killed + 2.0
    until(lambda: not guarded.alive())


def test_a_guard_that_waits_for_a_successor_of_its_parent_is_found_by_its_socket(
    start: Starter, witness: Witness, tmp_path: Path
) -> None:
    path = str(tmp_path / "guard.sock")
    guarded = held(start, witness, FORKS, until_s=30.0, waits=True, listen=path)
    guarded.signal(signal.SIGKILL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(10)
        link.connect(path)
        assert link.recv(4096) == b"running"
        assert link.recv(4096).startswith(b"armed ")
        assert witness.is_held()
        link.send(b"end")
        assert link.recv(4096).startswith(b"ending")
        messages = iter(lambda: link.recv(4096), b"gone")
        assert all(messages), "it has gone without a word"
    assert not witness.is_held()
    assert not Path(path).exists()


@NAMESPACES
def test_when_its_parent_is_stopped_the_work_is_gone_in_time(start: Starter, witness: Witness, namespace: bool) -> None:
    guarded = held(start, witness, IGNORES_SIGTERM, namespace=namespace)
    ends = sure_for(guarded, 1.5)
    guarded.signal(signal.SIGSTOP)
    assert witness.wait_free() < ends
    guarded.signal(signal.SIGCONT)


def test_when_the_guard_is_killed_the_work_dies_at_once(start: Starter, witness: Witness) -> None:
    guarded = held(start, witness, DAEMONISES)
    if "a PID namespace" not in guarded.heard[0]:
        pytest.skip("no PID namespace can be had here")
    guarded.signal(signal.SIGKILL, guarded.pid)
    killed = boot_s()
    assert witness.wait_free() < killed + 0.5


def test_when_the_guard_is_killed_without_a_namespace_the_command_itself_dies_at_once(
    start: Starter, witness: Witness
) -> None:
    guarded = held(start, witness, "exec sleep 1000", namespace=False)
    guarded.signal(signal.SIGKILL, guarded.pid)
    killed = boot_s()
    assert witness.wait_free() < killed + 0.5


@pytest.mark.parametrize("stopped", ["guard", "guard and parent"])
def test_when_the_guard_is_stopped_the_kernels_timer_ends_the_work_in_time(
    start: Starter, witness: Witness, stopped: str
) -> None:
    guarded = held(start, witness, DAEMONISES)
    if "a PID namespace" not in guarded.heard[0]:
        pytest.skip("no PID namespace can be had here")
    ends = sure_for(guarded, 1.5)
    guarded.signal(signal.SIGSTOP, guarded.pid)
    if stopped != "guard":
        guarded.signal(signal.SIGSTOP)
    assert witness.wait_free() < ends
    guarded.signal(signal.SIGCONT)


def test_when_the_keeper_is_killed_the_work_is_gone_and_told_as_killed(start: Starter, witness: Witness) -> None:
    guarded = held(start, witness, DAEMONISES)
    guarded.signal(signal.SIGKILL, children(guarded.pid)[0])
    assert guarded.expect("ended") == f"ended {int(signal.SIGKILL)}"
    guarded.expect("gone")
    assert not witness.is_held()


def test_a_workload_that_is_stopped_is_ended_all_the_same(start: Starter, witness: Witness) -> None:
    guarded = held(start, witness, "kill -STOP $$; sleep 1000", namespace=False)
    ends = sure_for(guarded, 1.5)
    assert witness.wait_free() < ends


FREEZER = Path("/sys/fs/cgroup/freezer")
"""Of the first version of control groups: a process that it has frozen sleeps uninterruptibly, and can't be killed."""


@NAMESPACES
@pytest.mark.skipif(
    not os.access(FREEZER / "cgroup.procs", os.W_OK), reason="no freezer to make a process unkillable with"
)
def test_what_the_kernel_cannot_end_is_reported_and_is_not_told_as_gone(
    start: Starter, witness: Witness, namespace: bool
) -> None:
    guarded = held(start, witness, "sleep 1000", namespace=namespace)
    frozen = FREEZER / f"tenure-test-{guarded.pid}"
    frozen.mkdir()
    try:
        keeper = children(guarded.pid)[0]
        work = children(keeper)[0]
        (frozen / "cgroup.procs").write_text(str(work))
        (frozen / "freezer.state").write_text("FROZEN")
        until(lambda: (frozen / "freezer.state").read_text() == "FROZEN\n")
        guarded.tell("end")
        assert str(work) in guarded.expect("stuck").split(" ")[1].split(",")
        assert "gone" not in guarded.heard
        assert witness.is_held()
    finally:
        (frozen / "freezer.state").write_text("THAWED")
    guarded.expect("gone")
    assert not witness.is_held()
    until(lambda: not (frozen / "cgroup.procs").read_text())
    frozen.rmdir()


# ---- the stop command, the check, the user


@NAMESPACES
def test_the_stop_command_runs_beside_the_work_and_the_signal_follows_it(
    start: Starter, witness: Witness, namespace: bool, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    stopper = ["/bin/sh", "-c", f"sleep 0.2; pwd >> {said}; echo asked >> {said}"]
    guarded = held(
        start,
        witness,
        f"trap 'echo signalled >> {said}; exit 0' TERM; while :; do sleep 0.02; done",
        namespace=namespace,
        stopper=stopper,
        folder=str(tmp_path),
        stop_ns=10_000_000_000,
    )
    guarded.tell("end")
    guarded.expect("gone")
    assert said.read_text().splitlines() == [str(tmp_path), "asked", "signalled"]


def test_a_stop_command_that_the_work_obeys_comes_to_its_own_end(
    start: Starter, witness: Witness, tmp_path: Path
) -> None:
    stopper = ["/bin/sh", "-c", f"touch {tmp_path}/stop; sleep 0.3; touch {tmp_path}/done"]
    guarded = held(
        start,
        witness,
        f"until [ -e {tmp_path}/stop ]; do sleep 0.02; done; exit 4",
        stopper=stopper,
        stop_ns=10_000_000_000,
    )
    guarded.tell("end")
    assert os.waitstatus_to_exitcode(int(guarded.expect("ended").split(" ")[1])) == 4
    guarded.expect("gone")
    assert (tmp_path / "done").exists()


def test_a_stop_command_that_hangs_is_killed_with_the_work(start: Starter, witness: Witness) -> None:
    guarded = held(start, witness, IGNORES_SIGTERM, stopper=["sleep", "1000"], stop_ns=300_000_000)
    guarded.tell("end")
    guarded.expect("gone")
    assert not witness.is_held()


@NAMESPACES
def test_a_check_runs_with_the_work_and_its_end_is_told(start: Starter, witness: Witness, namespace: bool) -> None:
    guarded = held(start, witness, "sleep 1000", namespace=namespace, check=["/bin/sh", "-c", "exit 5"])
    for _ in range(2):
        guarded.tell("check")
        assert os.waitstatus_to_exitcode(int(guarded.expect("checked").split(" ")[1])) == 5


@NAMESPACES
def test_a_check_that_hangs_can_be_killed_alone(start: Starter, witness: Witness, namespace: bool) -> None:
    guarded = held(start, witness, "sleep 1000", namespace=namespace, check=["/bin/sh", "-c", "sleep 1001; true"])
    guarded.tell("check")
    guarded.tell("uncheck")
    assert guarded.expect("checked") == f"checked {int(signal.SIGKILL)}"
    assert witness.is_held()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@NAMESPACES
def test_the_work_is_the_users_it_is_to_be(start: Starter, namespace: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        said = Path(folder) / "said"
        script = f"echo $(id -un) $HOME $USER > {said}; sleep 1000"
        guarded = start(command=["/bin/sh", "-c", script], user="nobody", namespace=namespace, folder="/")
        guarded.run()
        until(lambda: said.exists() and said.read_text())
        assert said.read_text().split()[0] == "nobody"
        assert said.owner() == "nobody"
        guarded.tell("end")
        guarded.expect("gone")


def test_a_user_that_does_not_exist_ends_it_with_126(start: Starter) -> None:
    guarded = start(command=["true"], user="no-such-user")
    guarded.run()
    assert os.waitstatus_to_exitcode(int(guarded.expect("ended").split(" ")[1])) == 126
    guarded.expect("gone")


# ---- leader-deposed


def hook(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "leader-deposed"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


def test_leader_deposed_runs_beside_the_work_with_the_deadline_and_the_term(
    start: Starter, witness: Witness, tmp_path: Path
) -> None:
    command = hook(tmp_path, f"echo $TENURE_DEADLINE_NS $TENURE_SECONDS_LEFT $(date +%s) > {tmp_path}/said")
    guarded = held(start, witness, IGNORES_SIGTERM, hook=command)
    ends = sure_for(guarded, 1.5)
    guarded.expect("deposed")
    deadline_ns, left_s, _ = (tmp_path / "said").read_text().split()
    assert ends - 0.6 < int(deadline_ns) / 1e9 < ends
    assert 0.2 < float(left_s) < 0.6 + 0.1
    guarded.expect("gone")


def test_leader_deposed_runs_when_there_is_no_workload_and_the_parent_was_killed(
    start: Starter, tmp_path: Path
) -> None:
    guarded = start(command=[], hook=hook(tmp_path, f"touch {tmp_path}/said"), waits=True)
    guarded.run()
    ends = sure_for(guarded, 1.3)
    guarded.signal(signal.SIGKILL)
    until(lambda: (tmp_path / "said").exists())
    assert boot_s() < ends
    until(lambda: not guarded.alive())


def test_leader_deposed_that_hangs_is_ended_at_its_deadline(start: Starter, tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    hangs = (
        f"exec 9>{witness.path}; flock -n 9; echo up > {witness.path}.up; trap '' TERM; setsid sleep 1000 & sleep 1001"
    )
    guarded = start(command=[], hook=hook(tmp_path, hangs), guarantee_ns=3_000_000_000)
    guarded.run()
    ends = sure_for(guarded, 3.5)
    until(lambda: witness.up)
    assert witness.wait_free() < ends
    guarded.expect("gone")


def test_leader_deposed_of_a_term_that_never_began_does_not_run(start: Starter, tmp_path: Path) -> None:
    guarded = start(command=[], hook=hook(tmp_path, f"touch {tmp_path}/said"))
    guarded.expect("armed")
    guarded.tell("end")
    guarded.expect("gone")
    assert not (tmp_path / "said").exists()


def test_leader_deposed_whose_time_is_past_runs_once_and_is_told_so(start: Starter, tmp_path: Path) -> None:
    guarded = start(command=[], hook=hook(tmp_path, f"echo $TENURE_SECONDS_LEFT >> {tmp_path}/said"), until_s=30.0)
    guarded.run()
    guarded.tell("extend -5")
    guarded.expect("gone")
    assert (tmp_path / "said").read_text() == "0.000\n"


def test_the_verdict_is_in_its_file(start: Starter, tmp_path: Path) -> None:
    guarded = start(command=["sleep", "1000"], verdict=str(tmp_path / "verdict"))
    guarded.run()
    guarded.tell("end")
    guarded.expect("ending")
    assert "term 7" in (tmp_path / "verdict").read_text()
    guarded.expect("gone")
    assert (tmp_path / "verdict").read_text() == "term 7 is gone\n"


# ---- what it costs, and what it may do


def test_it_is_small_and_nothing_wakes_it_but_renewals_and_deadlines(start: Starter) -> None:
    guarded = start(command=["sleep", "1000"], until_s=600.0)
    guarded.run()
    guarded.tell("extend 600")
    guarded.expect("held")

    def status(name: str) -> int:
        lines = Path(f"/proc/{guarded.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    assert status("VmRSS:") < 12 * 1024
    before = status("voluntary_ctxt_switches:")
    for _ in range(5):
        guarded.tell("extend 600")
        guarded.expect("held")
    assert status("voluntary_ctxt_switches:") - before <= 2 * 5


SYSTEM_PYTHON = "/usr/bin/python3"


def runs_here(python: str) -> bool:
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    return os.access(python, os.X_OK) and subprocess.run([python, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are run as an ordinary user")
@pytest.mark.skipif(not runs_here(SYSTEM_PYTHON), reason="no Python that every user may run")
def test_an_ordinary_user_has_a_namespace_too(start: Starter) -> None:
    source = Path(__file__).resolve().parents[2] / "src"
    if not all(os.stat(folder).st_mode & 0o001 for folder in (source, *source.parents)):
        pytest.skip("the source lies where only its owner may look")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        witness = Witness(Path(folder))
        guarded = start(command=witness.command(DAEMONISES), python=SYSTEM_PYTHON, as_user=65534)
        if "a PID namespace" not in guarded.expect("armed"):
            pytest.skip("this host lets no ordinary user have a namespace")
        guarded.tell("run")
        until(lambda: witness.up)
        ends = sure_for(guarded, 1.5)
        guarded.signal(signal.SIGSTOP, guarded.pid)
        assert witness.wait_free() < ends


def test_its_process_imports_nothing_of_tenure_but_its_own_folder_and_the_standard_library() -> None:
    source = Path(__file__).resolve().parents[2] / "src"
    code = (
        f"import sys; sys.path.append({str(source)!r}); before = set(sys.modules); import tenure.guard.process;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    ours = {name for name in loaded if name.split(".")[0] == "tenure"}
    # `tenure` itself has a constant from its defaults, which import nothing.
    assert ours <= {"tenure", "tenure.defaults", "tenure.guard", *(f"tenure.guard.{name}" for name in PROCESS)}
    assert {name.split(".")[0] for name in loaded} - {"tenure"} <= set(sys.stdlib_module_names)


PROCESS = ("process", "keeper", "kernel", "cgroup", "tree", "spec")
