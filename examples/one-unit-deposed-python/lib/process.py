"""The one long-lived process of this unit: started in its own session, found again by the number in a file."""

import contextlib
import fcntl
import os
import signal
import subprocess
import time

FOLDER = os.environ["CHARM_DIR"]
PID_FILE = os.path.join(FOLDER, "process.pid")
DEPOSED_FILE = os.path.join(FOLDER, "deposed")


def start(command, term):
    """Run the line for sh, unless it runs, or leader-deposed has come first: it runs beside whatever hook is running."""
    with _one_at_a_time():
        if running() is not None or _read(DEPOSED_FILE) == term:
            return
        with open(os.path.join(FOLDER, "process.log"), "ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        with open(PID_FILE, "w") as file:
            file.write(str(process.pid))


def stop(term, timeout_s):
    """SIGTERM, and SIGKILL when it is still there after so many seconds. What would start it in this term no longer does."""
    with _one_at_a_time():
        with open(DEPOSED_FILE, "w") as file:
            file.write(term)
        pid = running()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + timeout_s
            while running() == pid and time.monotonic() < deadline:
                time.sleep(0.1)
            os.killpg(pid, signal.SIGKILL)


def running():
    """Its process id, or None. A number in a file may be another process's by now: this unit's has the unit's name."""
    pid = _read(PID_FILE)
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            names = file.read().split(b"\0")
    except OSError:
        return None
    return int(pid) if pid and b"JUJU_UNIT_NAME=" + os.environb[b"JUJU_UNIT_NAME"] in names else None


def _read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def _one_at_a_time():
    # Python's files are closed in what is started: the process doesn't keep the lock.
    with open(os.path.join(FOLDER, "process.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
