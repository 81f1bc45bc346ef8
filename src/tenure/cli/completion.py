"""tenure completion SHELL: print the script that makes a shell complete tenure's commands and options.

Exits 0.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tenure.cli.shared import CONTEXT


@click.command(context_settings=CONTEXT)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete tenure's commands.

    \b
    Examples:
      tenure completion bash > ~/.local/share/bash-completion/completions/tenure
      tenure completion zsh > ~/.zfunc/_tenure        (a folder in $fpath)
      tenure completion fish > ~/.config/fish/completions/tenure.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "tenure", "_TENURE_COMPLETE")
    click.echo(script.source_template % script.source_vars())
