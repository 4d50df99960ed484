"""`genfun sweep`: simulated runs over a grid of settings, against the theory."""

from __future__ import annotations

import click

from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import inputs, preamble
from genfun.cli.output import Block, progress
from genfun.cli.runs import compared, kept, run_options, runnable
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCHES, REALS, WHOLE


@click.command(
    cls=Job,
    epilog=examples(
        "genfun sweep mnist --learning-rates 0.1,0.2,0.4 --momenta 0,0.5 --batch-sizes 1,10 --store mnist-sweep",
        "genfun sweep power-law --n-modes 100 --learning-rates 0.1,0.2 --batch-sizes 1,full --out sweep.nc",
        "genfun sweep data.csv --learning-rates 0.01,0.1 --batch-sizes 8 --steps 1e4 --workers 4 --out table.csv",
    ),
)
@on_target
@click.option("--learning-rates", type=REALS, required=True, help="e.g. 0.1,0.2")
@click.option("--momenta", type=REALS, default="0", show_default=True, help="e.g. -0.3,0,0.9")
@click.option("--batch-sizes", type=BATCHES, default="full", show_default=True, help="e.g. 1,10,full")
@run_options(steps="1000", replicas="64")
@click.option(
    "--store",
    type=click.Path(file_okay=False),
    help="Folder that keeps finished cells; the same command goes on from there.",
)
@click.option("--workers", type=WHOLE, default=None, help="Processes  [default: one for each core]")
@answers(formats=(".nc",))
def sweep(
    target: Target,
    learning_rates: tuple[float, ...],
    momenta: tuple[float, ...],
    batch_sizes: tuple[int | None, ...],
    steps: int,
    replicas: int,
    run_seed: int,
    store: str | None,
    workers: int | None,
) -> Answer:
    """Simulate a grid of settings, and compare with theory.

    In parallel. One line for each setting: predicted and simulated mean loss at the last step, with its standard
    error. With --out in .nc (NetCDF) the losses of all runs, on a logarithmic grid of steps. A sweep that was
    stopped, or even killed, goes on if it has a --store.
    """
    from genfun.experiments.agreement.agreements import agreements
    from genfun.experiments.sweeps.sweep import cells
    from genfun.experiments.sweeps.sweep import sweep as run

    data = runnable(target)
    grid = {"learning_rate": learning_rates, "momentum": momenta, "batch_size": batch_sizes}
    with kept(store), progress() as report:
        swept = run(data, grid, workers, store, steps, replicas, run_seed, "log", report)
    found = agreements(data.problem, cells(swept.isel(step=[-1])), target.noise)
    attributes = {key: swept.attrs[key] for key in ("data", "n_samples", "computed", "stored", "recomputed")}
    shown: list[Block] = [
        *preamble(target),
        *compared(found, replicas, data.n_samples),
    ]
    shown.append(f"{attributes['computed']} cells computed, {attributes['stored']} found in the store")
    for line in filter(None, attributes["recomputed"].split("; ")):
        shown.append(f"note: damaged and made again: {line}")
    asked = {"steps": steps, "replicas": replicas, "run_seed": run_seed, "store": store} | grid
    return Answer(
        inputs(target, **asked),
        {"cells": found.rows()} | attributes,
        shown,
        found.rows,
        files={".nc": lambda: bytes(swept.to_netcdf(engine="scipy"))},
    )
