"""What every hook tool is made of: a name, options, a text for `--help`, and what it does in a hook's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tenure.agent.tools import output
from tenure.agent.tools.arguments import (
    FORMAT,
    IGNORED_FORMAT,
    OUTPUT_FILE,
    YAML_FORMAT,
    HelpWanted,
    Option,
    ToolError,
    UsageError,
    parse,
)
from tenure.clock import Instant
from tenure.errors import TenureError


class ToolContext(Protocol):
    """What the server itself needs of a hook's context; the tools take a `HookContext`."""

    @property
    def context_id(self) -> str:
        """The hook's, as its environment has it."""
        ...

    def close(self) -> None:
        """The hook has ended: nothing is written and nothing vouched for any more."""
        ...

    def relation_known(self, relation: int) -> bool:
        """Whether the unit's application has this relation."""
        ...


class NeedFile(Exception):
    """The tool can't go on without a file of the caller's (`-`: its standard input). Nothing has been done yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of who calls a tool: the files that it has sent, each as bytes or as the reason why it can't."""

    files: Mapping[str, bytes | str] = field(default_factory=dict)
    too_late: bool = False
    """A True that came too late to be printed was the last answer, several times over."""

    def read(self, name: str) -> bytes:
        """The caller's file. Raises NeedFile when it isn't here yet, ToolError when it can't be read."""
        if name not in self.files:
            raise NeedFile(name)
        found = self.files[name]
        if isinstance(found, str):
            raise ToolError(f"cannot read {'standard input' if name == '-' else name}: {found}")
        return found


@dataclass(frozen=True, slots=True)
class Result:
    """What the caller prints, and how it exits."""

    code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    print_until: Instant | None = None
    """From then on the caller asks again instead."""
    output_file: str | None = None
    """Where `stdout` goes instead."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A value that may be printed until an instant only."""

    value: Any
    print_until: Instant | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, its arguments parsed. `options`: by their long names, those not given by their defaults."""

    context: Any
    options: Mapping[str, Any]
    arguments: list[str]
    caller: Caller


Run = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A hook tool. `run` returns the value that `--format` shapes, or raises ToolError, UsageError, TenureError."""

    name: str
    run: Run
    summary: str
    details: str = ""
    synopsis: str = ""
    """Its arguments, for the usage line."""
    options: tuple[Option, ...] = ()
    output: Literal["smart", "yaml", ""] = ""
    """The default format ("yaml": it has no smart one); empty: it prints nothing and has no `--format`."""
    most_arguments: int | None = 0
    """More are refused; None: any number."""

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Its own, and those that all tools with output share."""
        if self.output == "yaml":
            return (*self.options, YAML_FORMAT, OUTPUT_FILE)
        return (*self.options, FORMAT, OUTPUT_FILE) if self.output else self.options

    @property
    def usage(self) -> str:
        """What `--help` prints."""
        options = self.all_options
        line = " ".join(filter(None, (f"Usage: {self.name}", "[options]" if options else "", self.synopsis)))
        parts = [line, f"Summary:\n{self.summary}"]
        if options:
            parts.append("Options:\n" + "\n".join(option.usage for option in options))
        if self.details:
            parts.append(f"Details:\n{self.details}")
        return "\n\n".join(parts) + "\n"

    async def call(self, context: Any, arguments: list[str], caller: Caller) -> Result:
        """Run it with these arguments. Raises NeedFile, before anything is done; nothing else that a user can cause."""
        try:
            options, rest = parse(arguments, self.all_options, context.relation_known)
            if self.most_arguments is not None and len(rest) > self.most_arguments:
                raise UsageError(f"unrecognized args: {output.go_quoted_list(rest[self.most_arguments :])}")
            value = await self.run(Call(context, options, rest, caller))
        except HelpWanted:
            return Result(stdout=self.usage.encode())
        except ToolError as error:
            return failed(str(error), error.code)
        except TenureError as error:
            return failed(one_line(error))
        warning = b""
        if IGNORED_FORMAT in self.options and options["format"] is not None:
            warning = f'--format flag deprecated for command "{self.name}"\n'.encode()
        if not self.output:
            return Result(stderr=warning)
        until = None
        if isinstance(value, Timed):
            value, until = value.value, value.print_until
        shaped = await output.shape_aside(value, options["format"])
        return Result(stdout=shaped, stderr=warning, print_until=until, output_file=options["output"] or None)


def one_line(error: TenureError) -> str:
    """What went wrong and what to do, for a tool's one line."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def failed(message: str, code: int = 1) -> Result:
    """An error's one line, as Juju's tools print it."""
    line = message.replace("\n", " ").encode("utf-8", "surrogateescape")
    return Result(code, stderr=b"ERROR " + line + b"\n")
