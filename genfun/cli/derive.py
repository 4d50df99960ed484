"""`genfun derive`: the formulas."""

from __future__ import annotations

import click

from genfun.cli.group import examples

METHODS = {"sgd": "SGD"}


@click.command(epilog=examples("genfun derive", "genfun derive sgd --latex > sgd.tex"))
@click.argument("method", type=click.Choice(sorted(METHODS), case_sensitive=False), default="sgd")
@click.option("--latex", is_flag=True, help="LaTeX equations instead of text.")
def derive(method: str, latex: bool) -> None:
    """Derive the generating functions of a method and print them.

    From the update rule of METHOD (default: sgd, with momentum): its second moments, the impulse responses u and v
    of a mode, the functions U~, V~ and L~, the stability conditions, and the limits without momentum and noise. Then
    for power laws: the loss at late times in both phases, the noise gain and its limits, the best learning rate, and
    when negative momentum helps.
    """
    import genfun.methods
    from genfun.symbolic.page import show

    click.echo(show(getattr(genfun.methods, METHODS[method]), latex=latex), nl=False)
