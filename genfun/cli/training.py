"""How a setting trains: `genfun max-lr`, `genfun stability`, `genfun predict`."""

from __future__ import annotations

import math
from typing import Any

import click

from genfun.cli.answer import Answer, answers, lines_of
from genfun.cli.group import Job, examples
from genfun.cli.options import BATCH_SIZE, MOMENTUM, asked, banded, inputs, preamble, setting
from genfun.cli.output import Grid
from genfun.cli.schedule import method_of, scheduled_setting
from genfun.cli.target import Target, on_target
from genfun.cli.types import WHOLES

TOLD = 5
"""Losses below 1e-300 whose logarithm is told."""
DRAWN = 200
"""Steps at which a curve is drawn, besides those asked for."""


@click.command(
    "max-lr",
    cls=Job,
    epilog=examples(
        "genfun max-lr mnist --batch-size 10 --momentum 0.9",
        "genfun max-lr power-law --nu 1.5 --zeta 0.5 --batch-size 1 --json",
        "genfun max-lr data.csv --column price --batch-size full --out edge.csv",
    ),
)
@on_target
@BATCH_SIZE
@MOMENTUM
@answers()
def max_lr(target: Target, momentum: float, batch_size: int | None) -> Answer:
    """Print the largest learning rate that converges.

    With what binds: batch noise, U~(1) = 1, or curvature, 2(1+beta)/lambda_max, which is all that the popular
    formula for momentum knows of; and with the band over noise models, tau2 from +1 to -1.
    """
    from genfun.answers.words.numbers import batch
    from genfun.report.limits import rate_limit

    found = rate_limit(target.problem, momentum, batch_size, target.noise)
    low, high = sorted((found.at_tau2_plus, found.at_tau2_minus))
    return Answer(
        inputs(target, momentum=momentum, batch_size=batch_size),
        found,
        [
            *preamble(target),
            f"batch size {batch(batch_size)}, momentum {momentum:g}",
            f"largest stable learning rate: {found.learning_rate:.6g}  (limited by {found.limit})",
            f"effective, alpha/(1-beta):    {found.effective_learning_rate:.6g}",
            f"over noise models:            {low:.6g} .. {high:.6g}  (tau1 = 1, tau2 = +1 and -1)",
            f"2(1+beta)/lambda_max:         {found.popular:.6g}  ({found.factor:.3g} times the answer)",
        ],
    )


@click.command(
    cls=Job,
    epilog=examples(
        "genfun stability mnist --batch-size 10 --learning-rate 0.5",
        "genfun stability power-law --nu 0.9 --batch-size 10 --learning-rate 0.1 --momentum 0.5 --json",
    ),
)
@on_target
@setting
@answers()
def stability(target: Target, learning_rate: float, momentum: float, batch_size: int | None) -> Answer:
    """Say whether a setting converges, how fast, and what binds."""
    from genfun.answers import stability as ask
    from genfun.methods import SGD

    method = SGD(learning_rate, momentum, batch_size)
    found = ask(target.problem, method, target.noise)
    return Answer(
        inputs(target, method=asked(method)),
        found,
        [
            *preamble(target),
            repr(method),
            f"{found.status}; as the learning rate grows, {found.limit} is the first to bind",
            f"noise gain U~(1):       {found.noise_gain:.6g}  (stable below 1)",
            f"late growth of log L:   {found.growth_rate:.6g} per step",
            f"excess loss at the end: {found.floor:.6g}  (left by label noise)",
        ],
    )


@click.command(
    cls=Job,
    epilog=examples(
        "genfun predict mnist --batch-size 10 --learning-rate 0.5 --steps 0,100,1000,1e6",
        "genfun predict mnist --model pixels --n 4000 --batch-size 8 --learning-rate 0.1 --steps 1e5 --out curve.png",
        'genfun predict mnist --batch-size 10 --learning-rate "Warmup(100, Cosine(1, 1000))" --steps 100,1100',
        "genfun predict power-law --nu 1.2 --batch-size 10 --learning-rate 0.3 --steps 1e3,1e9 --json",
    ),
)
@on_target
@scheduled_setting
@click.option("--steps", type=WHOLES, required=True, help="Steps, e.g. 100,1000,1e6.")
@answers(picture=True)
def predict(
    target: Target, learning_rate: Any, momentum: Any, batch_size: Any, convention: str, steps: tuple[int, ...]
) -> Answer:
    """Predict the mean loss at given steps.

    Unless --tau1 or --tau2 say what the batch noise is, with the losses under two other models of it, tau1 = 1 and
    tau2 = +1 or -1. Learning rate, momentum and batch size may be schedules of the step, written as in Python:
    Cosine, StepDecay, Polynomial, Piecewise, Warmup, LinearGrowth and ExponentialGrowth, as in `genfun.schedules`.
    Where the rate changes, momentum is torch's: the gradients gathered move by the new rate at once. In Keras they
    keep the rate that they came at (--convention keras).
    """
    from genfun.answers import predict as ask
    from genfun.answers.band import loss_band
    from genfun.answers.words import numbers as words

    method = method_of(learning_rate, momentum, batch_size, convention)
    found = ask(target.problem, method, list(steps), target.noise)
    band = loss_band(target.problem, method, list(steps))
    result = {
        part: getattr(found, part) for part in ("steps", "loss", "error", "log_loss", "status", "meaning", "route")
    }
    result |= {"at_tau2_plus": band.plus, "at_tau2_minus": band.minus}
    columns = [(found.loss, found.log_loss, 6)]
    headings = ["mean loss"]
    if banded(target, batch_size):
        columns += [(band.plus, band.log_plus, 4), (band.minus, band.log_minus, 4)]
        headings += ["tau2 = +1", "tau2 = -1"]
    lines = [
        (
            f"{t:,}",
            *(words.loss(float(loss[i]), float(log[i]), digits) for loss, log, digits in columns),
            f"{found.error[i]:.1e}",
        )
        for i, t in enumerate(found.steps)
    ]
    shown = [*preamble(target), repr(method), Grid(("step", *headings, "relative error"), lines)]
    shown.append(f"{found.status}: {found.meaning}")
    tiny = [f"{math.log10(math.e) * log:,.6g} at step {t:,}" for t, log in zip(found.steps, found.log_loss, strict=True)
            if -math.inf < log < words.LEAST]  # fmt: skip
    if tiny:
        more = f", and {len(tiny) - TOLD} more" if len(tiny) > TOLD else ""
        shown.append(f"log10 of the mean losses below 1e-300: {'; '.join(tiny[:TOLD])}{more}")
    if len(columns) > 1:
        shown.append("tau2 = +1 and -1, tau1 = 1: translation-invariant and Gaussian data")

    columns = {"step" if name == "steps" else name: result[name] for name in ("steps", "loss", "log_loss", "error")}
    columns |= {name: result[name] for name in ("at_tau2_plus", "at_tau2_minus")}

    def draw() -> Any:
        import numpy as np

        filled = np.rint(np.geomspace(1, max(1, *steps), DRAWN)).astype(int)
        return ask(target.problem, method, np.union1d(filled, [*steps]), target.noise).plot()

    return Answer(inputs(target, method=asked(method)), result, shown, lambda: lines_of(columns), draw)
