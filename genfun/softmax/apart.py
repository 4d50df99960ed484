"""Classes that are followed apart, where there are too many weights for their whole covariance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from genfun._typing import Array, Float
from genfun.softmax.data import SoftmaxData
from genfun.softmax.linearised import Linearised
from genfun.softmax.pairs import folded, unfolded

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
    r"""Logits of some samples at a time, of weights that are independent between classes and groups of features.

    .. math:: z_{ic} = \bar z_{ic} + \xi_c\,\sqrt{\textstyle\sum_g x_{ig}^T D_{gc} x_{ig}}

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
        In the zero-sum basis.
    covariance : array, shape (d C / s, s, s)
        D, of each group of s features and each class, classes running fastest.
    """
    n, centre = data.n_samples, data.logits(mean)
    spread = np.sqrt(np.maximum(logit_variance(data, covariance), 0.0))
    points = points_of(len(data.classes))
    step = max(1, HELD // points.size)
    for i in range(0, n, step):
        rows = slice(i, min(i + step, n))
        yield rows, centre[rows, None, :] + points * spread[rows, None, :]


def logit_variance(data: SoftmaxData, covariance: Float[Array, "G s s"]) -> Float[Array, "N C"]:
    """Variances of each sample's logits, before their projection on zero sums.

    Parameters
    ----------
    data : SoftmaxData
    covariance : array, shape (d C / s, s, s)
    """
    return data.pairs(covariance.shape[1]) @ folded(_by_class(covariance, len(data.classes)))


def own(block: Float[Array, "... C"]) -> Float[Array, "... C"]:
    r"""The D whose projection on zero sums, P D P, has given blocks: D = 1/C of what is uniform, not (1 - 1/C)/C.

    .. math:: (PDP)_{cc} = D_c\Big(1-\frac2C\Big) + \frac{\sum_{c'}D_{c'}}{C^2}

    Parameters
    ----------
    block : array, shape (..., C)
        Of each class c what P D P has there.
    """
    count = block.shape[-1]
    mean = block.sum(axis=-1, keepdims=True) / (count - 1)
    return (block - mean / count) / (1.0 - 2.0 / count)


def linearise_apart(data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "G s s"]) -> Linearised:
    """Averages over w ~ N(mean, D): the curvature of every sample whole, for the mean; the noise of each block alone.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    covariance : array, shape (d C / s, s, s)
    """
    (n, d), count, side = data.features.shape, len(data.classes), covariance.shape[1]
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
    inside = push.reshape(d // side, side, count)
    moments = (unfolded(data.pairs(side).T @ of / n, side) for of in (average - square, second))
    hessian, noise = (_blocks(own(of)) for of in moments)
    noise -= _blocks(own(inside[:, :, None] * inside[:, None, :])) + hessian @ covariance @ hessian
    return Linearised(data.features, (push @ data.basis).ravel(), curvature, hessian, noise, data.basis)


def _by_class(blocks: Float[Array, "G s s"], count: int) -> Float[Array, "g s s C"]:
    side = blocks.shape[1]
    return np.moveaxis(blocks.reshape(-1, count, side, side), 1, 3)


def _blocks(by_class: Float[Array, "g s s C"]) -> Float[Array, "G s s"]:
    side = by_class.shape[1]
    return np.moveaxis(by_class, 3, 1).reshape(-1, side, side)
