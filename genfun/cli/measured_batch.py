"""`genfun critical-batch` and `genfun noise-scale`: how large a batch, from what was measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genfun._display import percent
from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import notes, table_argument
from genfun.cli.output import Block, Grid
from genfun.cli.types import REAL
from genfun.own_runs.columns import DONE, SERIES, find, measured, named, plain, read

if TYPE_CHECKING:
    from genfun.answers.batch.fit_steps import StepsFit


@click.command(
    "critical-batch",
    cls=Job,
    epilog=examples(
        "genfun critical-batch points.csv",
        "genfun critical-batch points.csv --epoch 50000 --out fit.png",
        'genfun critical-batch wandb.csv --x "Batch Size" --y "steps to 0.6" --by model --overhead 0.1',
    ),
)
@table_argument("points", "POINTS.csv")
@click.option("--x", help="Column of the batch sizes  [default: batch_size, bs, batch, ...]")
@click.option("--y", help="Column of the steps to the target  [default: steps, iterations, ...]")
@click.option(
    "--by", multiple=True, help="Column of the series, fitted one by one; again for more  [default: model, ...]"
)
@click.option("--epoch", type=REAL, help="Samples between two checks of the target, where it is checked once an epoch.")
@click.option("--overhead", type=REAL, default="0.2", show_default=True, help="Samples more than at small batches.")
@click.option("--reference", type=REAL, help="The small batch size of --overhead  [default: the smallest]")
@answers(picture=True)
def critical_batch(
    points: Path,
    x: str | None,
    y: str | None,
    by: tuple[str, ...],
    epoch: float | None,
    overhead: float,
    reference: float | None,
) -> Answer:
    """Find the batch size of fewest samples in measured runs.

    POINTS.csv has a column of batch sizes and one of steps to the target, and may have columns that name a series.
    Of several runs of a batch size the mean counts, of several learning rates the best. Batch sizes at which a run did
    not get there, its steps missing or "not reached", are left out. Exports of W&B and Optuna are read as they are.
    """
    from genfun.answers.batch.fit_steps import fit_steps
    from genfun.answers.batch.repeated import fitted_points

    series, remarks = _points(points, x, y, by)
    found = {name: fit_steps(*fitted_points(runs, runs.values()), epoch) for name, runs in series.items()}
    shown: list[Block] = [*notes(remarks)]
    above: dict[str, float] = {}
    for name, f in found.items():
        if name:
            shown.append(f"\n{name}" if shown else name)
        above[name] = f.overhead(overhead, reference)
        least = float(f.batch_sizes.min()) if reference is None else reference
        shown += critical_words(f)
        more = f"by that curve {percent(overhead, 3)} more samples than at batch size {least:g}"
        shown.append(f"{more}: batch size {above[name]:.4g}")
        for share, (low, high) in f.ranges.items():
            shown.append(f"at most {percent(share)} more samples than least: {low:.4g} .. {high:.4g}")
        lines = [(x.name, x.formula, f"{x.misfit:.3f}", f"{x.weight:.2f}", f"{x.batch_size:.4g}") for x in f.families]
        shown.append(Grid(("family", "formula", "misfit", "weight", "fewest samples at"), lines))
        shown += notes(f.notes)

    def rows() -> list[dict[str, Any]]:
        fields = ("name", "formula", "misfit", "weight", "batch_size")
        families = [(name, x) for name, f in found.items() for x in f.families]
        return [{"series": name} | {field: getattr(x, field) for field in fields} for name, x in families]

    def draw() -> Any:
        from genfun.plotting.style import panels

        if len(found) == 1:
            return next(iter(found.values())).plot()
        figure, places = panels(len(found))
        for (name, f), ax in zip(found.items(), places, strict=True):
            f.plot(ax)
            ax.set_title(name, fontsize="medium")
        return figure

    asked = {"points": str(points), "x": x, "y": y, "by": by, "epoch": epoch}
    asked |= {"overhead": overhead, "reference": reference}
    result = {name: vars(f) | {"overhead": above[name]} for name, f in found.items()}
    return Answer(asked, result, shown, rows, draw)


def critical_words(f: StepsFit) -> list[str]:
    """The batch sizes that a fit finds, with intervals, in lines.

    Parameters
    ----------
    f : StepsFit
    """
    (least, most), (low, high) = f.interval, f.ratio_interval
    level = percent(f.level)
    inside = f"fewest samples at batch size {f.batch_size:.4g}, {level} interval {least:.4g} .. {most:.4g}"
    outside = f"fewest samples at an end of the measured batch sizes; {level} interval {least:.4g} .. {most:.4g}"
    ratio = f"{f.ratio:.4g}, {level} interval {low:.4g} .. {high:.4g}"
    if not low <= f.ratio <= high:  # steps that stand still, or fall in proportion throughout: the search's own end
        ratio = f"below {low:.4g}, if any" if f.ratio < low else f"above {high:.4g}, if any"
    return [
        inside if math.isfinite(f.batch_size) else outside,
        f"critical batch size {ratio}: B of steps = A (1 + B/b), where steps and samples are both twice their least",
    ]


def _points(
    path: Path, x: str | None, y: str | None, by: tuple[str, ...]
) -> tuple[dict[str, dict[float, list[float]]], list[str]]:
    """Steps of all runs by batch size, of every series of a file, and what was left out."""
    from genfun.answers.batch.repeated import best_setting

    frame = read(path)
    sizes, steps = find(path, frame, "batch_size", x, "--x"), find(path, frame, "steps", y, "--y")
    groups = [find(path, frame, "series", name, "--by") for name in by] if by else named(frame, SERIES)
    optimizer = find(path, frame, "optimizer")
    if not by and optimizer is not None and frame[optimizer].nunique() > 1:
        groups.append(optimizer)
    tuned = [find(path, frame, what) for what in ("learning_rate", "momentum")]
    tuned = [column for column in tuned if column is not None and column not in groups]
    remarks: list[str] = []
    state = find(path, frame, "state")
    if state is not None:
        done = [plain(entry) in DONE for entry in frame[state]]
        if not all(done):
            remarks.append(f"{done.count(False)} of {len(done)} runs did not finish ({state}) and were left out")
        frame = frame[done]
    b, k = measured(path, frame, sizes), measured(path, frame, steps, censored=True)
    if y is None:
        _refuse_one_length(path, steps, b, k)
    runs: dict[str, dict[float, dict[str, list[float]]]] = {}
    for i, (size, count) in enumerate(zip(b, k, strict=True)):
        name = ", ".join(_called(frame, group, i) for group in groups)
        setting = ", ".join(f"{column} {frame[column].iloc[i]}" for column in tuned)
        runs.setdefault(name, {}).setdefault(size, {}).setdefault(setting, []).append(count)
    series: dict[str, dict[float, list[float]]] = {}
    for name, by_size in runs.items():
        of = f" of {name}" if name else ""
        if any(len(settings) > 1 for settings in by_size.values()):
            several = " and ".join(str(column) for column in tuned if frame[column].nunique() > 1)
            remarks.append(f"several values of {several} at a batch size{of}: those of fewest steps count at each")
        tried = {size: list(settings.values()) for size, settings in by_size.items()}
        kept = {size: settings[best_setting(settings)] for size, settings in tried.items()}
        missed = [f"{size:g}" for size, counts in kept.items() if any(map(math.isnan, counts))]
        if missed:
            remarks.append(f"the target was not reached at batch size {', '.join(missed)}{of}: left out of the fit")
        if len(missed) < len(kept):
            series[name] = kept
    if not series:
        raise ValueError(f"{path} has no points; write a line for every batch size")
    return series, remarks


def _called(frame: Any, group: Any, row: int) -> str:
    """What a series is called: a number says nothing without the name of its column."""
    value = frame[group].iloc[row]
    return f"{group} {value}" if frame[group].dtype.kind in "iuf" else str(value)


def _refuse_one_length(path: Path, column: Any, sizes: list[float], steps: list[float]) -> None:
    """A tracker's counter ends at the length of the run, whatever the batch size: those are no steps to a target."""
    if len(steps) > 2 and len(set(steps)) == 1 and len(set(sizes)) > 1:
        raise ValueError(
            f"{path}: {column!r} is {steps[0]:g} at every batch size, the length of the runs it seems, not the steps "
            f"to a target; choose the column of those by --y (--y {column} if it is the one)"
        )


@click.command(
    "noise-scale",
    cls=Job,
    epilog=examples(
        "genfun noise-scale norms.csv",
        "genfun noise-scale norms.csv --x bs --y grad_norm_sq --json",
    ),
)
@table_argument("norms", "NORMS.csv")
@click.option("--x", help="Column of the batch sizes  [default: batch_size, bs, batch, ...]")
@click.option("--y", help="Column of the SQUARED norms  [default: squared_norm, ...; or grad_norm, which is squared]")
@answers()
def noise_scale(norms: Path, x: str | None, y: str | None) -> Answer:
    """Find the gradient noise scale in measured gradient norms.

    NORMS.csv has a column of batch sizes, at least two different ones, and one of the squared norms of the gradient of
    such batches, all at the same weights.
    """
    from genfun.answers.batch.fit_noise_scale import fit_noise_scale

    frame = read(norms)
    sizes = find(norms, frame, "batch_size", x, "--x")
    squared = find(norms, frame, "squared_norm", y, "--y" if y is not None else "")
    bare = None if squared is not None else find(norms, frame, "norm", None, "--y")
    values = measured(norms, frame, bare if squared is None else squared)
    found = fit_noise_scale(measured(norms, frame, sizes), values if bare is None else [v * v for v in values])
    low, high = found.interval
    shown: list[Block] = [f"gradient noise scale: batch size {found.noise_scale:.4g}"]
    if not math.isnan(low):
        shown.append(f"{percent(found.level)} interval: {low:.4g} .. {high:.4g}")
    shown.append(f"squared norm of the gradient itself: {found.gradient_squared:.4g}")
    shown.append(f"squared norm of the noise of one sample: {found.trace:.4g}")
    shown.append(f"misfit of the line in 1/b: {found.scatter:.2g}, relative")
    remarks = [] if bare is None else [f"column {bare!r} was taken for norms and squared; choose a squared one by --y"]
    return Answer({"norms": str(norms), "x": x, "y": y}, found, shown + notes([*remarks, *found.notes]))
