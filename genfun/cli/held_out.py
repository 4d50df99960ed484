"""The loss on rows that are not trained on, predicted and made least."""

from __future__ import annotations

from typing import Any

import click

from genfun._display import percent
from genfun.cli.answer import Answer, lines_of
from genfun.cli.options import asked, inputs, notes, preamble, remedy, told
from genfun.cli.output import Block, Grid
from genfun.cli.target import Target

OBJECTIVES = ("train", "test", "folds")


def held_out_loss(target: Target, method: Any, steps: tuple[int, ...]) -> Answer:
    """What `genfun predict` answers with held-out rows.

    Parameters
    ----------
    target : Target
        With `held_out`.
    method : SGD
    steps : tuple of int
    """
    from genfun.answers.held_out.prediction import predict_test
    from genfun.answers.words.numbers import figures
    from genfun.methods import SGD
    from genfun.report.encode import plain

    split = target.held_out
    assert split is not None
    if not isinstance(method, SGD):
        raise ValueError("--test and --holdout take constant hyperparameters, got a schedule; give numbers")
    noise: Any = "exact" if target.chosen == "exact" else "measured"
    found = predict_test(split.data, method, list(steps), split.X_test, split.y_test, split.X_train, noise)
    wrong = found.error_rate
    columns = {
        "step": found.steps,
        "test_loss": found.loss,
        "without_batch_noise": found.mean_loss,
        "train_loss": found.train_loss,
        "noise_error": found.noise_error,
    }
    columns |= {} if wrong is None else {"error_rate": wrong}
    headings = ("step", "test loss", "without batch noise", "train loss", "noise error", "wrong")[: len(columns)]
    lines = [
        (f"{t:,}", *(figures(float(x[i]), 6) for x in list(columns.values())[1:4]), f"{found.noise_error[i]:.1e}")
        + (() if wrong is None else (percent(wrong[i], 3),))
        for i, t in enumerate(found.steps)
    ]
    shown: list[Block] = [*preamble(target), told(method), Grid(headings, lines), f"{found.status}: {found.meaning}"]
    shown += remedy(found.status, target.problem, method, target.noise)
    low, high = found.best_range
    where = "the last one looked at: later may be better" if found.at_end else f"{low:,} to {high:,} are within 1 %"
    shown.append(f"least test loss {found.best_loss:.6g} at step {found.best_step:,}  ({where})")
    shown.append(_ridge(found, "test loss"))
    result = plain(found) | {"meaning": found.meaning, "error_rate": plain(wrong)}
    return Answer(inputs(target, method=asked(method)), result, shown, lambda: lines_of(columns), found.plot)


def held_out_best(
    target: Target,
    batch_size: int | None,
    steps: int | None,
    momentum: float | None,
    budget: float | None,
    max_share_of_edge: float,
    objective: Any,
) -> Answer:
    """What `genfun optimize` answers about rows that are not trained on.

    Parameters
    ----------
    target : Target
    batch_size, steps, momentum, budget, max_share_of_edge, objective
        As the options of the command.
    """
    from genfun.answers.best.optimize import optimize
    from genfun.answers.words.numbers import batch
    from genfun.data import LinearData

    split, data = target.held_out, target.source
    if split is not None and objective not in (None, "test"):
        raise ValueError(f"--objective {objective} needs no held-out rows; drop --test and --holdout, or --objective")
    if budget is not None or steps is None:
        raise click.UsageError("the loss on other rows takes --steps, and no --budget", click.get_current_context())
    if not isinstance(data, LinearData) or target.chosen != "measured":
        raise ValueError(f"--objective {objective} needs data and their own noise; drop the options of the noise")
    rows = {} if split is None else {"X_test": split.X_test, "y_test": split.y_test, "X_train": split.X_train}
    o = optimize(
        data, batch_size, steps, momentum, max_share_of_edge=max_share_of_edge, objective=objective or "test", **rows
    )
    m = o.method
    shown: list[Block] = [
        *preamble(target),
        f"least mean loss {o.loss:.6g} by {o.by} at step {o.steps:,}, batch size {batch(m.batch_size)}; without batch "
        f"noise {o.mean_loss:.6g}, on the training samples {o.train_loss:.6g}",
        f"learning rate {m.learning_rate:.5g}  ({percent(o.share_of_edge)} of the edge)",
        f"momentum      {m.momentum:.4g}",
        f"its least loss up to there is at step {o.best_step:,}",
        _ridge(o, "loss"),
    ]

    def draw() -> Any:
        from genfun.answers.held_out.leave_one_out import leave_one_out
        from genfun.answers.held_out.prediction import predict_test

        found = leave_one_out(data, m, o.steps) if split is None else predict_test(data, m, o.steps, **rows)
        return found.plot()

    given = {"steps": steps, "max_share_of_edge": max_share_of_edge, "objective": objective or "test"}
    return Answer(inputs(target, **given), o, shown + notes(o.bounds), draw=draw)


def _ridge(found: Any, what: str) -> str:
    return f"ridge regression, without training: {what} {found.ridge_loss:.6g} at penalty {found.ridge_penalty:.3g}"
