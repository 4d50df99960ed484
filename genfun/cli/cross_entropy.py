"""--cross-entropy: a linear classifier on TARGET, trained under cross-entropy in place of squared loss."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from genfun._display import percent, several
from genfun.cli.answer import PICTURES, Answer, lines_of
from genfun.cli.options import asked, notes, told
from genfun.cli.output import Block, Grid

if TYPE_CHECKING:
    from genfun.cli.target import Target
    from genfun.softmax.data import SoftmaxData

RISE = 0.1
"""By how much the loss may rise above its least value so far, where that is not said."""


def probe_of(target: Target) -> tuple[SoftmaxData, dict[str, Any]]:
    """The classifier's data, and the held-out rows if there are any, as `genfun.predict_test` takes them.

    Parameters
    ----------
    target : Target
        Whose targets are labels: of a table a column for each class, of the digits their number.
    """
    from genfun.data import LinearData
    from genfun.softmax.data import SoftmaxData

    data, split = target.source, target.held_out
    if not isinstance(data, LinearData):
        raise ValueError("--cross-entropy needs features and labels, and this file holds a spectrum or a kernel")
    labels = _labels(data.targets)
    if split is None:
        # Turned to their eigenfeatures, which SGD does not see.
        return SoftmaxData.from_features(data.eigenfeatures, labels), {}
    if split.X_train is None:
        raise ValueError("--cross-entropy takes held-out rows of features, and this is a kernel; use --model pixels")
    X_train, X_test = (_dense(X) for X in (split.X_train, split.X_test))
    scale = float(np.sqrt((data.eigenvalues.sum() * len(X_train)) / np.square(X_train).sum()))
    rows = {"X_test": X_test * scale, "y_test": _labels(split.y_test, data.targets)}
    return SoftmaxData.from_features(X_train * scale, labels), rows


def _dense(features: Any) -> Any:
    return np.asarray(features.toarray() if hasattr(features, "toarray") else features, dtype=np.float64)


def _labels(targets: Any, known: Any = None) -> Any:
    """Classes by their positions: the largest of several columns, or which of the known values it is."""
    values = np.asarray(targets).reshape(len(targets), -1)
    if values.shape[1] > 1:
        return values.argmax(axis=1)
    classes = np.unique(values[:, 0] if known is None else known)
    if not np.isin(values, classes).all():
        raise ValueError(
            "held-out rows have a label that no training row has; hold out fewer, or by another --split-seed"
        )
    return np.searchsorted(classes, values[:, 0])


def edge_answer(
    target: Target, momentum: float, batch_size: int | None, steps: int | None = None, rise: float | None = None
) -> Answer:
    """What `genfun max-lr` answers under cross-entropy.

    Parameters
    ----------
    target : Target
    momentum : float
    batch_size : int or None
    steps : int or None
        Up to which the loss is followed for the largest rate at which it rises little; None tells the start edge alone.
    rise : float or None
        How little; None is a tenth.
    """
    from genfun.answers import max_learning_rate
    from genfun.answers.words.numbers import batch
    from genfun.methods import SGD
    from genfun.softmax.rise import largest_rate

    _undrawn()
    if steps is None and rise is not None:
        raise click.UsageError("give --steps, up to which the loss may rise by --rise", click.get_current_context())
    data, _ = probe_of(target)
    edge = max_learning_rate(data, momentum, batch_size)
    asked_for: dict[str, Any] = {"momentum": momentum, "batch_size": batch_size}
    result: dict[str, Any] = {"start_edge": edge, "classes": len(data.classes)}
    risen: list[Block] = []
    if steps is not None:
        share = RISE if rise is None else rise
        found = largest_rate(data, SGD(1.0, momentum, batch_size), share, steps)
        asked_for |= {"steps": steps, "rise": share}
        result |= {"rate_of_rise": found}
        what = f"the loss rises by no more than {share:.3g} of its least up to step {steps:,}"
        far = f"up to twice the start edge, beyond which nothing is predicted, {what}"
        risen = [
            far if found is None else f"largest rate at which {what}: {found:.3g}  ({found / edge:.2g} of the edge)"
        ]
    return Answer(
        _inputs(target, data, **asked_for),
        result,
        [
            *_preamble(target, data),
            f"batch size {batch(batch_size)}, momentum {momentum:g}",
            f"start edge:                   {edge:.6g}  ({len(data.classes)} times that of squared loss)",
            f"effective, alpha/(1-beta):    {edge / (1.0 - momentum):.6g}",
            "beyond it the first steps grow; a largest stable learning rate does not exist under cross-entropy",
            *risen,
        ],
    )


def curve_answer(target: Target, method: Any, steps: tuple[int, ...], overlay: bool) -> Answer:
    """What `genfun predict` answers under cross-entropy.

    Parameters
    ----------
    target : Target
    method : SGD
    steps : tuple of int
    overlay : bool
        Whether runs are to be laid over it, which is refused.
    """
    from genfun.answers import predict
    from genfun.answers.held_out.prediction import predict_test
    from genfun.answers.words.numbers import figures
    from genfun.methods import SGD

    if overlay:
        raise ValueError("--overlay lays runs over the curve of squared loss; drop --cross-entropy or --overlay")
    if not isinstance(method, SGD):
        raise ValueError("--cross-entropy takes constant hyperparameters, got a schedule; give numbers")
    data, rows = probe_of(target)
    found = shown_curve = predict(data, method, list(steps))
    columns = {"step": found.steps, "loss": found.loss, "error_rate": found.error_rate, "error": found.error}
    headings = ["step", "mean loss", "wrong", "relative error"]
    result = {name: getattr(found, name) for name in ("steps", "loss", "error_rate", "error")}
    result |= {"status": found.status, "meaning": found.meaning, "separable": found.separable}
    lines = [[f"{t:,}", figures(float(found.loss[i]), 6), percent(found.error_rate[i], 3), f"{found.error[i]:.1e}"]
             for i, t in enumerate(found.steps)]  # fmt: skip
    shown: list[Block] = [*_preamble(target, data), told(method)]
    if rows:
        other = shown_curve = predict_test(data, method, list(steps), **rows)
        held_out = {"test_loss": other.loss, "test_error_rate": other.error_rate}
        columns, result = columns | held_out, result | held_out
        headings += ["test loss", "test wrong"]
        for i, line in enumerate(lines):
            line += [figures(float(other.loss[i]), 6), percent(other.error_rate[i], 3)]
    shown += [Grid(tuple(headings), [tuple(line) for line in lines]), f"{found.status}: {found.meaning}"]
    if found.separable:
        shown.append(
            "the classes are separable: the loss falls towards 0 without a minimum, held-out rows say when to stop"
        )
    return Answer(
        _inputs(target, data, method=asked(method)), result, shown, lambda: lines_of(columns), shown_curve.plot
    )


def best_answer(
    target: Target, batch_size: int | None, steps: int | None, momentum: float | None, other: Any
) -> Answer:
    """What `genfun optimize` answers under cross-entropy.

    Parameters
    ----------
    target : Target
    batch_size : int or None
    steps : int or None
    momentum : float or None
    other : mapping
        Further options by their flags, None where they are not given; each is refused.
    """
    from genfun.answers.best.optimize import optimize
    from genfun.answers.words.numbers import batch, batches

    _undrawn()
    given = [flag for flag, value in other.items() if value is not None]
    if given:
        raise ValueError(
            f"{given[0]} is of squared loss; with --cross-entropy the loss at --steps is made least, of the training "
            "rows, or with --test or --holdout of those, so drop it"
        )
    if steps is None:
        raise click.UsageError("give --steps, the step at which the loss counts", click.get_current_context())
    data, rows = probe_of(target)
    o = optimize(data, batch_size, steps, momentum, objective="test" if rows else "train", **rows)
    plain = o.loss_without_momentum
    use = o.simplest
    shown: list[Block] = [
        *_preamble(target, data),
        f"use learning rate {use.learning_rate:.4g}, momentum {use.momentum:.3g}, {batches(use.batch_size)}: "
        f"mean loss {o.loss if use is o.method else plain:.4g} nats at step {o.steps:,}",
        f"least mean loss {o.loss:.6g} nats of the {o.by} at step {o.steps:,}; "
        f"{percent(o.error_rate, 3)} of them wrong",
        f"batch size    {batch(o.method.batch_size)}",
        f"learning rate {o.method.learning_rate:.5g}  ({percent(o.share_of_edge)} of the start edge)",
        f"momentum      {o.method.momentum:.4g}",
    ]
    if o.without_momentum is not None:
        shown.append(f"without momentum the least mean loss is {plain:.6g}")
    return Answer(_inputs(target, data, steps=steps, momentum=momentum), o, shown)


def words_answer(target: Target, method: Any, steps: int) -> Answer:
    """What `genfun explain` answers under cross-entropy.

    Parameters
    ----------
    target : Target
    method : SGD
    steps : int
    """
    from genfun.softmax.explain import softmax_explain

    data, _ = probe_of(target)
    found = softmax_explain(data, method, steps)
    curve = found.prediction
    result = {"lines": found.lines, "start_edge": found.start_edge, "steps": curve.steps, "loss": curve.loss}
    result |= {name: getattr(curve, name) for name in ("error_rate", "error", "separable", "status")}
    shown = [target.label, *_remarks(target), told(method), *found.lines]
    return Answer(_inputs(target, data, method=asked(method)), result, shown)


def _undrawn() -> None:
    """Refuse a picture before anything is computed."""
    out = click.get_current_context().params.get("out")
    if out is not None and out.suffix in PICTURES:
        raise ValueError("--out draws no picture of this answer with --cross-entropy; write .csv, .json or .txt")


def _preamble(target: Target, data: SoftmaxData) -> list[str]:
    features = several(data.features.shape[1], "features")
    shape = f"{several(data.n_samples, 'samples')} of {features} in {len(data.classes)} classes"
    return [f"{target.label}: {shape}", *_remarks(target), "loss: cross-entropy in nats, a mean over samples"]


def _remarks(target: Target) -> list[str]:
    # What an intercept gains, what no column explains, and targets of 0 and 1 are said of squared loss.
    said = [remark for remark in target.remarks if "counts as label noise" not in remark]
    said = [re.sub(r": with one the least loss is [^;]*(?=;)", "", remark) for remark in said]
    return notes([re.sub(r": a target of 0 and 1 for each of (?=\d)", ", one of ", remark) for remark in said])


def _inputs(target: Target, data: SoftmaxData, **setting: Any) -> dict[str, Any]:
    return target.inputs | {"cross_entropy": True, "n_samples": data.n_samples} | setting
