"""`genfun map`: the loss over learning rates and momenta, as a picture or a table."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from genfun._display import percent
from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import inputs, preamble
from genfun.cli.output import Grid, progress
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCHES, WHOLE


@click.command(
    "map",
    cls=Job,
    epilog=examples(
        "genfun map mnist --batch-sizes 1,10,100 --steps 1000 --out map.png",
        "genfun map power-law --n-modes 1000 --batch-sizes 1 --steps 1e4 --cells 200 --out map.csv",
    ),
)
@on_target
@click.option("--batch-sizes", type=BATCHES, default="1,10,100", show_default=True, help="One map for each.")
@click.option("--steps", "--step", "step", type=WHOLE, required=True, help="The step at which the loss counts.")
@click.option("--cells", type=WHOLE, default="60", show_default=True, help="Cells on a side of each map.")
@answers(picture=True)
def loss_map(target: Target, batch_sizes: tuple[int | None, ...], step: int, cells: int) -> Answer:
    """Map the loss over learning rate and momentum.

    At one step, for several batch sizes; printed are the best cells, and how many are stable.
    """
    from genfun.answers.best.loss_map import loss_map as ask
    from genfun.answers.max_learning_rate import max_learning_rate
    from genfun.answers.words.numbers import batch, figures, loss
    from genfun.plotting.settings_map import LARGEST_MOMENTUM, LEAST_SHARE, settings_map

    if cells < 2:
        raise ValueError(f"--cells must be at least 2, got {cells}; 60 is a good start")
    least = min(max_learning_rate(target.problem, 0.0, b, target.noise) for b in batch_sizes)
    if least == 0.0:
        raise ValueError("no learning rate is stable: the trace of the Hessian is infinite; set --n-modes")
    rates = np.geomspace(LEAST_SHARE * least, 4.0 / target.problem.lambda_max, cells)
    momenta = np.linspace(-LARGEST_MOMENTUM, LARGEST_MOMENTUM, cells)
    maps, lines = [], []
    with progress() as report:
        for i, b in enumerate(batch_sizes):
            report(i / len(batch_sizes), f"batch size {batch(b)}")
            maps.append(ask(target.problem, rates, momenta, step, b, target.noise))
    for m in maps:
        i, j = np.unravel_index(int(np.nanargmin(m.log_loss)), m.loss.shape)
        best = loss(float(m.loss[i, j]), float(m.log_loss[i, j]))
        stable = percent((m.noise_gain < 1.0).mean())
        lines.append((batch(m.batch_size), figures(rates[i]), figures(momenta[j]), best, stable))
    between = "best of the cells; `genfun optimize` finds the best between them, which is the star of a picture"
    headings = ("batch", "best rate", "momentum", f"loss at step {step:,}", "stable cells")
    return Answer(
        inputs(target, batch_sizes=list(batch_sizes), step=step, cells=cells),
        {"maps": maps},
        [*preamble(target), Grid(headings, lines), between],
        lambda: [cell for m in maps for cell in _cells(m)],
        lambda: settings_map(target.problem, step, batch_sizes, target.noise, cells),
    )


def _cells(m: Any) -> list[dict[str, Any]]:
    size = "full" if m.batch_size is None else m.batch_size
    values = ("loss", "log_loss", "error", "noise_gain")
    return [
        {"batch_size": size, "learning_rate": rate, "momentum": momentum}
        | {name: float(getattr(m, name)[i, j]) for name in values}
        for i, rate in enumerate(m.learning_rates)
        for j, momentum in enumerate(m.momenta)
    ]
