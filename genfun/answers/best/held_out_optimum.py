"""Which learning rate and momentum are best on samples that are not trained on?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._typing import Array
from genfun.answers.best._search import Region, closer, log_loss, valleys
from genfun.answers.held_out.curve import HeldOutCurve, best_of, check_held_out, looked_at
from genfun.answers.held_out.folds import FOLDS, FoldsCurve
from genfun.answers.held_out.left_out import LeftOutCurve
from genfun.answers.held_out.ridge import best_ridge
from genfun.answers.predict import predict
from genfun.data.linear import LinearData
from genfun.engine.edge import edge
from genfun.methods.sgd import SGD

GRID = (9, 7)
"""Cells per axis of the map: logit of the share of the edge, and momentum."""
ROUNDS, ZOOM, STARTS = 4, 5, 1
"""Closer maps, their cells per axis, and minima that are followed."""
LARGEST_MOMENTUM = 0.99
Objective = Literal["train", "test", "folds"]
BY = {"held-out": "held-out rows", "left-out": "leave-one-out", "folds": f"{FOLDS} folds"}


@dataclass(frozen=True, eq=False, repr=False)
class HeldOutOptimum:
    """The setting of least loss on samples that are not trained on.

    Parameters
    ----------
    method : SGD
        Learning rate, momentum and batch size.
    loss : float
        The predicted mean loss at `steps`, on the held-out rows or estimated from the training samples.
    mean_loss : float
        Its part without batch noise.
    steps : int
        T.
    by : str
        "held-out rows", "leave-one-out" or "5 folds".
    train_loss : float
        The training loss of this setting.
    best_step : int
        The best step of this setting up to T.
    share_of_edge : float
        Learning rate over the largest stable one at this momentum and batch.
    bounds : tuple of str
        Which bounds of the search the optimum sits on.
    ridge_loss : float
        The same loss of ridge regression at its penalty of least leave-one-out loss: the baseline without training.
    ridge_penalty : float
        That penalty, added to the eigenvalues.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=60, seed=0, noise_variance=1.0)
    >>> gf.optimize(d, batch_size=4, steps=50, objective="test")
    HeldOutOptimum(loss ... at step 50 by leave-one-out: learning_rate=..., momentum=..., batch_size=4; ridge ...)
    """

    method: SGD
    loss: float
    mean_loss: float
    steps: int
    by: str
    train_loss: float
    best_step: int
    share_of_edge: float
    bounds: tuple[str, ...]
    ridge_loss: float
    ridge_penalty: float

    @property
    def at_bound(self) -> bool:
        """Whether the optimum sits on a bound of the search, so that the true one may lie beyond."""
        return bool(self.bounds)

    def __repr__(self) -> str:
        m = self.method
        size = "full batch" if m.batch_size is None else f"batch_size={m.batch_size}"
        bound = f", at a bound: {'; '.join(self.bounds)}" if self.at_bound else ""
        return (
            f"HeldOutOptimum(loss {self.loss:.5g} at step {self.steps} by {self.by}: "
            f"learning_rate={m.learning_rate:.4g}, momentum={m.momentum:.4g}, {size}{bound}; "
            f"ridge {self.ridge_loss:.5g})"
        )


def held_out_optimum(
    data: LinearData,
    batch_size: int | None,
    steps: int,
    momentum: float | None,
    objective: Objective,
    rows: tuple[Any, Any, Any],
    most_share: float,
) -> HeldOutOptimum:
    """The setting of least held-out loss at a step; see `genfun.optimize`.

    Parameters
    ----------
    data : LinearData
    batch_size, steps, momentum
        As for `optimize`.
    objective : "test" or "folds"
    rows : (X_test, y_test, X_train)
        Held-out rows, or None.
    most_share : float
        Largest share of the edge.
    """
    X_test, y_test, X_train = rows
    T = _check.step("steps", steps, 1)
    check_held_out(data, SGD(1.0, momentum or 0.0, batch_size), f"objective={objective!r}")
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test go together; give both, or neither for leave-one-out")
    if objective == "folds" and X_test is not None:
        raise ValueError("objective='folds' makes its own held-out rows; drop X_test and y_test, or use 'test'")
    region = Region(data.problem, batch_size, data.measured_noise, momentum, LARGEST_MOMENTUM, most_share=most_share)
    if objective == "folds":
        by, curve, ridge = "folds", FoldsCurve(data), best_ridge(data)
        ridge_loss, penalty = ridge.loss, ridge.penalty
    elif X_test is None:
        by, curve, ridge = "left-out", LeftOutCurve(data), best_ridge(data)
        ridge_loss, penalty = ridge.loss, ridge.penalty
    else:
        by, curve = "held-out", HeldOutCurve(data, X_test, y_test, X_train)
        ridge_loss, penalty = curve.ridge
    at = np.array([T])

    def losses(x: Array, y: Array) -> Array:
        rates, betas = region.settings(x, y)
        with np.errstate(divide="ignore"):
            return np.log(curve.many(rates, betas, batch_size, T)).reshape(np.broadcast(x, y).shape)

    minima = [closer(losses, start, ROUNDS, ZOOM) for start in valleys(losses, *region.axes(GRID))[:STARTS]]
    x, y, _ = min(minima, key=log_loss)
    method = region.setting(x, y)
    looked = looked_at(at, 8, 24)
    found, means = curve.losses(method, looked)
    best, _, _ = best_of(lambda some: curve.losses(method, some)[0], looked, found)
    return HeldOutOptimum(
        method=method,
        loss=float(found[-1]),
        mean_loss=float(means[-1]),
        steps=T,
        by=BY[by],
        train_loss=float(predict(data, method, T).loss),
        best_step=best,
        share_of_edge=method.learning_rate / edge(data.problem, method, data.measured_noise),
        bounds=region.bounds(x, y),
        ridge_loss=ridge_loss,
        ridge_penalty=penalty,
    )
