"""The one long-lived process of this unit: started in its own session, found again by the number in a file."""

import contextlib
import os
import signal
import subprocess
import time

FOLDER = os.environ["CHARM_DIR"]
PID_FILE = os.path.join(FOLDER, "process.pid")


def start(command):
    """Run the line for sh, unless it runs."""
    if running() is not None:
        return
    with open(os.path.join(FOLDER, "process.log"), "ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    with open(PID_FILE, "w") as file:
        file.write(str(process.pid))


def stop(timeout_s):
    """SIGTERM, and SIGKILL when it is still there after so many seconds."""
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
    try:
        with open(PID_FILE) as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/environ", "rb") as file:
            names = file.read().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"JUJU_UNIT_NAME=" + os.environb[b"JUJU_UNIT_NAME"] in names else None
