"""The learning rate and momentum of least predicted cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun import _check
from genfun.methods.sgd import SGD
from genfun.softmax.curve import curve
from genfun.softmax.data import WHOLE_SEARCHED, SoftmaxData
from genfun.softmax.predict import FINE, check_method, own_noise, start_edge

MOMENTA = (-0.3, 0.0, 0.5, 0.8, 0.9, 0.95)
SHARES = (0.02, 0.06, 0.2, 0.5, 0.9, 1.4)
"""Of the start edge, on the first grid."""
GLANCE = 1
"""Linearisations while the step number doubles, in the search."""
ROUNDS = 4
"""Refinements, each halving the distance looked at."""
MOST_SHARE, MOST_MOMENTUM = 1.9, 0.97
WITHIN = 0.01
"""So much more loss is no reason for a setting that is less simple."""


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxOptimum:
    """The best setting that a search found.

    Parameters
    ----------
    method : SGD
        Its learning rate, momentum and batch size.
    loss : float
        Predicted mean cross-entropy at the last step, in nats, of the samples in `by`.
    error_rate : float
        Predicted share of them classified wrongly.
    steps : int
        T.
    share_of_edge : float
        Learning rate over the start edge.
    loss_without_momentum : float
        The least loss found with momentum 0; nan where another momentum was asked for.
    by : str
        "training samples", or "held-out rows" with objective="test".
    without_momentum : SGD or None
        The setting of that loss; None where a momentum was asked for.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.SoftmaxData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1, 1, 0, 0])
    >>> gf.optimize(d, batch_size=2, steps=20)
    SoftmaxOptimum(loss ... nats at step 20: learning_rate=..., momentum=..., batch_size=2)
    """

    method: SGD
    loss: float
    error_rate: float
    steps: int
    share_of_edge: float
    loss_without_momentum: float
    by: str = "training samples"
    without_momentum: SGD | None = None

    @property
    def simplest(self) -> SGD:
        """The setting without momentum where it costs less than 1 % more loss, and else the best one."""
        plain = self.without_momentum
        return self.method if plain is None or self.loss_without_momentum > (1.0 + WITHIN) * self.loss else plain

    def __repr__(self) -> str:
        m = self.method
        size = "full batch" if m.batch_size is None else f"batch_size={m.batch_size}"
        by = "" if self.by == "training samples" else f" by {self.by}"
        return (
            f"SoftmaxOptimum(loss {self.loss:.6g} nats at step {self.steps}{by}: learning_rate={m.learning_rate:.4g}, "
            f"momentum={m.momentum:.4g}, {size})"
        )


class _Search:
    """Losses by (share of the start edge, momentum), each computed once; of many weights each alone, much quicker."""

    def __init__(self, data: SoftmaxData, kind: SGD, steps: int, on: SoftmaxData | None = None) -> None:
        self.kind, self.steps, self.on = kind, steps, on
        self.data = replace(data, whole=min(data.whole, WHOLE_SEARCHED), work=0.0)
        self._edges: dict[float, float] = {}
        self._losses: dict[tuple[float, float], float] = {}

    def setting(self, share: float, momentum: float) -> SGD:
        if momentum not in self._edges:
            self._edges[momentum] = start_edge(self.data, replace(self.kind, momentum=momentum))
        return replace(self.kind, momentum=momentum, learning_rate=share * self._edges[momentum])

    def loss(self, share: float, momentum: float) -> float:
        key = (round(share, 9), round(momentum, 9))
        if key not in self._losses:
            found = curve(self.data, self.setting(share, momentum), np.array([self.steps]), GLANCE, self.on)
            self._losses[key] = float(found[0, 0])
        return self._losses[key]

    def best(self, fixed: float | None) -> tuple[float, float]:
        momenta = MOMENTA if fixed is None else (fixed,)
        share, momentum = min(((s, b) for b in momenta for s in SHARES), key=lambda x: self.loss(*x))
        factor, gap = 2.0, 0.5
        for _ in range(ROUNDS):
            near = [(min(share * f, MOST_SHARE), momentum) for f in (1.0 / factor, 1.0, factor)]
            if fixed is None:
                # Steps in log(1 - momentum) are alike in their effect.
                moved = [1.0 - (1.0 - momentum) * f for f in (1.0 - gap, 1.0 + gap)]
                near += [(share, min(max(b, -0.9), MOST_MOMENTUM)) for b in moved]
            share, momentum = min(near, key=lambda x: self.loss(*x))
            factor, gap = factor**0.5, 0.5 * gap
        return share, momentum


def softmax_optimize(
    data: SoftmaxData,
    batch_size: int | None,
    steps: int | None,
    momentum: float | None = None,
    noise: Any = None,
    budget: Any = None,
    step_time: Any = None,
    method: Any = None,
    on: SoftmaxData | None = None,
) -> SoftmaxOptimum:
    """What `optimize` answers for a SoftmaxData.

    Parameters
    ----------
    data : SoftmaxData
    batch_size : int or None
    steps : int
    momentum : float or None
    noise, budget, step_time : None
    method : SGD or None
        Whose `replacement` and `weight_decay` are kept; the loss is that without the penalty.
    on : SoftmaxData or None
        Held-out samples whose loss is made least; None is those that are trained on.
    """
    own_noise(noise)
    if steps is None or budget is not None or step_time is not None:
        raise ValueError(f"optimize takes steps alone for a SoftmaxData, got steps={steps!r} and budget={budget!r}")
    data.check_search()
    last = _check.step("steps", steps, 1)
    fixed = None if momentum is None else _check.momentum(momentum)
    if method is not None:
        check_method(method)
    kind = SGD(1.0, batch_size=batch_size) if method is None else replace(method, batch_size=batch_size)
    search = _Search(data, kind, last, on)
    share, beta = search.best(fixed)
    still = search.best(0.0) if fixed is None else (share, beta)
    plain = search.loss(*still)
    if plain <= search.loss(share, beta):
        share, beta = still
    chosen = search.setting(share, beta)
    loss, wrong = curve(data, chosen, np.array([last]), FINE, on)[:2, 0]
    by = "training samples" if on is None else "held-out rows"
    if fixed is None:
        return SoftmaxOptimum(chosen, float(loss), float(wrong), last, share, plain, by, search.setting(*still))
    return SoftmaxOptimum(chosen, float(loss), float(wrong), last, share, float(loss if beta == 0.0 else np.nan), by)
