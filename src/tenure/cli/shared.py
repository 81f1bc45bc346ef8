"""What commands share: their common options, the store they open, how what they do is run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from tenure.errors import BadInput, TimedOut
from tenure.names import check_model

if TYPE_CHECKING:
    from tenure.model.layout import Layout
    from tenure.model.mirror import Mirror
    from tenure.store.api import Store

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FORMATS = ("tabular", "json", "yaml")


@dataclass(slots=True)
class Settings:
    """What the options that every command has were set to, before the command's name or after it."""

    store: str | None = None
    model: str | None = None
    format: str | None = None
    verbose: int = 0

    @property
    def url(self) -> str:
        """The store's URL: the option, TENURE_STORE, or a file in the user's state folder."""
        return self.store or os.environ.get("TENURE_STORE") or default_store()

    @property
    def model_name(self) -> str:
        """The model's name: the option, TENURE_MODEL, or `default`. Raises BadInput."""
        return check_model(self.model or os.environ.get("TENURE_MODEL") or "default")

    @property
    def layout(self) -> Layout:
        """The model's keys."""
        from tenure.model.layout import Layout

        return Layout(self.model_name)


def state_home() -> Path:
    """Where Tenure keeps what a user doesn't say a place for: `$XDG_STATE_HOME/tenure`."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state") / "tenure"


def default_store() -> str:
    """The embedded store in the user's state folder."""
    return f"sqlite://{quote(os.fsencode(state_home() / 'tenure.db'))}"


@asynccontextmanager
async def opened(settings: Settings, *, make: bool = False) -> AsyncIterator[Store]:
    """The store, open. `make`: an embedded one is made when it isn't there. Raises BadInput, Unsure's kinds."""
    from tenure.store import open_store

    url = settings.url
    if url == default_store():
        if make:
            state_home().mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not (state_home() / "tenure.db").exists():
            raise BadInput(
                f"there is no store yet: {state_home() / 'tenure.db'} doesn't exist",
                hint="`tenure agent` and `tenure deploy` make it; --store or TENURE_STORE name another",
            )
    store = await open_store(url, must_exist=not make)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def mirrored(settings: Settings) -> AsyncIterator[tuple[Store, Mirror]]:
    """The store, open, and a mirror of the model that shows it already.

    Raises BadInput, Unsure's kinds when the store isn't there now; later silence of its is waited out, with a warning.
    """
    from tenure.model.mirror import Mirror

    async with opened(settings) as store:
        # A mirror would wait for a store that is silent; a command says so and ends.
        await store.read(settings.layout.info)
        mirror = Mirror(store, settings.layout.prefix)
        try:
            await mirror.start()
            yield store, mirror
        finally:
            await mirror.close()


def shared_options(*, prints: bool = False) -> list[click.Parameter]:
    """The options that every command has; `prints`: and the one of those that print a result."""
    options: list[click.Parameter] = []
    if prints:
        options.append(
            click.Option(
                ["--format"],
                type=click.Choice(FORMATS),
                help="How the result is printed.  [default: tabular]",
                expose_value=False,
                callback=_remember("format"),
            )
        )
    options += [
        click.Option(
            ["--store"],
            metavar="URL",
            help="The store.  [TENURE_STORE; else a file in your state folder]",
            expose_value=False,
            callback=_remember("store"),
        ),
        click.Option(
            ["--model", "-m"],
            metavar="NAME",
            help="The model in it.  [TENURE_MODEL; else default]",
            expose_value=False,
            callback=_remember("model"),
        ),
        click.Option(
            ["--verbose", "-v"],
            count=True,
            help="Say more on standard error; twice: all of it.",
            expose_value=False,
            callback=_remember("verbose"),
        ),
    ]
    return options


def command(*, prints: bool = False) -> Callable[[Callable[..., Coroutine[Any, Any, int | None]]], click.Command]:
    """Make a command of an async function `(settings, …)`, whose arguments and options decorate it.

    What it returns is the exit code. `prints`: it has --format.
    """

    def decorate(function: Callable[..., Coroutine[Any, Any, int | None]]) -> click.Command:
        @click.pass_context
        def run(ctx: click.Context, /, **arguments: Any) -> int:
            settings = ctx.ensure_object(Settings)
            settings.model_name  # noqa: B018 - a name that no model can have is said before anything is done
            log_to_stderr(settings.verbose)
            # Click would end the line of a Ctrl-C and have its own code for a reader that goes away.
            try:
                return asyncio.run(function(settings, **arguments)) or 0
            except KeyboardInterrupt:
                return 128 + signal.SIGINT
            except BrokenPipeError:
                return reader_gone()

        # Click's decorators leave what they were given on the function, the last one first.
        own: list[click.Parameter] = getattr(function, "__click_params__", [])[::-1]
        return click.Command(
            None,
            context_settings=dict(CONTEXT),
            callback=run,
            params=[*own, *shared_options(prints=prints)],
            help=inspect.cleandoc(function.__doc__ or ""),
        )

    return decorate


def reader_gone() -> int:
    """Say no more, for whoever read our output has gone; the exit code. Python would complain as it closes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def log_to_stderr(verbose: int) -> None:
    """What the parts below say: warnings, with -v what matters, with -vv all of it."""
    handler = logging.StreamHandler(sys.stderr)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "warning: %(message)s"
    handler.setFormatter(logging.Formatter(form))
    logger = logging.getLogger("tenure")
    logger.addHandler(handler)
    logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])


def progress(text: str) -> None:
    """Say on standard error how far something is that takes long; to a terminal only."""
    if sys.stderr.isatty():
        click.echo(text, err=True)


def note(text: str) -> None:
    """A message: on standard error, beside the result."""
    click.echo(text, err=True)


@asynccontextmanager
async def limited(timeout_s: float | None, what: str | Callable[[], str]) -> AsyncIterator[None]:
    """Raise TimedOut, saying `what` did not come or still is so, when the block takes longer. None: however long."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise TimedOut(f"not within {timeout_s:g} s: {what if isinstance(what, str) else what()}") from None


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        settings = ctx.ensure_object(Settings)
        if value:
            setattr(settings, name, value if name != "verbose" else settings.verbose + value)

    return remember
