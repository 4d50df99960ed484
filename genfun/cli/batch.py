"""`genfun batch-size`, `genfun critical-batch` and `genfun big-batch`: how large a batch, predicted or measured."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import click

from genfun.cli.answer import Answer, answers, lines_of
from genfun.cli.group import Job, examples
from genfun.cli.options import MOMENTUM, aim_of, aims, asked, inputs, notes, preamble, setting
from genfun.cli.output import Block, Grid
from genfun.cli.target import Target, on_target
from genfun.cli.types import REAL, REALS, WHOLES


@click.command(
    "batch-size",
    cls=Job,
    epilog=examples(
        "genfun batch-size mnist --learning-rate 0.3 --share 0.1 --out samples.png",
        "genfun batch-size power-law --nu 1.5 --zeta 0.5 --learning-rate 0.5 --loss 0.01 --step-time 1e-3,1e-5",
    ),
)
@on_target
@click.option("--learning-rate", type=REAL, help="alpha at every batch size; left out, the best at each.")
@MOMENTUM
@aims
@click.option("--step-time", metavar="A,C", help="A step takes A + C b seconds: also the fastest batch size.")
@answers(picture=True)
def batch_size(
    target: Target,
    learning_rate: float | None,
    momentum: float,
    loss: float | None,
    share: float | None,
    step_time: str | None,
) -> Answer:
    """Count steps and samples to a loss at every batch size."""
    from genfun.answers.batch.critical_batch import BEST_RATE, critical_batch_size
    from genfun.methods import SGD

    context = click.get_current_context()
    if learning_rate is None and momentum != 0.0:
        raise click.UsageError("--momentum goes with --learning-rate; leave both out for the best rates", context)
    aim, _ = aim_of(target, loss, share)
    what = BEST_RATE if learning_rate is None else SGD(learning_rate, momentum)
    clock = None
    if step_time is not None:
        clock = REALS.convert(step_time, None, context)
        if len(clock) != 2:
            raise ValueError(f"--step-time must be two numbers A,C, got {step_time!r}; e.g. 1e-3,1e-5")
    c = critical_batch_size(target.problem, what, loss=aim, noise=target.noise, step_time=clock)
    rates = [None if method is None else method.learning_rate for method in c.methods]
    chosen = [i for i, b in enumerate(c.batch_sizes) if b & (b - 1) == 0 or b in (c.batch_size, c.batch_sizes[-1])]
    lines = []
    for i in chosen:
        rate = "" if rates[i] is None else f"{rates[i]:.4g}"
        lines.append((str(c.batch_sizes[i]), rate, f"{c.steps[i]:,.0f}", f"{c.samples[i]:,.0f}"))
    shown: list[Block] = [*preamble(target), f"to loss {aim:.6g}: {c.meaning}"]
    shown.append(Grid(("batch size", "rate", "steps", "samples"), lines))
    if c.batch_size is not None:
        for more, (low, high) in c.ranges.items():
            shown.append(f"at most {more:.0%} more samples than least: batch sizes {low} .. {high}")
    if c.closed_form is not None:
        shown.append(f"signal-phase formula: critical batch size {c.closed_form.batch_size:.4g}")
    if c.fastest is not None:
        shown.append(f"fastest: batch size {c.fastest[0]}, {c.fastest[1]:.4g} s")
    columns = {"batch_size": c.batch_sizes, "learning_rate": rates, "steps": c.steps, "samples": c.samples}
    return Answer(
        inputs(target, loss=aim, step_time=clock),
        c,
        shown + notes(c.notes),
        lambda: lines_of(columns),
        c.plot,
    )


@click.command(
    "critical-batch",
    cls=Job,
    epilog=examples(
        "genfun critical-batch points.csv",
        "genfun critical-batch points.csv --epoch 50000 --out fit.png",
    ),
)
@click.argument("points", metavar="POINTS.csv", type=click.Path(path_type=Path))
@click.option("--epoch", type=REAL, help="Samples between two checks of the target, where it is checked once an epoch.")
@answers(picture=True)
def critical_batch(points: Path, epoch: float | None) -> Answer:
    """Find the batch size of fewest samples in measured runs.

    POINTS.csv has the columns batch_size and steps (to the target), and may have the columns workload and series,
    which are fitted one by one.
    """
    from genfun.answers.batch.fit_steps import fit_steps

    found = {name: fit_steps(b, k, epoch) for name, (b, k) in _points(points).items()}
    shown: list[Block] = []
    for name, f in found.items():
        if name:
            shown.append(name)
        best = f"batch size {f.batch_size:.4g}" if math.isfinite(f.batch_size) else f.notes[0]
        shown.append(f"{f.status}: {best}")
        ends = f"{f.interval[0]:.4g} .. {f.interval[1]:.4g}"
        shown.append(f"{f.level:.0%} interval of the batch size of fewest samples: {ends}")
        ends = f"{f.ratio_interval[0]:.4g} .. {f.ratio_interval[1]:.4g}"
        shown.append(
            f"B of A (1 + B/b), twice the least steps and samples: {f.ratio:.4g}, {f.level:.0%} interval {ends}"
        )
        small = f"{f.batch_sizes.min():g}"
        shown.append(f"by that curve 20% more samples than at batch size {small}: batch size {f.overhead(0.2):.4g}")
        for share, (low, high) in f.ranges.items():
            shown.append(f"at most {share:.0%} more samples than least: {low:.4g} .. {high:.4g}")
        lines = [(x.name, x.formula, f"{x.misfit:.3f}", f"{x.weight:.2f}", f"{x.batch_size:.4g}") for x in f.families]
        shown.append(Grid(("family", "formula", "misfit", "weight", "batch size"), lines))
        shown += notes(f.notes)

    def rows() -> list[dict[str, Any]]:
        fields = ("name", "formula", "misfit", "weight", "batch_size")
        families = [(name, x) for name, f in found.items() for x in f.families]
        return [{"series": name} | {field: getattr(x, field) for field in fields} for name, x in families]

    def draw() -> Any:
        if len(found) > 1:
            raise ValueError(f"--out draws one series, got {len(found)}; keep one in the file")
        return next(iter(found.values())).plot()

    return Answer({"points": str(points), "epoch": epoch}, found, shown, rows, draw)


def _points(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Batch sizes and steps of every series of a file."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = {"batch_size", "steps"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} must have the columns batch_size and steps, lacks {', '.join(sorted(missing))}")
        series: dict[str, tuple[list[float], list[float]]] = {}
        for number, row in enumerate(reader, start=2):
            name = ", ".join(row[key] for key in ("workload", "series") if row.get(key))
            values: list[Any] = []
            for key in ("batch_size", "steps"):
                try:
                    values.append(float(row[key]))
                except (TypeError, ValueError):
                    raise ValueError(f"{path}, line {number}: {key} must be a number, got {row[key]!r}") from None
            sizes, steps = series.setdefault(name, ([], []))
            sizes.append(values[0])
            steps.append(values[1])
    if not series:
        raise ValueError(f"{path} has no points; write a line for every batch size")
    return series


@click.command(
    "big-batch",
    cls=Job,
    epilog=examples(
        "genfun big-batch mnist --learning-rate 0.3 --batch-size 10 --steps 0,10,100,1000 --out growth.png",
        "genfun big-batch mnist --model pixels --learning-rate 0.3 --batch-size 10 --steps 0,100 --theta 0.7 --json",
    ),
)
@on_target
@setting
@click.option("--steps", type=WHOLES, required=True, help="Steps, with commas.")
@click.option("--theta", type=REAL, default="0.5", show_default=True, help="Of the acceptance test.")
@answers(picture=True)
def big_batch(
    target: Target,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    steps: tuple[int, ...],
    theta: float,
) -> Answer:
    """Predict the noise scale and Big Batch SGD's batches."""
    from genfun.answers.batch.big_batch import big_batch as ask
    from genfun.answers.batch.noise_scale import noise_scale
    from genfun.answers.words.numbers import loss
    from genfun.methods import SGD

    method = SGD(learning_rate, momentum, batch_size)
    only = target.expressible
    fixed = noise_scale(target.problem, method, steps, only)
    grown = ask(target.problem, method, steps, theta, only)
    columns = {"step": steps, "noise_scale": fixed.samples, "batch_grown": grown.batch_size, "loss": grown.loss}
    rows = lines_of(columns)
    unknown = math.nan if target.problem.signal_total > 0.0 else -math.inf
    lines = [
        (f"{r['step']:,}", f"{r['noise_scale']:,.4g}", f"{r['batch_grown']:,.4g}", loss(r["loss"], unknown, 4))
        for r in rows
    ]
    shown: list[Block] = [*preamble(target, only), repr(method)]
    shown.append(Grid(("step", "noise scale", "batch grown", "loss, batch grown"), lines))
    shown.append("noise scale: batch size at which noise and gradient are equally large, with the batch size fixed")
    if grown.full_batch_step is not None:
        shown.append(f"the grown batch is full from step {grown.full_batch_step:,}")
    return Answer(
        inputs(target, only, method=asked(method), theta=theta),
        {"noise_scale": fixed, "big_batch": grown},
        shown,
        lambda: rows,
        grown.plot,
    )
