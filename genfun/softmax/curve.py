"""Losses and error rates at given steps, of samples that are trained on or of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.methods.sgd import SGD
from genfun.softmax.averages import loss_and_error, loss_of
from genfun.softmax.data import SoftmaxData
from genfun.softmax.flow import State, start, stretches


def curve(
    data: SoftmaxData, method: SGD, steps: Int[Array, " t"], per_doubling: int, on: SoftmaxData | None = None
) -> Float[Array, "4 t"]:
    """Loss and error rate, and the loss of the mean weights and how many samples they get wrong, at ascending steps.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    steps : array, shape (t,)
    per_doubling : int
    on : SoftmaxData or None
        Samples whose loss is asked for.
    """
    return each_curve(data, method, steps, per_doubling, [data if on is None else on])[0]


def each_curve(
    data: SoftmaxData, method: SGD, steps: Int[Array, " t"], per_doubling: int, on: Sequence[SoftmaxData]
) -> Float[Array, "s 4 t"]:
    """What `curve` gives, on several sets of samples at once.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    steps : array, shape (t,)
    per_doubling : int
    on : sequence of SoftmaxData
    """
    asked = [data.inside(some)[1] for some in on]
    data, _ = data.inside(data)
    result = np.full((len(asked), 4, steps.size), np.nan)
    result[:, 0] = np.inf
    if steps[0] == 0:
        result[:, :, 0] = [at(some, start(data)) for some in asked]
    with np.errstate(over="ignore", invalid="ignore"):
        for first, end, stretch in stretches(data, method, per_doubling, int(steps[-1])):
            for i in np.flatnonzero((steps > first) & (steps <= end)):
                state = stretch.after(int(steps[i]) - first)
                result[:, :, i] = [at(some, state) for some in asked]
    return result


def at(data: SoftmaxData, state: State) -> tuple[float, float, float, float]:
    """Loss and error rate of a state, and the loss of its mean weights and how many samples they get wrong.

    Parameters
    ----------
    data : SoftmaxData
    state : State
    """
    loss, wrong = loss_and_error(data, state.mean[0], state.covariance[0, 0])
    return loss, wrong, *loss_of(data, state.mean[0])
