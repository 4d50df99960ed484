"""Weights that are followed each alone, where there are so many that no block of their covariance is affordable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from genfun._typing import Array, Float
from genfun.softmax.data import SoftmaxData
from genfun.softmax.linearised import Linearised

DRAWS = 48
"""Points that stand for a Gaussian: their variances are 1, their covariances between classes not quite 0."""
HELD = 1 << 22
"""Numbers, samples times draws times classes, that are there at once."""


@lru_cache(maxsize=8)
def points_of(count: int) -> Float[Array, "q C"]:
    """Antithetic points of unit variance in each of C coordinates.

    Parameters
    ----------
    count : int
        C.
    """
    half = np.random.default_rng(0).standard_normal((DRAWS // 2, count))
    half /= np.sqrt((half**2).mean(axis=0))
    return np.concatenate((half, -half))


def scores(
    data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "G s s"]
) -> Iterator[tuple[slice, Float[Array, "n q C"]]]:
    r"""Logits of some samples at a time, of independent weights in class coordinates.

    .. math:: z_{ic} = \bar z_{ic} + \xi_c\,\sqrt{\textstyle\sum_j x_{ij}^2 D_{jc}}

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
        In the zero-sum basis.
    covariance : array, shape (d C, 1, 1)
        D.
    """
    X, (n, d), count = data.features, data.features.shape, len(data.classes)
    centre = X @ (mean.reshape(d, -1) @ data.basis.T)
    spread = np.sqrt(np.maximum(data.squares @ covariance.reshape(d, count), 0.0))
    points = points_of(count)
    step = max(1, HELD // points.size)
    for i in range(0, n, step):
        rows = slice(i, min(i + step, n))
        yield rows, centre[rows, None, :] + points * spread[rows, None, :]


def own(diagonal: Float[Array, "d C"]) -> Float[Array, "d C"]:
    r"""The D whose projection on zero sums, P D P, has a given diagonal: D = 1/C of what is uniform, not (1 - 1/C)/C.

    .. math:: (PDP)_{cc} = D_c\Big(1-\frac2C\Big) + \frac{\sum_{c'}D_{c'}}{C^2}

    Parameters
    ----------
    diagonal : array, shape (d, C)
    """
    count = diagonal.shape[1]
    mean = diagonal.sum(axis=1, keepdims=True) / (count - 1)
    return np.maximum((diagonal - mean / count) / (1.0 - 2.0 / count), 0.0)


def linearise_alone(data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "G s s"]) -> Linearised:
    """Averages over w ~ N(mean, D): the curvature of every sample whole, for the mean; the noise of each weight alone.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    covariance : array, shape (d C, 1, 1)
    """
    (n, d), count = data.features.shape, len(data.classes)
    average, square, curvature = np.empty((n, count)), np.empty((n, count)), np.empty((n, count, count))
    for rows, p in scores(data, mean, covariance):
        p -= p.max(axis=2, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=2, keepdims=True)
        average[rows], share = p.mean(axis=1), 1.0 / p.shape[1]
        curvature[rows] = -share * (np.swapaxes(p, 1, 2) @ p)
        square[rows] = -np.diagonal(curvature[rows], axis1=1, axis2=2)
    targets = data.targets
    # E (p - y)^2, from E p^2 and E p.
    second = square - 2.0 * average * targets + targets**2
    curvature[:, np.arange(count), np.arange(count)] += average
    push = data.features.T @ (average - targets) / n
    hessian = own(data.squares.T @ (average - square) / n)
    noise = own(data.squares.T @ second / n - push**2) - hessian**2 * covariance.reshape(d, count)
    gradient = (push @ data.basis).ravel()
    shape = (d * count, 1, 1)
    return Linearised(data.features, gradient, curvature, hessian.reshape(shape), noise.reshape(shape), data.basis)
