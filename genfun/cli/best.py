"""`genfun optimize` and `genfun phase`: what to choose, and which regime it is in."""

from __future__ import annotations

import math

import click

from genfun.cli.answers import AS_JSON, RATE, banded, inputs, preamble, setting
from genfun.cli.group import examples
from genfun.cli.output import emit_json, say
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCH, REAL, WHOLE


@click.command(
    epilog=examples(
        "genfun optimize mnist --batch-size 10 --steps 1000",
        "genfun optimize power-law --nu 1.5 --zeta 2 --n-modes 1000 --batch-size 1 --steps 1e4 --momentum 0",
        "genfun optimize mnist --budget 1e5 --json",
    ),
)
@on_target
@click.option("--batch-size", type=BATCH, help="b, or `full`; left out, a budget chooses it.")
@click.option("--steps", type=WHOLE, help="T, the step at which the loss counts.")
@click.option("--budget", type=REAL, help="Samples, batch size times steps, instead of --steps.")
@click.option("--momentum", type=REAL, help="Fixes beta; left out, it is searched.")
@AS_JSON
def optimize(
    target: Target,
    batch_size: int | None,
    steps: int | None,
    budget: float | None,
    momentum: float | None,
    as_json: bool,
) -> None:
    """Find the best learning rate and momentum, or batch size too.

    Of least predicted mean loss at a step, or within a budget of samples.
    """
    from genfun.answers.best.optimize import optimize as ask
    from genfun.report.encode import plain
    from genfun.report.words import batch

    o = ask(target.problem, batch_size, steps, momentum, target.noise, budget)
    if as_json:
        emit_json("optimize", inputs(target, steps=steps, budget=budget), plain(o))
        return
    preamble(target)
    m = o.method
    (low, high), (back, forth) = o.learning_rate_range, o.momentum_range
    share = f"{o.share_of_edge:.0%} of the edge"
    say(f"least mean loss {o.loss:.6g} at step {o.steps:,}, batch size {batch(m.batch_size)}")
    say(f"learning rate {m.learning_rate:.5g}  ({low:.4g} .. {high:.4g} for 5 % more loss; {share})")
    say(f"momentum      {m.momentum:.4g}  ({back:.4g} .. {forth:.4g} for 5 % more loss)")
    if o.gain > 0.0:
        say(f"momentum is worth {o.gain:.2%} of the least loss without it")
    if banded(target, m.batch_size):
        minus, plus = o.loss_band
        say(f"over noise models: {minus:.6g} at tau2 = -tau1, {plus:.6g} at tau2 = tau1  (this setting)")
    for bound in o.bounds:
        say(f"note: {bound}")


@click.command(
    epilog=examples(
        "genfun phase power-law --nu 1.5 --zeta 2 --batch-size 100 --learning-rate 0.4",
        "genfun phase mnist --batch-size 10 --learning-rate 0.5 --momentum 0.5 --json",
    ),
)
@on_target
@RATE
@setting
def phase(target: Target, learning_rate: float, momentum: float, batch_size: int | None, as_json: bool) -> None:
    """Say which phase a setting is in, and when it changes.

    From the power law of the spectrum, given or fitted.
    """
    from genfun.answers import phase as ask
    from genfun.methods import SGD
    from genfun.report.encode import plain

    optimizer = SGD(learning_rate, momentum, batch_size)
    f = ask(target.problem, optimizer, target.noise)
    if as_json:
        emit_json("phase", inputs(target, optimizer=plain(optimizer)), plain(f))
        return
    preamble(target)
    say(repr(optimizer))
    say(f.name)
    if math.isfinite(f.exponent):
        say(f"loss above its least:  {f.constant:.4g} t^-{f.exponent:.4g}")
    for what, step in (
        ("noise takes over", f.transition_step),
        ("the loss grows", f.divergence_step),
        ("the spectrum ends", f.end_step),
    ):
        if math.isfinite(step):
            say(f"{what} at step {step:,.0f}")
    for note in f.notes:
        say(f"note: {note}")
