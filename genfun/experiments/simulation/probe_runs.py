"""Runs of mini-batch SGD on softmax regression in NumPy: nothing of the theory, the check of `genfun.SoftmaxData`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.experiments.simulation.batches import Order, step_by_step
from genfun.experiments.simulation.ensemble import Tell
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.softmax.data import SoftmaxData
from genfun.softmax.predict import check_method

HELD = 1 << 25
"""Numbers, runs times samples times classes, that are there at once."""


def probe_runs(
    data: SoftmaxData,
    method: Any,
    kept: Int[Array, " t"],
    replicas: int,
    seed: int,
    order: Order,
    tell: Tell,
    on: SoftmaxData | None = None,
    dtype: str = "float64",
) -> tuple[Float[Array, "replicas t"], Float[Array, "replicas t"]]:
    r"""Losses in nats and shares classified wrongly of independent runs, at the steps that are kept.

    .. math:: v \leftarrow \beta v + \frac1b\sum_{i\in B} x_i (p(x_i) - y_i)^T + \rho w,\qquad w \leftarrow w - \alpha v

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
        With sampling="epochs" too.
    kept : array, shape (t,)
        Ascending.
    replicas, seed : int
        Run r takes its batches from the r-th child of the seed.
    order : "fresh" or "epochs"
    tell : callable
        Called with the fraction done.
    on : SoftmaxData or None
        Samples whose loss is asked for; None is those that are trained on.
    dtype : str
        "float64" or "float32".
    """
    check_method(replace(method, sampling="fresh") if isinstance(method, SGD) else method)
    on, children = data if on is None else on, np.random.SeedSequence(seed).spawn(replicas)
    drawn = sampling_factor(method.batch_size, data.n_samples, method.replacement) > 0.0
    children = children if drawn else children[:1]
    tall = max(1, HELD // max(on.n_samples * len(data.classes), data.features.shape[1] * len(data.classes)))
    found = np.empty((2, len(children), kept.size))
    for r in range(0, len(children), tall):

        def report(fraction: float, r: int = r) -> None:
            tell((r + fraction * min(tall, len(children) - r)) / len(children))

        found[:, r : r + tall] = _chunk(data, method, kept, children[r : r + tall], order, report, on, dtype)
    tell(1.0)
    return found[0].repeat(1 if drawn else replicas, axis=0), found[1].repeat(1 if drawn else replicas, axis=0)


def _chunk(
    data: SoftmaxData,
    method: SGD,
    kept: Int[Array, " t"],
    seeds: list[np.random.SeedSequence],
    order: Order,
    tell: Tell,
    on: SoftmaxData,
    dtype: str,
) -> Float[Array, "2 runs t"]:
    from scipy.special import log_softmax

    X, y = data.features.astype(dtype), data.targets.astype(dtype)
    n, size = data.n_samples, method.batch_size or data.n_samples
    w = np.zeros((len(seeds), X.shape[1], y.shape[1]), dtype)
    w += 0.0 if data.initial is None else data.initial.astype(dtype)
    v, found, last = np.zeros_like(w), np.full((2, len(seeds), kept.size), np.inf), int(kept[-1])
    drawn = sampling_factor(method.batch_size, n, method.replacement) > 0.0
    steps = step_by_step(seeds, n, size, method.replacement, order, last)
    place = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(last + 1):
            if t == kept[place]:
                found[:, :, place] = _told(on, w)
                place += 1
                tell(t / max(last, 1))
            if t == last:
                break
            batch = next(steps) if drawn else np.arange(n)[None]
            x = X[batch]
            slope = (
                np.swapaxes(x, 1, 2) @ (np.exp(log_softmax(x @ w, axis=2)) - y[batch]) / size + method.weight_decay * w
            )
            v = method.momentum * v + slope
            w = w - method.learning_rate * v
    return found


def _told(on: SoftmaxData, w: Float[Array, "runs d C"]) -> Float[Array, "2 runs"]:
    """Loss and share classified wrongly; of several largest scores the first one counts."""
    from scipy.special import log_softmax

    scores = on.features.astype(w.dtype) @ w
    loss = -(log_softmax(scores, axis=2) * on.targets).sum(axis=2).mean(axis=1)
    wrong = (scores.argmax(axis=2) != on.labels).mean(axis=1)
    return np.stack([np.nan_to_num(loss, nan=np.inf), wrong])
