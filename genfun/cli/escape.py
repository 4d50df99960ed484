"""`genfun escape`: which minima are kept, left in so many steps, or flown out of."""

from __future__ import annotations

from pathlib import Path

import click

from genfun.cli.answers import AS_JSON, BATCH_SIZE, MOMENTUM, inputs, preamble
from genfun.cli.group import examples
from genfun.cli.output import emit_json, say, table
from genfun.cli.target import Target, on_target
from genfun.cli.types import REAL, REALS


@click.command(
    epilog=examples(
        "genfun escape mnist --batch-size 10 --learning-rates 0.1,0.5,2",
        "genfun escape mnist --batch-size 10 --learning-rates 0.1,0.5 --sharpness 1,2,4,8 --out escape.png",
    ),
)
@on_target
@click.option("--learning-rates", type=REALS, required=True, help="alpha, with commas.")
@click.option(
    "--sharpness", type=REALS, default="1,2,4", show_default=True, help="Factors of the Hessian of the target."
)
@click.option(
    "--factor", type=REAL, default="10", show_default=True, help="Growth of the mean loss that is waited for."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write a picture (.png, .svg, .pdf) and its CSV.")
@MOMENTUM
@BATCH_SIZE
@AS_JSON
def escape(
    target: Target,
    learning_rates: tuple[float, ...],
    sharpness: tuple[float, ...],
    factor: float,
    out: Path | None,
    momentum: float,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Say which minima SGD keeps, leaves, or flies out of.

    A minimum has the spectrum of the target times its sharpness.
    """
    from genfun.answers.escape.escape_chart import escape_chart
    from genfun.report.encode import plain

    size = target.problem.n_samples if batch_size is None else batch_size
    if size is None:
        raise ValueError("--batch-size full needs a number of samples; pass --n-samples or a number")
    chart = escape_chart(target.problem, learning_rates, [size], sharpness, momentum, factor, target.noise)
    if out is not None:
        from genfun import plotting

        plotting.save(chart.plot(), out)
    if as_json:
        emit_json("escape", inputs(target, momentum=momentum, batch_size=size), plain(chart))
        return
    preamble(target)
    rows = []
    for i, rate in enumerate(chart.learning_rates):
        for k, sharp in enumerate(chart.sharpness):
            status, steps = str(chart.status[i, 0, k]), chart.steps[i, 0, k]
            when = "" if status == "stable" else f"{steps:,.4g}"
            rows.append((f"{rate:.4g}", f"{sharp:.4g}", status, f"{chart.noise_gain[i, 0, k]:.4g}", when))
    table(("rate", "sharpness", "minimum", "noise gain", f"steps to x {factor:g}"), rows)
    say(f"batch size {size}, momentum {momentum:g}; steps of the mean loss, by its late growth rate")
