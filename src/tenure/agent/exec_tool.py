"""`juju-exec` and, as Juju 2 has it, `juju-run`: scripts on a unit's host run commands in its context (STATE/bin).

The flags, the rules and the messages are Juju's. Exits with the commands' own code; 2 for wrong arguments, 1 when the
commands can't be run. Output is passed on as it comes, where Juju keeps it to the end.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure.agent.exec_client import Stream, no_hooks, run_commands
from tenure.agent.tools.arguments import HelpWanted, Option, ToolError, UsageError, parse, relation_number
from tenure.agent.tools.output import go_quote
from tenure.errors import TenureError

NAMES = ("juju-exec", "juju-run")

_OPTIONS = (
    Option(("unit", "u"), default="", help="explicit unit-name argument"),
    Option(("no-context",), "bool", help="do not run the command in a unit context"),
    Option(("relation", "r"), default="", help="run the commands for a specific relation context on a unit"),
    Option(("remote-unit",), default="", help="run the commands for a specific remote unit in a relation context"),
    Option(
        ("remote-app",), default="", help="run the commands for a specific remote application in a relation context"
    ),
    Option(("force-remote-unit",), "bool", help="run the commands for a relation, bypassing the remote unit check"),
    Option(("operator",), "bool", help="has no meaning on a machine"),
)

_UNIT = re.compile(r"(?:unit-)?(?P<application>[a-z](?:[a-z0-9]|-(?=[a-z0-9]))*)[/-](?P<number>0|[1-9][0-9]*)")
_DOC = """
Run the specified commands in the hook context for the unit.

unit-name can be either the unit tag: unit-ubuntu-0, or the unit id: ubuntu/0. It may be left out where there is one
unit alone on this host, and with --no-context.

The commands are executed with '/bin/bash -s', between two hooks, and their output is passed on.
"""


@dataclass
class _Asked:
    """What the arguments say."""

    unit: str
    """`web/0`; empty with --no-context."""
    commands: str
    options: Mapping[str, Any] = field(default_factory=dict)


def main(argv: Sequence[str]) -> int:
    """`name socket state-folder arguments…`; the exit code."""
    name, socket, state, *arguments = argv
    try:
        asked = _asked(name, Path(state), arguments)
        if not asked.unit:
            return asyncio.run(_without_context(socket, asked.commands))
        return asyncio.run(_run(socket, Path(state), asked))
    except HelpWanted:
        sys.stdout.write(_usage(name))
        return 0
    except ToolError as error:
        return _failed(str(error), error.code)
    except TenureError as error:
        return _failed(error.message, 1)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def install(folder: Path, socket: Path, state: Path) -> None:
    """Put the commands into STATE/bin: they find the agent at `socket`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        words = [sys.executable, "-P", "-m", "tenure.agent.exec_tool", name, str(socket), str(state)]
        new = folder / f".{name}.{os.getpid()}"
        new.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        new.chmod(0o755)
        new.replace(folder / name)


def _asked(name: str, state: Path, arguments: Sequence[str]) -> _Asked:
    """What is asked. Raises UsageError, HelpWanted."""
    # Before anything else, as in Juju: within a hook it would wait for that very hook's end.
    if context_id := os.environ.get("JUJU_CONTEXT_ID"):
        raise UsageError(f"{name} cannot be called from within a hook, have context {go_quote(context_id)}")
    options, rest = parse(arguments, _OPTIONS, lambda relation: True)
    unit = "" if options["no-context"] else _unit(options["unit"], rest, state)
    if not rest:
        raise UsageError("missing commands")
    commands, *rest = rest
    if rest:
        raise UsageError(f"unrecognized args: [{' '.join(go_quote(word) for word in rest)}]")
    return _Asked(unit, commands, options)


def _unit(given: str, rest: list[str], state: Path) -> str:
    """The unit that is meant; takes it off `rest` where it stands there."""
    if given:
        return _parsed(given)
    if rest and (len(rest) > 1 or _UNIT.fullmatch(rest[0])):
        return _parsed(rest.pop(0))
    here = sorted((state / "agents").glob("unit-*")) if (state / "agents").is_dir() else []
    if len(here) != 1:
        raise UsageError("missing unit-name")
    return _parsed(here[0].name)


def _parsed(text: str) -> str:
    found = _UNIT.fullmatch(text)
    if found is None:
        raise UsageError(f"{go_quote(text)} is not a valid tag")
    return f"{found['application']}/{found['number']}"


async def _run(socket: str, state: Path, asked: _Asked) -> int:
    options = asked.options
    if not (state / "agents" / f"unit-{asked.unit.replace('/', '-')}").is_dir():
        raise ToolError(f"unit {go_quote(asked.unit)} not found on this machine")
    relation = relation_number(options["relation"]) if options["relation"] else None
    if options["relation"] and relation is None:
        raise ToolError("invalid relation id")
    for option, what in (("remote-unit", "remote unit"), ("remote-app", "remote application")):
        if options[option] and relation is None:
            raise ToolError(f"{what}: {options[option]}, provided without a relation")
    ran = await run_commands(
        socket,
        asked.unit,
        asked.commands,
        _show,
        relation=relation,
        remote_unit=options["remote-unit"],
        remote_application=options["remote-app"],
        force_remote_unit=options["force-remote-unit"],
    )
    if ran.flush:
        return _failed(ran.flush, ran.code or 1)
    if ran.ended:
        _failed(f"the commands were ended: {ran.ended}", 1)
    return 1 if ran.code is None else ran.code


def _show(stream: Stream, data: bytes) -> None:
    file = sys.stdout.buffer if stream == "stdout" else sys.stderr.buffer
    file.write(data)
    file.flush()


async def _without_context(socket: str, commands: str) -> int:
    """Run them here, while no hook of this machine's runs."""
    async with no_hooks(socket):
        bash = await asyncio.create_subprocess_exec("/bin/bash", "-s", stdin=subprocess.PIPE)
        await bash.communicate(os.fsencode(commands))
    assert bash.returncode is not None
    return 128 - bash.returncode if bash.returncode < 0 else bash.returncode


def _usage(name: str) -> str:
    options = "\n".join(option.usage for option in _OPTIONS)
    return f"Usage: {name} [options] [unit-name] <commands>\n\nSummary:\nRun commands in a unit's hook context.\n\nOptions:\n{options}\n\nDetails:{_DOC}"


def _failed(message: str, code: int) -> int:
    print(f"ERROR {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
