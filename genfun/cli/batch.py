"""`genfun batch-size`, `genfun critical-batch` and `genfun big-batch`: how large a batch, predicted or measured."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import click

from genfun.cli.answers import AS_JSON, MOMENTUM, RATE, aim_of, aims, inputs, preamble, setting
from genfun.cli.group import examples
from genfun.cli.output import emit_json, say, table
from genfun.cli.target import Target, on_target
from genfun.cli.types import REAL, REALS, WHOLES


@click.command(
    "batch-size",
    epilog=examples(
        "genfun batch-size mnist --learning-rate 0.3 --share 0.1",
        "genfun batch-size power-law --nu 1.5 --zeta 0.5 --learning-rate 0.5 --loss 0.01 --step-time 1e-3,1e-5",
    ),
)
@on_target
@click.option("--learning-rate", type=REAL, help="alpha at every batch size; left out, the best at each.")
@MOMENTUM
@aims
@click.option("--step-time", metavar="A,C", help="A step takes A + C b seconds: also the fastest batch size.")
@AS_JSON
def batch_size(
    target: Target,
    learning_rate: float | None,
    momentum: float,
    loss: float | None,
    share: float | None,
    step_time: str | None,
    as_json: bool,
) -> None:
    """Count steps and samples to a loss at every batch size."""
    from genfun.answers.batch.critical_batch import BEST_RATE, critical_batch_size
    from genfun.methods import SGD
    from genfun.report.encode import plain

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
    if as_json:
        emit_json("batch-size", inputs(target, loss=aim, step_time=clock), plain(c))
        return
    preamble(target)
    say(f"to loss {aim:.6g}: {c.meaning}")
    chosen = [i for i, b in enumerate(c.batch_sizes) if b & (b - 1) == 0 or b in (c.batch_size, c.batch_sizes[-1])]
    rows = []
    for i in chosen:
        method = c.methods[i]
        rate = "" if method is None else f"{method.learning_rate:.4g}"
        rows.append((str(c.batch_sizes[i]), rate, f"{c.steps[i]:,.0f}", f"{c.samples[i]:,.0f}"))
    table(("batch size", "rate", "steps", "samples"), rows)
    if c.batch_size is not None:
        for more, (low, high) in c.ranges.items():
            say(f"at most {more:.0%} more samples than least: batch sizes {low} .. {high}")
    if c.closed_form is not None:
        say(f"signal-phase formula: critical batch size {c.closed_form.batch_size:.4g}")
    if c.fastest is not None:
        say(f"fastest: batch size {c.fastest[0]}, {c.fastest[1]:.4g} s")
    for note in c.notes:
        say(f"note: {note}")


@click.command(
    "critical-batch",
    epilog=examples(
        "genfun critical-batch points.csv",
        "genfun critical-batch points.csv --epoch 50000 --json",
    ),
)
@click.argument("points", metavar="POINTS.csv", type=click.Path(path_type=Path))
@click.option("--epoch", type=REAL, help="Samples between two checks of the target, where it is checked once an epoch.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture (.png, .svg, .pdf) and its CSV.")
@AS_JSON
def critical_batch(points: Path, epoch: float | None, plot: Path | None, as_json: bool) -> None:
    """Find the batch size of fewest samples from measured points.

    POINTS.csv has the columns batch_size and steps (to the target), and may have the columns workload and series,
    which are fitted one by one.
    """
    from genfun.answers.batch.fit_steps import fit_steps
    from genfun.report.encode import plain

    found = {name: fit_steps(b, k, epoch) for name, (b, k) in _points(points).items()}
    if plot is not None:
        if len(found) > 1:
            raise ValueError(f"--plot draws one series, got {len(found)}; keep one in the file")
        from genfun import plotting

        plotting.save(next(iter(found.values())).plot(), plot)
    if as_json:
        emit_json("critical-batch", {"points": str(points), "epoch": epoch}, {n: plain(f) for n, f in found.items()})
        return
    for name, f in found.items():
        if name:
            say(name)
        say(f"{f.status}: " + (f"batch size {f.batch_size:.4g}" if math.isfinite(f.batch_size) else f.notes[0]))
        say(f"{f.level:.0%} interval of the batch size of fewest samples: {f.interval[0]:.4g} .. {f.interval[1]:.4g}")
        for share, (low, high) in f.ranges.items():
            say(f"at most {share:.0%} more samples than least: {low:.4g} .. {high:.4g}")
        rows = [(x.name, x.formula, f"{x.misfit:.3f}", f"{x.weight:.2f}", f"{x.batch_size:.4g}") for x in f.families]
        table(("family", "formula", "misfit", "weight", "batch size"), rows)
        for note in f.notes:
            say(f"note: {note}")


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
    epilog=examples(
        "genfun big-batch mnist --learning-rate 0.3 --batch-size 10 --steps 0,10,100,1000",
        "genfun big-batch mnist --model pixels --learning-rate 0.3 --batch-size 10 --steps 0,100 --theta 0.7 --json",
    ),
)
@on_target
@RATE
@click.option("--steps", type=WHOLES, required=True, help="Steps, with commas.")
@click.option("--theta", type=REAL, default="0.5", show_default=True, help="Of the acceptance test.")
@setting
def big_batch(
    target: Target,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    steps: tuple[int, ...],
    theta: float,
    as_json: bool,
) -> None:
    """Predict the noise scale and the batch sizes of Big Batch SGD."""
    from genfun.answers.batch.big_batch import big_batch as ask
    from genfun.answers.batch.noise_scale import noise_scale
    from genfun.methods import SGD
    from genfun.report.encode import plain

    optimizer = SGD(learning_rate, momentum, batch_size)
    fixed = noise_scale(target.problem, optimizer, steps, target.noise)
    grown = ask(target.problem, optimizer, steps, theta, target.noise)
    if as_json:
        result = {"noise_scale": plain(fixed), "big_batch": plain(grown)}
        emit_json("big-batch", inputs(target, optimizer=plain(optimizer), theta=theta), result)
        return
    preamble(target)
    say(repr(optimizer))
    rows = [
        (f"{t:,}", f"{fixed.samples[i]:,.4g}", f"{grown.batch_size[i]:,.4g}", f"{grown.loss[i]:.4g}")
        for i, t in enumerate(steps)
    ]
    table(("step", "noise scale", "batch grown", "loss, batch grown"), rows)
    say("noise scale: batch size at which noise and gradient are equally large, with the batch size fixed")
    if grown.full_batch_step is not None:
        say(f"the grown batch is full from step {grown.full_batch_step:,}")
