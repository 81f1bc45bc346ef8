"""The group of all commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from tenure import __version__
from tenure.cli.shared import CONTEXT, Settings, reader_gone, shared_options
from tenure.cli.table import COMMANDS, overview
from tenure.errors import TenureError


class LazyGroup(click.Group):
    """Imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, as `tenure --help` lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tenure.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def get_help(self, ctx: click.Context) -> str:
        """The overview that is printed without click, too."""
        return overview().rstrip("\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """The commands that begin so, without importing any."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)


@click.group(name="tenure", cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(__version__, "--version", message="tenure %(version)s", help="Print the version.")
@click.pass_context
def root(ctx: click.Context) -> None:
    """One leader for each application, a place for its decisions, and hooks that tell every unit when either changes."""
    ctx.ensure_object(Settings)


root.params.extend(shared_options(prints=True))


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit code."""
    try:
        code = root.main(list(arguments), prog_name="tenure", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _said(" ".join(error.format_message().split()), _usage_hint(error), 2)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except TenureError as error:
        return _said(error.message, error.hint, error.exit_code)
    except OSError as error:
        return failed(error)
    return code if isinstance(code, int) else 0


def failed(error: OSError) -> int:
    """Say what the system refused; the exit code. A reader of ours that went away is told nothing."""
    if isinstance(error, BrokenPipeError):
        return reader_gone()
    what = error.strerror or str(error)
    named = isinstance(error.filename, str | bytes)
    return _said(f"{os.fsdecode(error.filename)}: {what}" if named else what, None, 2)


def _said(message: str, hint: str | None, code: int) -> int:
    try:
        click.echo(f"error: {_printable(message)}", err=True)
        if hint:
            click.echo(f"hint: {_printable(hint)}", err=True)
    except OSError:
        pass  # nobody can be told
    _abandon_output()
    return code


def _abandon_output() -> None:
    """Leave nothing that Python would try to write once more as it ends, and fail at."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _printable(text: str) -> str:
    """`text` as it can be printed: what came as bytes that aren't UTF-8 is shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"see: {context.command_path} --help" if context is not None else None
