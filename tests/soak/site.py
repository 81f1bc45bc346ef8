"""Where a soak happens: its folders, two small disks that can be full, and a wall clock that can be moved."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sysconfig
from pathlib import Path

from tests.soak.witness import Witness

LEASE_S = 3
_DISK_MB = {"store": 48, "state": 96}


class Site:
    """Everything of one soak on disk, in a folder of its own, which goes with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []
        """Faults that can't be had here, and why."""
        self.witness = Witness(folder / "witness", LEASE_S * 10**9 // 2)
        self.disks = {name: self._disk(name) for name in _DISK_MB}
        self.clock = folder / "clock"
        self.move_clock(0)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "JUJU_"))}
        self.environment = {**kept, "TENURE_STORE": f"sqlite://{self.disks['store']}/tenure.db"}
        library = self._shim()
        self.preload = {"LD_PRELOAD": str(library), "SOAK_WALL_CLOCK": str(self.clock)} if library else {}

    @property
    def lock(self) -> Path:
        """The store's writer's lock."""
        return self.disks["store"] / "tenure.db-lock"

    def can_be_full(self, name: str) -> bool:
        """Whether the disk is one of its own."""
        return os.path.ismount(self.disks[name])

    def move_clock(self, by_s: int) -> None:
        """The wall clock of agents and holds is that much ahead from now on."""
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("q", by_s))

    def close(self) -> None:
        """Give the disks back."""
        for disk in self.disks.values():
            if os.path.ismount(disk):
                subprocess.run(["umount", "-l", str(disk)], check=False)

    def _disk(self, name: str) -> Path:
        disk = self.folder / name
        disk.mkdir()
        if os.geteuid() == 0:
            size = f"size={_DISK_MB[name]}m"
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "soak", str(disk)], check=False, capture_output=True
            )
            if done.returncode == 0:
                return disk
        self.left_out.append(f"full {name}: no file system of its own may be mounted here")
        return disk

    def _shim(self) -> Path | None:
        compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
        library = self.folder / "wallclock.so"
        if compiler:
            source = Path(__file__).with_name("wallclock.c")
            command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return library
        self.left_out.append("clock: there is no C compiler to make what moves it")
        return None
