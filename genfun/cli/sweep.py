"""`genfun sweep`: simulated runs over a grid of settings, against the theory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genfun.cli.answers import inputs, preamble
from genfun.cli.group import examples
from genfun.cli.output import emit_json, progress, say
from genfun.cli.runs import run_options, runnable
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCHES, REALS, WHOLE

if TYPE_CHECKING:
    import xarray

    from genfun.experiments.agreements import Agreements


@click.command(
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
@click.option("--out", type=click.Path(dir_okay=False), help="File for the losses (.nc) or the table (.csv).")
def sweep(
    target: Target,
    learning_rates: tuple[float, ...],
    momenta: tuple[float, ...],
    batch_sizes: tuple[int | None, ...],
    steps: int,
    replicas: int,
    run_seed: int,
    as_json: bool,
    store: str | None,
    workers: int | None,
    out: str | None,
) -> None:
    """Simulate a grid of settings in parallel, and compare with the theory.

    One line for each setting: predicted and simulated mean loss at the last step, with its standard error. Losses on
    a logarithmic grid of steps go to --out. A sweep that was stopped, or even killed, goes on if it has a --store.
    """
    from genfun.experiments.agreements import agreements
    from genfun.experiments.sweep import cells
    from genfun.experiments.sweep import sweep as run

    if out is not None:
        _check_out(out)
    data = runnable(target)
    grid = {"learning_rate": learning_rates, "momentum": momenta, "batch_size": batch_sizes}
    with progress() as report:
        swept = run(data, grid, workers, store, steps, replicas, run_seed, "log", report)
    found = agreements(data.problem, cells(swept.isel(step=[-1])), target.noise)
    if out is not None:
        _write(out, swept, found)
    attributes = {key: swept.attrs[key] for key in ("data", "n_samples", "computed", "stored", "recomputed")}
    if as_json:
        asked = {"steps": steps, "replicas": replicas, "run_seed": run_seed, "store": store, "out": out} | grid
        emit_json("sweep", inputs(target, **asked), {"cells": found.rows()} | attributes)
        return
    preamble(target)
    say(f"{replicas} runs of each setting on {data.n_samples} samples\n")
    say(found.table())
    say("")
    say(f"{attributes['computed']} cells computed, {attributes['stored']} found in the store")
    for line in filter(None, attributes["recomputed"].split("; ")):
        say(f"note: damaged and made again: {line}")
    if out is not None:
        say(f"wrote {out}")


def _check_out(out: str) -> None:
    if Path(out).suffix not in (".nc", ".csv"):
        raise ValueError(f"--out must end in .nc or .csv, got {out!r}")
    if not Path(out).resolve().parent.is_dir():
        raise ValueError(f"--out {out!r} lies in a folder that does not exist; make it first")


def _write(out: str, swept: xarray.Dataset, found: Agreements) -> None:
    import csv

    if Path(out).suffix == ".nc":
        swept.to_netcdf(out, engine="scipy")
        return
    rows = found.rows()
    with open(out, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
