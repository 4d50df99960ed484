"""`genfun prune`: which trials of a sweep must diverge, before or after they ran."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import click

from genfun._display import several
from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import inputs, notes, preamble, table_argument
from genfun.cli.output import Block, Grid, progress
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCH, REAL, batch
from genfun.own_runs.columns import DONE, find, measured, plain, read

NEAR = 0.9
"""Share of the edge beyond which rare runs carry the mean."""
MOST = 60
"""Trials that are printed; all are in the files."""
SGD_NAMES = {"sgd", "momentum", "heavyball", "torchoptimsgd"}
UNKNOWN = {"max_rate": math.nan, "share": math.nan, "verdict": "not judged", "why": "not SGD"}


@click.command(
    cls=Job,
    epilog=examples(
        "genfun prune sweep.csv --data mnist",
        "genfun prune optuna.csv --data homes.csv --standardize --intercept --batch-size 32 --out kept.csv",
        "genfun prune wandb.csv --data features.npz --x lr --momentum 0.9 --batch-size full --json",
    ),
)
@table_argument("sweep", "SWEEP.csv")
@functools.partial(on_target, flag="--data")
@click.option("--x", help="Column of the learning rates  [default: lr, learning_rate, ...]")
@click.option("--batch-size", type=BATCH, help="Of trials without a column of it, or `full`.")
@click.option("--momentum", type=REAL, default="0", show_default=True, help="Of trials without a column of it.")
@click.option("--mse", is_flag=True, help="The loss is torch.nn.MSELoss: rates count 2/outputs times.")
@answers()
def prune(sweep: Path, target: Target, x: str | None, batch_size: int | None, momentum: float, mse: bool) -> Answer:
    """Say which trials of a sweep must diverge, and why.

    SWEEP.csv has a trial a line, planned or finished: lr, and momentum and batch size where they vary. Exports of
    Optuna and W&B are read as they are, and where there is a state or a final loss, it is compared. A trial is out
    where its rate is beyond the largest at which the mean loss converges; within 10 % below it a trial is near the
    edge, where few runs decide. Trials of other optimizers than SGD are not judged.
    """
    frame = read(sweep)
    rates = measured(sweep, frame, find(sweep, frame, "learning_rate", x, "--x"))
    settings = list(zip(_column(sweep, frame, "momentum", momentum), _sizes(sweep, frame, batch_size), strict=True))
    kinds = find(sweep, frame, "optimizer")
    judged = [True] * len(frame) if kinds is None else [plain(kind) in SGD_NAMES for kind in frame[kinds]]
    limits = _limits(target, [setting for setting, known in zip(settings, judged, strict=True) if known])
    scale = 2.0 / getattr(target.source, "n_outputs", 1) if mse else 1.0
    trials = []
    for i, (rate, (beta, size), known) in enumerate(zip(rates, settings, judged, strict=True)):
        line = int(frame.index[i]) + frame.attrs["first"]
        trial = {"line": line, "batch_size": size, "momentum": beta, "learning_rate": rate}
        trials.append(trial | (_verdict(scale * rate, scale, limits[beta, size]) if known else UNKNOWN))
    remarks = []
    outcomes = _outcomes(sweep, frame)
    if outcomes is not None:
        for trial, outcome in zip(trials, outcomes, strict=True):
            trial["outcome"] = outcome
        remarks = _against(trials, mse)
    asked = {"sweep": str(sweep), "batch_size": batch_size, "momentum": momentum, "mse": mse}
    return Answer(inputs(target, **asked), {"trials": trials}, _shown(target, trials) + notes(remarks), lambda: trials)


def _limits(target: Target, settings: list[Any]) -> dict[Any, Any]:
    """The largest stable rate of each momentum and batch size that occurs."""
    from genfun.report.limits import rate_limit

    noise, different = target.noise, list(dict.fromkeys(settings))
    limits = {}
    with progress() as say:
        for i, (beta, size) in enumerate(different):
            say(i / len(different), "largest learning rates")
            limits[beta, size] = rate_limit(target.problem, beta, size, noise)
    return limits


def _verdict(rate: float, scale: float, limit: Any) -> dict[str, Any]:
    share = rate / limit.learning_rate if limit.learning_rate > 0.0 else math.inf
    error = 0.0 if math.isnan(limit.noise_error) else limit.noise_error
    verdict = "diverges" if share > 1.0 + error else "near the edge" if share > NEAR else "converges"
    why = "" if share <= NEAR else "curvature" if rate > limit.popular or limit.limit == "curvature" else "batch noise"
    return {"max_rate": limit.learning_rate / scale, "share": share, "verdict": verdict, "why": why}


def _shown(target: Target, trials: list[dict[str, Any]]) -> list[Block]:
    from genfun.answers.words.numbers import batch as batch_words
    from genfun.answers.words.numbers import figures

    out = [trial["why"] for trial in trials if trial["verdict"] == "diverges"]
    near = sum(trial["verdict"] == "near the edge" for trial in trials)
    shown: list[Block] = [*preamble(target)]
    shown.append(
        f"{len(out)} of {len(trials)} trials must diverge, {near} more {'is' if near == 1 else 'are'} near the edge"
    )
    noisy = out.count("batch noise")
    if noisy:
        shown.append(f"{noisy} of them by batch noise: curvature alone, 2(1+beta)/lambda_max, would let them pass")
    headings = ["line", "batch", "momentum", "rate", "largest rate", "rate over largest", "verdict", "why"]
    headings += ["outcome"] if trials and "outcome" in trials[0] else []
    lines = [
        (
            str(t["line"]), batch_words(t["batch_size"]), f"{t['momentum']:.4g}", figures(t["learning_rate"]),
            figures(t["max_rate"]), figures(t["share"], 3),
            t["verdict"].replace(" the ", " "), t["why"].removeprefix("batch "),
            *([t["outcome"]] if "outcome" in t else []),
        )
        for t in trials[:MOST]
    ]  # fmt: skip
    shown.append(Grid(headings, lines, keys=4))
    if len(trials) > MOST:
        shown.append(f"and {len(trials) - MOST} more; --out x.csv writes all")
    return shown


def _against(trials: list[dict[str, Any]], mse: bool) -> list[str]:
    """The verdicts against what became of the trials."""
    blew = [trial["verdict"] for trial in trials if trial["outcome"] == "blew up"]
    ended = [trial["verdict"] for trial in trials if trial["outcome"] == "finished"]
    remarks = (
        [f"of {several(len(blew), 'trials')} that blew up, {blew.count('diverges')} must diverge by theory"]
        if blew
        else []
    )
    if "diverges" in ended:
        finished = several(ended.count("diverges"), "trials")
        told = f"{finished} finished though the mean loss must diverge: too few steps to show it"
        remarks.append(told if mse else told + ", or the loss is torch.nn.MSELoss (--mse)")
    return remarks


def _column(path: Path, frame: Any, what: str, other: float) -> list[float]:
    """A column where there is one, with the other value in its gaps."""
    found = find(path, frame, what)
    if found is None:
        return [other] * len(frame)
    return [other if math.isnan(v) else v for v in measured(path, frame, found, censored=True)]


def _sizes(path: Path, frame: Any, other: int | None) -> list[int | None]:
    found = find(path, frame, "batch_size")
    given = click.get_current_context().get_parameter_source("batch_size") == click.core.ParameterSource.COMMANDLINE
    if found is None:
        if not given:
            found = ", ".join(map(str, frame.columns))
            raise ValueError(f"{path} has no column of batch sizes; it has {found}: give --batch-size or `full`")
        return [other] * len(frame)
    sizes: list[int | None] = []
    for label, entry in frame[found].items():
        try:
            sizes.append(batch(f"{entry:g}" if isinstance(entry, float) else str(entry)))
        except ValueError as error:
            raise ValueError(f"{path}, line {label + frame.attrs['first']}: {found} {error}") from None
    return sizes


def _outcomes(path: Path, frame: Any) -> list[str] | None:
    """What became of trials: "finished", "blew up" (failed, or a loss that is no number), "crashed" or "not run"."""
    state, loss = find(path, frame, "state"), find(path, frame, "loss")
    if state is None and loss is None:
        return None
    count = len(frame)
    states = [""] * count if state is None else [plain(entry) for entry in frame[state]]
    losses = [0.0] * count if loss is None else measured(path, frame, loss, censored=True)
    words = []
    for told, value in zip(states, losses, strict=True):
        ended = told in DONE or (told == "" and not math.isnan(value))
        blew = math.isnan(value) if told in (*DONE, "", "crashed") else told in ("failed", "fail", "diverged")
        words.append("blew up" if blew else "finished" if ended else told or "not run")
    return words
