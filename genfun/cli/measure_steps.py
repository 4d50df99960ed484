"""`genfun measure-steps`: train a torch model at many batch sizes, and count the steps to a loss."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import click

from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.measured_batch import critical_words
from genfun.cli.options import notes
from genfun.cli.output import Block, Grid, progress
from genfun.cli.runs import kept
from genfun.cli.types import REAL, REALS, WHOLE, WHOLES


@click.command(
    "measure-steps",
    cls=Job,
    epilog=examples(
        "genfun measure-steps task.py --batch-sizes 4,8,16,32,64 --target 0.2 --learning-rates 0.05",
        "genfun measure-steps task.py --batch-sizes 8,32,128,512 --target 0.2 --learning-rates 3e-4,1e-3 "
        "--optimizers adam,rmsprop --store runs --out steps.csv",
    ),
)
@click.argument("file", metavar="FILE.py", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--batch-sizes", type=WHOLES, required=True, help="e.g. 4,8,16,32")
@click.option(
    "--target", "--loss", "target", type=REAL, required=True, help="The loss over all samples that is to be reached."
)
@click.option("--learning-rates", type=REALS, required=True, help="Of several, the best counts at each batch size.")
@click.option("--optimizers", default="sgd", show_default=True, help="Of sgd,momentum,nesterov,adam,adamw,rmsprop.")
@click.option(
    "--scaling",
    type=click.Choice(("fixed", "linear", "root")),
    default="fixed",
    show_default=True,
    help="How rates follow the batch size; they are those of the smallest.",
)
@click.option("--runs", type=WHOLE, default="5", show_default=True, help="Of each batch size and rate.")
@click.option("--max-steps", type=WHOLE, default="20000", show_default=True, help="Then a run is given up.")
@click.option("--max-samples", type=REAL, help="Or after so many samples.")
@click.option(
    "--sampling",
    type=click.Choice(("epochs", "fresh")),
    default="epochs",
    show_default=True,
    help="One shuffle an epoch, or batches drawn anew.",
)
@click.option("--run-seed", type=WHOLE, default="0", show_default=True, help="Seed of the batches.")
@click.option(
    "--store", type=click.Path(file_okay=False), help="Folder that keeps finished runs; the same command goes on."
)
@answers()
def measure_steps(
    file: Path,
    batch_sizes: tuple[int, ...],
    target: float,
    learning_rates: tuple[float, ...],
    optimizers: str,
    scaling: str,
    runs: int,
    max_steps: int,
    max_samples: float | None,
    sampling: str,
    run_seed: int,
    store: str | None,
) -> Answer:
    """Train to a loss at many batch sizes, and count steps.

    FILE.py is your own and is run: its function `task()` returns (model, loss_fn, (inputs, targets)) in torch. What is
    not reached in time is censored, and left out of the fit of the critical batch size. A .csv has a line for every
    run.
    """
    from genfun.experiments.steps.measure import measure_steps as measure

    model, loss_fn, data = _task(file)
    power = {"fixed": 0.0, "linear": 1.0, "root": 0.5}[scaling]

    def rates(b: int) -> list[float]:
        return [rate * (b / min(batch_sizes)) ** power for rate in learning_rates]

    found = {}
    for name in [word.strip() for word in optimizers.split(",")]:
        with kept(store), progress() as report:
            found[name] = measure(
                model,
                loss_fn,
                data,
                name,
                batch_sizes,
                target,
                rates,
                runs,
                max_steps,
                max_samples,
                sampling,
                run_seed,
                store,
                report,
            )
    shown: list[Block] = []
    fits: dict[str, Any] = {}
    for name, m in found.items():
        shown.append(f"{name}: steps to a loss of {target:.6g}, {runs} runs each")
        lines = [
            (str(b), f"{rate:.4g}", _steps(mean, runs_of, int(limit)), f"{mean * b:,.0f}" if reached else "")
            for b, rate, mean, runs_of, limit, reached in zip(
                m.batch_sizes, m.learning_rates, m.means, m.steps, m.limits, m.reached, strict=True
            )
        ]
        shown.append(Grid(("batch size", "rate", "steps", "samples"), lines))
        fewest = m.fewest_steps
        shown.append(
            f"batch size of fewest steps: {'none, steps fall up to the largest' if fewest is None else fewest}"
        )
        if m.reached.sum() >= 4:
            f = fits[name] = m.fit()
            shown += [*critical_words(f), *notes(f.notes)]
        else:
            shown.append("note: no fit; four batch sizes or more must reach the target in every run")
    inputs = {"file": str(file), "target": target, "scaling": scaling, "sampling": sampling, "run_seed": run_seed}
    result = {name: {"measured": m, "fewest_steps": m.fewest_steps, "fit": fits.get(name)} for name, m in found.items()}
    return Answer(inputs, result, shown, lambda: [row for m in found.values() for row in m.rows()])


def _steps(mean: float, runs: Any, limit: int) -> str:
    import numpy as np

    missed = int(np.isinf(runs).sum())
    return f"{mean:,.1f}" if missed == 0 else f"beyond {limit:,} in {missed} of {runs.size}"


def _task(file: Path) -> tuple[Any, Any, Any]:
    if file.suffix != ".py":
        raise ValueError(f"{file} must be a file of Python, with a function task(); see genfun measure-steps --help")
    make = runpy.run_path(str(file)).get("task")
    found = make() if callable(make) else None
    if not (isinstance(found, tuple | list) and len(found) == 3):
        raise ValueError(f"{file} must have a function task() that returns (model, loss_fn, (inputs, targets))")
    return found[0], found[1], found[2]
