"""`genfun schedule`: learning rates step by step."""

from __future__ import annotations

import math

import click

from genfun._display import percent
from genfun.cli.answer import Answer, answers, lines_of
from genfun.cli.group import Job, examples
from genfun.cli.options import inputs, preamble
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCH, REAL, WHOLE


@click.command(
    name="schedule",
    cls=Job,
    epilog=examples(
        "genfun schedule mnist --n 200 --batch-size 10 --steps 1000",
        "genfun schedule power-law --nu 1.5 --zeta 0.5 --n-modes 200 --batch-size 1 --steps 500 --out rates.csv",
        "genfun schedule data.csv --batch-size 32 --steps 2e4 --momentum free --out rates.png",
    ),
)
@on_target
@click.option(
    "--batch-size",
    type=BATCH,
    required=True,
    help="Samples in a batch, or `full`; first of --samples.",
)
@click.option("--steps", type=WHOLE, help="The step at which the loss counts.")
@click.option(
    "--samples", type=REAL, help="All that may be drawn, instead of --steps; then batches that grow are tried."
)
@click.option("--momentum", default="0", show_default=True, help="A number, or `free`: the best of all.")
@click.option("--share-of-edge", type=REAL, default="0.8", show_default=True, help="Most of the largest stable rate.")
@answers(picture=True)
def best_schedule(
    target: Target,
    batch_size: int | None,
    steps: int | None,
    samples: float | None,
    momentum: str,
    share_of_edge: float,
) -> Answer:
    """Find the best simple schedule of the learning rate.

    Of least predicted mean loss at the last step, measured by the best of all schedules below the same share of the
    edge. A .csv has rate, momentum and batch size of every step.
    """
    from genfun.answers.best.best_schedule import best_schedule as ask
    from genfun.answers.best.schedule_answer import OWN_NOISE, over

    if (steps is None) == (samples is None):
        raise click.UsageError("give --steps or --samples, and not both", click.get_current_context())
    beta = None if momentum == "free" else REAL.convert(momentum, None, None)
    only, (of, noise) = target.expressible, target.partly_own
    b = ask(of, batch_size, 2 if steps is None else steps, beta, noise, share_of_edge, samples)
    lr, chosen = b.method, b.method.at([0])[1][0]
    shown = [
        *preamble(target, only),
        b.shape,
        f"peak rate {b.peak:.5g} ({b.peak / b.edge:.2g} of the edge {b.edge:.5g} by {b.edge_of}), "
        + ("momentum moves, see the .csv" if callable(lr.momentum) else f"momentum {chosen:.4g}"),
        f"loss {b.loss:.6g} after {b.steps:,} steps: {over(b.loss, b.free_loss):.4g} times that of the free optimum",
        f"loss {b.at_20_percent_more:.6g} with every rate 20 % larger",
        f"without a schedule: {b.averaging}",
        "loss of every family at its best, over that of the free optimum:",
        *(f"  {gap:8.4g}  {name}" for name, gap in sorted(b.gaps.items(), key=lambda item: item[1])),
    ]
    if b.loss_of == OWN_NOISE:
        shown.append("note: tuned with constants fitted to the data's noise, compared by the data's own")
    elif not math.isnan(b.noise_error):
        shown.append(f"note: at a constant rate this noise is {percent(b.noise_error, 3)} in loss from the data's own")
    asked = {"batch_size": batch_size, "steps": steps, "samples": samples, "momentum": momentum}
    return Answer(
        inputs(target, only, share_of_edge=share_of_edge, **asked),
        b,
        shown,
        lambda: lines_of(b.table()),
        draw=b.plot,
    )
