"""Gradient, Hessian, noise and loss of softmax regression, averaged over Gaussian weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from genfun._typing import Array, Float
from genfun.softmax.apart import linearise_apart, scores
from genfun.softmax.data import SoftmaxData
from genfun.softmax.linearised import Linearised
from genfun.softmax.pairs import folded, unfolded

LEAST_DRAWS, NODES = 48, 20
"""Draws for three classes or more, and nodes of Gauss-Hermite quadrature for two."""


@lru_cache(maxsize=8)
def draws(k: int) -> tuple[Float[Array, "q k"], Float[Array, " q"]]:
    """Points and weights that stand for a standard Gaussian in k dimensions: antithetic, with unit covariance.

    Parameters
    ----------
    k : int
        One less than the number of classes.
    """
    if k == 1:
        x, weight = np.polynomial.hermite_e.hermegauss(NODES)
        return x[:, None], weight / weight.sum()
    half = np.random.default_rng(0).standard_normal((max(LEAST_DRAWS, 2 * (k + 1)) // 2, k))
    triangle = np.linalg.cholesky(half.T @ half / half.shape[0])
    half = np.linalg.solve(triangle, half.T).T
    points = np.concatenate((half, -half))
    return points, np.full(points.shape[0], 1.0 / points.shape[0])


def probabilities(
    data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "G s s"]
) -> tuple[Float[Array, "N q C"], Float[Array, "N q C"], Float[Array, " q"]]:
    """Logits, their logarithmic probabilities, and the weights of the draws.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
        Of the weights, features by classes in the zero-sum basis.
    covariance : array, shape (blocks, size, size)
        Of the weights: one block of all, or one for each few features.
    """
    spread, k = logit_covariance(data, covariance), len(data.classes) - 1
    centre = data.features @ mean.reshape(-1, k)
    value, vector = np.linalg.eigh(spread)
    root = (vector * np.sqrt(np.maximum(value, 0.0))[:, None, :]) @ np.swapaxes(vector, 1, 2)
    points, weight = draws(k)
    logits = (centre[:, None, :] + points @ root) @ data.basis.T
    return logits, log_p_of(logits), weight


def logit_covariance(data: SoftmaxData, covariance: Float[Array, "G s s"]) -> Float[Array, "N k k"]:
    """Covariances of each sample's logits in the zero-sum basis, of classes that are followed together.

    Parameters
    ----------
    data : SoftmaxData
    covariance : array, shape (blocks, size, size)
        Of the weights: one block of all, or one for each few features.
    """
    X, (n, d), k = data.features, data.features.shape, len(data.classes) - 1
    if covariance.shape[0] > 1:
        side = covariance.shape[1] // k
        by_features = covariance.reshape(-1, side, k, side, k).transpose(0, 1, 3, 2, 4).reshape(-1, side, side, k * k)
        return (data.pairs(side) @ folded(by_features)).reshape(n, k, k)
    blocks, spread = covariance.reshape(d, k, d, k), np.empty((n, k, k))
    for a in range(k):
        for b in range(a, k):
            spread[:, a, b] = spread[:, b, a] = ((X @ blocks[:, a, :, b]) * X).sum(axis=1)
    return spread


def log_p_of(logits: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """Logarithms of probabilities.

    Parameters
    ----------
    logits : array, shape (..., C)
    """
    rest = logits - logits.max(axis=-1, keepdims=True)
    return rest - np.log(np.exp(rest).sum(axis=-1, keepdims=True))


def loss_and_error(
    data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "G s s"]
) -> tuple[float, float]:
    """E L in nats and the share of samples classified wrongly, for Gaussian weights.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    covariance : array, shape (blocks, size, size)
    """
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        return np.inf, np.nan
    if data.apart(covariance):
        found = [_each(data, rows, z, log_p_of(z)) for rows, z in scores(data, mean, covariance)]
        nats, wrong = (np.concatenate(x) for x in zip(*found, strict=True))
        return float(nats.mean()), float(wrong.mean())
    logits, log_p, weight = probabilities(data, mean, covariance)
    nats, wrong = _each(data, slice(None), logits, log_p)
    return float((nats @ weight).mean()), float((wrong @ weight).mean())


def _each(
    data: SoftmaxData, rows: slice, logits: Float[Array, "n q C"], log_p: Float[Array, "n q C"]
) -> tuple[Float[Array, "n q"], Float[Array, "n q"]]:
    """Loss of some samples at each draw, and whether it is classified wrongly."""
    nats = -np.einsum("nqc,nc->nq", log_p, data.targets[rows])
    mine = np.take_along_axis(logits, data.labels[rows, None, None], axis=2)
    others = (logits > mine).any(axis=2)
    tied = ~others & ((logits == mine).sum(axis=2) > 1)  # at the start nothing is known: a guess among equals
    return nats, others + tied * (1.0 - 1.0 / (logits == mine).sum(axis=2))


def loss_of(data: SoftmaxData, mean: Float[Array, " m"]) -> tuple[float, float]:
    """The loss in nats of given weights, and how many samples they do not put first in their own class.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    """
    if not np.isfinite(mean).all():
        return np.nan, np.nan
    logits = data.logits(mean)
    own = np.take_along_axis(logits, data.labels[:, None], axis=1)
    first = (logits >= own).sum(axis=1) == 1
    return float(-(log_p_of(logits) * data.targets).sum(axis=1).mean()), float((~first).sum())


def linearise(data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "G s s"]) -> Linearised:
    r"""Averages over w ~ N(mean, covariance).

    .. math:: S = \frac1N\sum_i x_ix_i^T\otimes E\,rr^T - gg^T - H\,\mathrm{Cov}\,H

    Of several blocks the last term has that of each block alone; where classes are followed apart see
    `linearise_apart`.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    covariance : array, shape (blocks, size, size)
    """
    if data.apart(covariance):
        return linearise_apart(data, mean, covariance)
    _, log_p, weight = probabilities(data, mean, covariance)
    p = np.exp(log_p)
    inside = p @ data.basis
    rest = inside - (data.targets @ data.basis)[:, None, :]
    X, n = data.features, data.n_samples
    average = np.einsum("q,nqa->na", weight, rest)
    outer = np.swapaxes(rest * weight[:, None], 1, 2) @ rest
    middle = (data.basis.T * np.einsum("q,nqc->nc", weight, p)[:, None, :]) @ data.basis
    curvature = middle - np.swapaxes(inside * weight[:, None], 1, 2) @ inside
    gradient = (X.T @ average).ravel() / n
    hessian, second = (_weighted(data, factors, covariance.shape[0]) for factors in (curvature, outer))
    each = gradient.reshape(covariance.shape[0], -1)
    noise = second - each[:, :, None] * each[:, None, :] - hessian @ covariance @ hessian
    return Linearised(X, gradient, curvature, hessian, noise)


def _weighted(data: SoftmaxData, factors: Float[Array, "N k k"], blocks: int) -> Float[Array, "G s s"]:
    """Mean over samples of x x^T (x) factor, whole or in blocks of features."""
    X, (n, d) = data.features, data.features.shape
    k = factors.shape[1]
    if blocks > 1:
        side = d // blocks
        found = unfolded(data.pairs(side).T @ factors.reshape(n, k * k) / n, side).reshape(-1, side, side, k, k)
        return found.transpose(0, 1, 3, 2, 4).reshape(blocks, side * k, side * k)
    result = np.empty((d, k, d, k))
    for a in range(k):
        for b in range(a, k):
            result[:, a, :, b] = X.T @ (X * factors[:, a, b, None]) / n
            result[:, b, :, a] = result[:, a, :, b]
    return result.reshape(1, d * k, d * k)
