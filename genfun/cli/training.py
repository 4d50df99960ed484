"""How a setting trains: `genfun max-lr`, `genfun stability`, `genfun predict`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import click

from genfun.cli.answer import Answer, answers, lines_of
from genfun.cli.cross_entropy import curve_answer, edge_answer
from genfun.cli.group import Job, examples
from genfun.cli.held_out import held_out_loss
from genfun.cli.options import BATCH_SIZE, MOMENTUM, asked, banded, inputs, preamble, remedy, setting, told
from genfun.cli.output import Grid
from genfun.cli.overlay import draw as draw_runs
from genfun.cli.schedule import method_of, scheduled_setting
from genfun.cli.target import Target, on_target
from genfun.cli.types import REAL, WHOLE, WHOLES
from genfun.own_runs.overlay import read_runs

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
        "genfun max-lr data.csv --target price --batch-size full --out edge.png",
        "genfun max-lr data.csv --target kind --cross-entropy --batch-size 16 --steps 1000",
    ),
)
@partial(on_target, cross_entropy=True)
@BATCH_SIZE
@MOMENTUM
@click.option(
    "--steps",
    type=WHOLE,
    help="With --cross-entropy: also the largest rate whose loss, up to this step, rises by no more than --rise.",
)
@click.option("--rise", type=REAL, help="Share of the least loss so far; 0.1 unless given.")
@answers(picture=True)
def max_lr(target: Target, momentum: float, batch_size: int | None, steps: int | None, rise: float | None) -> Answer:
    """Print the largest learning rate that converges.

    With what binds: batch noise, or curvature, 2(1+beta)/lambda_max, which is all that the popular
    formula for momentum knows of; and with the error of the noise that was measured on data, or for a spectrum the
    band over noise models, tau2 from +1 to -1.
    """
    from genfun._display import digits_of
    from genfun.answers.words.numbers import batch
    from genfun.report.limits import rate_limit

    if target.cross_entropy:
        return edge_answer(target, momentum, batch_size, steps, rise)
    if not (steps is None and rise is None):
        raise ValueError("--steps and --rise are of cross-entropy; give --cross-entropy, or drop them")
    found = rate_limit(target.problem, momentum, batch_size, target.noise)
    digits = digits_of(found.noise_error)
    if found.at_tau2_plus is None or found.at_tau2_minus is None:
        known = (
            f"relative error by the noise:  {found.noise_error:.1e}" if found.noise_error else "no error by the noise"
        )
    else:
        low, high = sorted((found.at_tau2_plus, found.at_tau2_minus))
        known = f"over noise models:            {low:.6g} .. {high:.6g}  (tau1 = 1, tau2 = +1 and -1)"
    return Answer(
        inputs(target, momentum=momentum, batch_size=batch_size),
        found,
        [
            *preamble(target),
            f"batch size {batch(batch_size)}, momentum {momentum:g}",
            f"largest stable learning rate: {found.learning_rate:.{digits}g}  (limited by {found.limit})",
            f"effective, alpha/(1-beta):    {found.effective_learning_rate:.{digits}g}",
            known,
            f"2(1+beta)/lambda_max:         {found.popular:.6g}  ({found.factor:.3g} times the answer)",
        ],
        draw=lambda: _edge(target, found.learning_rate, momentum, batch_size),
    )


def _edge(target: Target, learning_rate: float, momentum: float, batch_size: int | None) -> Any:
    """The picture of a setting on its way to the edge."""
    from genfun.methods import SGD
    from genfun.plotting.stability_edge import stability_edge

    if learning_rate == 0.0:
        raise ValueError("no learning rate is stable, so there is nothing to draw; set --n-modes")
    return stability_edge(target.problem, SGD(learning_rate, momentum, batch_size), target.noise)


@click.command(
    cls=Job,
    epilog=examples(
        "genfun stability mnist --batch-size 10 --learning-rate 0.5",
        "genfun stability power-law --nu 0.9 --batch-size 10 --learning-rate 0.1 --momentum 0.5 --json",
    ),
)
@on_target
@setting
@answers(picture=True)
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
            told(method),
            f"{found.status}; as the learning rate grows, {found.limit} is the first to bind",
            f"noise gain:             {found.noise_gain:.6g}  (stable below 1)",
            f"late growth of log L:   {found.growth_rate:.6g} per step",
            f"excess loss at the end: {found.floor:.6g}  (left by label noise)",
            *remedy(found.status, target.problem, method, target.noise),
        ],
        draw=lambda: _edge(target, learning_rate, momentum, batch_size),
    )


@click.command(
    cls=Job,
    epilog=examples(
        "genfun predict mnist --batch-size 10 --learning-rate 0.5 --steps 0,100,1000,1e6",
        "genfun predict mnist --model pixels --n 4000 --batch-size 8 --learning-rate 0.1 --steps 1e5 --out curve.png",
        'genfun predict mnist --batch-size 10 --learning-rate "Warmup(100, Cosine(1, 1000))" --steps 100,1100',
        "genfun predict data.csv --batch-size 10 --learning-rate 0.1 --overlay runs.csv --out curve.png",
        "genfun predict data.csv --test new.csv --batch-size 10 --learning-rate 0.1 --steps 100,1000",
        "genfun predict data.csv --cross-entropy --batch-size 16 --learning-rate 0.1 --steps 100,1000",
        "genfun predict power-law --nu 1.2 --batch-size 10 --learning-rate 0.3 --steps 1e3,1e9 --json",
    ),
)
@partial(on_target, held_out=True, cross_entropy=True)
@scheduled_setting
@click.option("--steps", type=WHOLES, help="Steps, e.g. 100,1000,1e6; with --overlay some of its own.")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path),
    help="Own runs to lay over the prediction: a table with the columns step and loss, and run if there are several.",
)
@answers(picture=True)
def predict(
    target: Target,
    learning_rate: Any,
    momentum: Any,
    batch_size: Any,
    convention: str,
    steps: tuple[int, ...] | None,
    overlay: Path | None,
) -> Answer:
    """Predict the mean loss at given steps.

    Beside the error of the computation, that of the noise measured on data; for a spectrum alone, the losses under two
    noise models, tau1 = 1 and tau2 = +1 or -1. Learning rate, momentum and batch size may be schedules of the step,
    written as in Python: Cosine, StepDecay, Polynomial, Piecewise, Warmup, LinearGrowth and ExponentialGrowth, as in
    `genfun.schedules`. Data then have the noise of constants fitted to them.
    Where the rate changes, momentum is torch's: the gradients gathered move by the new rate at once. In Keras they
    keep the rate that they came at (--convention keras).
    With --test or --holdout the mean loss on rows that are not trained on, and where to stop.
    With --cross-entropy the target holds labels, and the share classified wrongly is told too.
    """
    from genfun.answers import predict as ask
    from genfun.answers.band import loss_band
    from genfun.answers.words import numbers as words
    from genfun.noise import SpectrallyExpressible
    from genfun.schedules import ScheduledSGD

    runs = None if overlay is None else read_runs(overlay)
    if steps is None:
        if runs is None:
            raise click.UsageError("give --steps, e.g. --steps 100,1000, or --overlay", click.get_current_context())
        steps = runs.chosen()
    method = method_of(learning_rate, momentum, batch_size, convention)
    if target.cross_entropy:
        return curve_answer(target, method, steps, runs is not None)
    if target.held_out is not None:
        if runs is not None:
            raise ValueError("--overlay lays runs over the training loss; drop --test and --holdout")
        return held_out_loss(target, method, steps)
    # Under a schedule the data's own noise costs milliseconds a step: constants stand for it, as the preamble says.
    only = target.expressible if isinstance(method, ScheduledSGD) else None
    noise = target.noise if only is None else only
    found = ask(target.problem, method, list(steps), noise)
    parts = ("steps", "loss", "error", "noise_error", "log_loss", "status", "meaning", "route")
    result = {part: getattr(found, part) for part in parts}
    columns = [(found.loss, found.log_loss, 6)]
    headings = ["mean loss"]
    band = loss_band(target.problem, method, list(steps)) if isinstance(noise, SpectrallyExpressible) else None
    known = bool((found.noise_error > 0.0).any())
    result |= {"at_tau2_plus": band.plus, "at_tau2_minus": band.minus} if band else {}
    if band and banded(target, batch_size, only):
        columns += [(band.plus, band.log_plus, 4), (band.minus, band.log_minus, 4)]
        headings += ["tau2 = +1", "tau2 = -1"]
    seen = {} if runs is None else {"measured": runs.mean(steps)}
    if runs is not None and len(runs.runs) > 1:
        seen["std. error"] = runs.error(steps)
    lines = [
        (
            f"{t:,}",
            *(words.figures(float(of[i]), 2 if name == "std. error" else 4) for name, of in seen.items()),
            *(words.loss(float(loss[i]), float(log[i]), digits) for loss, log, digits in columns),
            f"{found.error[i]:.1e}",
            *([f"{found.noise_error[i]:.1e}"] if known else []),
        )
        for i, t in enumerate(found.steps)
    ]
    headings = [*seen, *headings]
    headings += ["numeric error", *(["noise error"] if known else [])]
    shown = [*preamble(target, only), told(method), Grid(("step", *headings), lines)]
    shown.append(f"{found.status}: {found.meaning}")
    shown += remedy(found.status, target.problem, method, noise)
    tiny = [f"{math.log10(math.e) * log:,.6g} at step {t:,}" for t, log in zip(found.steps, found.log_loss, strict=True)
            if -math.inf < log < words.LEAST]  # fmt: skip
    if tiny:
        more = f", and {len(tiny) - TOLD} more" if len(tiny) > TOLD else ""
        shown.append(f"log10 of the mean losses below 1e-300: {'; '.join(tiny[:TOLD])}{more}")
    if runs is not None:
        outputs = getattr(target.source, "n_outputs", 1)
        shown += runs.words(lambda at: ask(target.problem, method, at, noise).loss, outputs)
        result |= {name.replace("std. ", "measured_"): of for name, of in seen.items()}
    if len(columns) > 1:
        shown.append("tau2 = +1 and -1, tau1 = 1: translation-invariant and Gaussian data")

    columns = {"step" if name == "steps" else name: result[name] for name in ("steps", "loss", "log_loss", "error")}
    further = ("noise_error", "at_tau2_plus", "at_tau2_minus", "measured", "measured_error")
    columns |= {name: result[name] for name in further if name in result}

    def draw() -> Any:
        import numpy as np

        last = max(1, *steps, 0 if runs is None else int(runs.steps[-1]))
        filled = np.rint(np.geomspace(1, last, DRAWN)).astype(int)
        ax = ask(target.problem, method, np.union1d(filled, [*steps]), noise).plot()
        return ax if runs is None else draw_runs(runs, ax)

    given = {} if overlay is None else {"overlay": str(overlay)}
    return Answer(inputs(target, only, method=asked(method), **given), result, shown, lambda: lines_of(columns), draw)
