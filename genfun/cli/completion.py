"""`genfun completion`: what a shell needs to complete commands, options and targets."""

from __future__ import annotations

import os

import click

from genfun.cli.group import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        'eval "$(genfun completion bash)"',
        "genfun completion bash >> ~/.bashrc",
        "genfun completion zsh >> ~/.zshrc",
        "genfun completion fish > ~/.config/fish/completions/genfun.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print what completes commands with the Tab key.

    For SHELL, or the one of the environment variable SHELL: a script to add to its start-up file, after which Tab
    completes commands, options, targets and the names of files.
    """
    from click.shell_completion import get_completion_class

    found = shell or os.path.basename(os.environ.get("SHELL", ""))
    if found not in SHELLS:
        raise click.UsageError(f"name the shell, one of {', '.join(SHELLS)}; got {found!r} from the environment", ctx)
    kind = get_completion_class(found)
    assert kind is not None
    root = ctx.find_root()
    click.echo(kind(root.command, {}, "genfun", "_GENFUN_COMPLETE").source())
