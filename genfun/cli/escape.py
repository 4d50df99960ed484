"""`genfun escape`: which minima are kept, left in so many steps, or flown out of."""

from __future__ import annotations

import click

from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import BATCH_SIZE, MOMENTUM, inputs, preamble
from genfun.cli.output import Grid
from genfun.cli.target import Target, on_target
from genfun.cli.types import REAL, REALS


@click.command(
    cls=Job,
    epilog=examples(
        "genfun escape mnist --batch-size 10 --learning-rates 0.1,0.5,2",
        "genfun escape mnist --batch-size 10 --learning-rates 0.1,0.5 --sharpness 1,2,4,8 --out escape.png",
    ),
)
@on_target
@click.option("--learning-rates", type=REALS, required=True, help="With commas.")
@click.option(
    "--sharpness", type=REALS, default="1,2,4", show_default=True, help="Factors of the Hessian of the target."
)
@click.option(
    "--factor", type=REAL, default="10", show_default=True, help="Growth of the mean loss that is waited for."
)
@BATCH_SIZE
@MOMENTUM
@answers(picture=True)
def escape(
    target: Target,
    learning_rates: tuple[float, ...],
    sharpness: tuple[float, ...],
    factor: float,
    momentum: float,
    batch_size: int | None,
) -> Answer:
    """Say which minima SGD keeps, leaves, or flies out of.

    A minimum has the spectrum of the target times its sharpness.
    """
    from genfun.answers.escape.escape_chart import escape_chart

    size = target.problem.n_samples if batch_size is None else batch_size
    if size is None:
        raise ValueError("--batch-size full needs a number of samples; pass --n-samples or a number")
    chart = escape_chart(target.problem, learning_rates, [size], sharpness, momentum, factor, target.noise)
    rows = [
        {
            "learning_rate": float(rate),
            "sharpness": float(sharp),
            "status": str(chart.status[i, 0, k]),
            "noise_gain": float(chart.noise_gain[i, 0, k]),
            "steps": float(chart.steps[i, 0, k]),
        }
        for i, rate in enumerate(chart.learning_rates)
        for k, sharp in enumerate(chart.sharpness)
    ]
    lines = [
        (
            f"{r['learning_rate']:.4g}",
            f"{r['sharpness']:.4g}",
            r["status"],
            f"{r['noise_gain']:.4g}",
            "" if r["status"] == "stable" else f"{r['steps']:,.4g}",
        )
        for r in rows
    ]
    shown = [
        *preamble(target),
        Grid(("rate", "sharpness", "minimum", "noise gain", f"steps to x {factor:g}"), lines, keys=2),
        f"batch size {size}, momentum {momentum:g}; steps of the mean loss, by its late growth rate",
    ]
    return Answer(inputs(target, momentum=momentum, batch_size=size), chart, shown, lambda: rows, chart.plot)
