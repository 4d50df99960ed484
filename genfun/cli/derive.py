"""`genfun derive`: the formulas."""

from __future__ import annotations

import click

from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples

METHODS = {"sgd": "SGD"}


@click.command(
    cls=Job, epilog=examples("genfun derive", "genfun derive sgd --latex", "genfun derive sgd --out sgd.tex")
)
@click.argument("method", type=click.Choice(sorted(METHODS), case_sensitive=False), default="sgd")
@click.option("--latex", is_flag=True, help="LaTeX equations instead of text.")
@answers(formats=(".tex",))
def derive(method: str, latex: bool) -> Answer:
    """Derive the generating functions of a method.

    From the update rule of METHOD (default: sgd, with momentum): its second moments, the impulse responses u and v
    of a mode, the functions U~, V~ and L~, the stability conditions, and the limits without momentum and noise. Then
    for power laws: the loss at late times in both phases, the noise gain and its limits, the best learning rate, and
    when negative momentum helps. Last the responses of pairs of modes, which the noise of data itself asks for.
    """
    import genfun.methods
    from genfun.symbolic.page import show

    optimizer = getattr(genfun.methods, METHODS[method])
    text = show(optimizer, latex=latex).removesuffix("\n")

    def tex() -> str:
        return text if latex else show(optimizer, latex=True).removesuffix("\n")

    return Answer(
        {"method": method, "latex": latex},
        {"formulas": text},
        [text],
        files={".tex": lambda: (tex() + "\n").encode()},
    )
