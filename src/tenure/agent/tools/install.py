"""Puts the hook tools, and what charms look for beside them, into an agent's state folder."""

from __future__ import annotations

import contextlib
import marshal
import os
import platform
import shlex
import sys
from pathlib import Path

from tenure.agent.tools import TOOLS

SHEBANG_MAX = 255
"""Bytes of a script's first line that the kernel reads (BINPRM_BUF_SIZE less the NUL)."""

CLIENT = ".hook-tool"

JUJU_TOOLS = Path("/var/lib/juju/tools")
"""Where Juju's own agents have theirs."""


def install_tools(folder: Path) -> None:
    """Make a unit's folder of tools (STATE/tools/unit-web-0): the client, and a link to it for each tool.

    What a forerunner has put there is replaced, each file as a whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / CLIENT, _first_lines(interpreter()) + _client())
    for name in TOOLS:
        _link(folder / name, CLIENT)


def install_jujud(folder: Path, version: str) -> None:
    """Make a machine's folder of tools (STATE/tools/machine-<m>): the `jujud` that charmhelpers asks for its version."""
    folder.mkdir(parents=True, exist_ok=True)
    machine_type = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    answer = f"{version}-ubuntu-{machine_type}"
    script = f"""#!/bin/sh
case "$1" in
version|--version) echo {shlex.quote(answer)} ;;
*) echo "ERROR this is no jujud: it only tells its version" >&2; exit 2 ;;
esac
"""
    _write(folder / "jujud", script.encode())


class JujudPath:
    """A machine's folder of tools where charmhelpers looks for it, as its path is written down there: `/var/lib/juju/tools`.

    Only where this agent may write there, and no `jujud` of anybody's is found; for as long as the agent runs.
    """

    def __init__(self, folder: Path, juju: Path = JUJU_TOOLS) -> None:
        self._folder, self._link = folder, juju / folder.name

    def offer(self) -> bool:
        """Whether charmhelpers finds it there now, or another one. A link that leads nowhere is a killed agent's."""
        with contextlib.suppress(OSError):
            for other in self._link.parent.glob("machine-*"):
                if other.is_symlink() and not os.path.exists(other):
                    other.unlink()
            if any(self._link.parent.glob("machine-*/jujud")):
                return True
            self._link.parent.mkdir(parents=True, exist_ok=True)
            self._link.symlink_to(self._folder)
        return os.path.exists(self._link / "jujud")  # also where a folder on the way may not be looked into

    def withdraw(self) -> None:
        """Take away what was put there, and the folders that are empty then."""
        with contextlib.suppress(OSError):
            if os.readlink(self._link) == str(self._folder):
                self._link.unlink()
                self._link.parent.rmdir()
                self._link.parent.parent.rmdir()


def _client() -> bytes:
    """The client, compiled: compiling it at each call would cost as much as a fifth of the interpreter's start."""
    source = Path(__file__).with_name("client.py").read_text(encoding="utf-8")
    code = marshal.dumps(compile(source, "hook-tool", "exec", dont_inherit=True, optimize=2))
    return (
        "# Made by the agent from its own client.py, for the Python in the first line alone.\n"
        "import marshal, sys\n"
        f"if sys.hexversion != {sys.hexversion}: sys.exit('ERROR the agent runs on another Python: restart it')\n"
        f"exec(marshal.loads({code!r}))\n"
    ).encode()


def interpreter() -> str:
    """The real interpreter's path: no virtual environment's, no shim."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def _first_lines(python: str) -> bytes:
    """What runs the rest of a script in this interpreter, isolated and without its site."""
    line = b"#!" + os.fsencode(python) + b" -IS\n"
    if len(line) <= SHEBANG_MAX and not any(space in python for space in " \t\n"):
        return line
    # A path that the kernel can't take from a first line: for a shell this is a command, for Python a string.
    return b"#!/bin/sh\n''':'\nexec " + os.fsencode(shlex.quote(python)) + b' -IS "$0" "$@"\n\'\'\'\n'


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.chmod(0o755)
    new.replace(path)


def _link(path: Path, target: str) -> None:
    if path.is_symlink() and os.readlink(path) == target:
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
