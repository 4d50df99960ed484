"""`genfun map`: the loss over learning rates and momenta, as a picture or a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click
import numpy as np

from genfun.cli.answers import AS_JSON, inputs, preamble
from genfun.cli.group import examples
from genfun.cli.output import emit_json, progress, table
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCHES, WHOLE

COLUMNS = ("batch_size", "learning_rate", "momentum", "loss", "log_loss", "error", "noise_gain")
PICTURES = (".png", ".svg", ".pdf")


@click.command(
    "map",
    epilog=examples(
        "genfun map mnist --batch-sizes 1,10,100 --step 1000 --out map.png",
        "genfun map power-law --n-modes 1000 --batch-sizes 1 --step 1e4 --cells 200 --out map.csv",
    ),
)
@on_target
@click.option("--batch-sizes", type=BATCHES, default="1,10,100", show_default=True, help="One map for each.")
@click.option("--step", type=WHOLE, required=True, help="T, the step at which the loss counts.")
@click.option("--cells", type=WHOLE, default="60", show_default=True, help="Cells on a side of each map.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    help="A .png, .svg or .pdf picture with what is drawn as .csv beside it; or a .csv of all cells.",
)
@AS_JSON
def loss_map(
    target: Target, batch_sizes: tuple[int | None, ...], step: int, cells: int, out: str | None, as_json: bool
) -> None:
    """Map the loss over learning rate and momentum.

    At one step, for several batch sizes; printed are the best cells, and how many are stable.
    """
    from genfun.answers.best.loss_map import loss_map as ask
    from genfun.answers.edge import max_learning_rate
    from genfun.plotting.settings_map import LARGEST_MOMENTUM, LEAST_SHARE
    from genfun.report.encode import plain
    from genfun.report.words import batch, figures, loss

    path = None if out is None else Path(out)
    if path is not None and path.suffix not in (*PICTURES, ".csv"):
        raise ValueError(f"--out must end in {', '.join(PICTURES)} or .csv, got {out!r}")
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f"--out {out!r} lies in no directory that exists; make {str(path.parent)!r} first")
    if cells < 2:
        raise ValueError(f"--cells must be at least 2, got {cells}; 60 is a good start")
    least = min(max_learning_rate(target.problem, 0.0, b, target.noise) for b in batch_sizes)
    if least == 0.0:
        raise ValueError("no learning rate is stable: the trace of the Hessian is infinite; set --n-modes")
    rates = np.geomspace(LEAST_SHARE * least, 4.0 / target.problem.lambda_max, cells)
    momenta = np.linspace(-LARGEST_MOMENTUM, LARGEST_MOMENTUM, cells)
    maps = []
    with progress() as report:
        for i, b in enumerate(batch_sizes):
            report(i / len(batch_sizes), f"batch size {batch(b)}")
            maps.append(ask(target.problem, rates, momenta, step, b, target.noise))
        written = () if path is None else _write(path, maps, target, step, cells)
    if as_json:
        asked = inputs(target, batch_sizes=list(batch_sizes), step=step, cells=cells)
        emit_json("map", asked, {"maps": plain(maps)})
    else:
        preamble(target)
        rows = []
        for m in maps:
            i, j = np.unravel_index(int(np.nanargmin(m.log_loss)), m.loss.shape)
            best = loss(float(m.loss[i, j]), float(m.log_loss[i, j]))
            stable = f"{(m.noise_gain < 1.0).mean():.0%}"
            rows.append((batch(m.batch_size), figures(rates[i]), figures(momenta[j]), best, stable))
        table(("batch", "best rate", "momentum", f"loss at step {step:,}", "stable cells"), rows)
    for file in written:
        click.echo(f"wrote {file}", err=as_json)


def _write(path: Path, maps: list[Any], target: Target, step: int, cells: int) -> tuple[Path, ...]:
    if path.suffix in PICTURES:
        from matplotlib.figure import Figure

        from genfun.plotting import save, settings_map
        from genfun.plotting.settings_map import figure_size

        columns = min(len(maps), 3)
        lines = -(-len(maps) // columns)
        figure = Figure(figsize=figure_size(lines, columns), layout="constrained")
        panels = list(np.ravel(figure.subplots(lines, columns)))
        for spare in panels[len(maps) :]:
            spare.remove()
        sizes = [m.batch_size for m in maps]
        settings_map(target.problem, step, sizes, target.noise, cells, panels[: len(maps)])
        return save(figure, path)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for m in maps:
            size = "full" if m.batch_size is None else m.batch_size
            for (i, j), value in np.ndenumerate(m.loss):
                rest = (value, m.log_loss[i, j], m.error[i, j], m.noise_gain[i, j])
                writer.writerow((size, m.learning_rates[i], m.momenta[j], *map(float, rest)))
    return (path,)
