"""`filler completion`: what makes a shell complete verbs and options."""

import click
from click.shell_completion import get_completion_class

from filler_client.cli.terminal import print_line, print_text


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      filler completion bash > ~/.local/share/bash-completion/completions/filler
      filler completion fish > ~/.config/fish/completions/filler.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    print_text(kind(ctx.find_root().command, {}, "filler", "_FILLER_COMPLETE").source())
    print_line()
