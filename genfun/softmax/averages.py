"""Gradient, Hessian, noise and loss of softmax regression, averaged over Gaussian weights."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from genfun._typing import Array, Float
from genfun.softmax.data import SoftmaxData

LEAST_DRAWS, NODES = 48, 20
"""Draws for three classes or more, and nodes of Gauss-Hermite quadrature for two."""


class Linearised(NamedTuple):
    """The gradient near a mean, averaged over the weights about it.

    Attributes
    ----------
    gradient : array, shape (m,)
        g = mean over samples of x (x) E r, r = p - y.
    hessian : array, shape (m, m)
        H = mean x x^T (x) E J.
    noise : array, shape (m, m)
        S, the covariance of the gradient of one sample, averaged.
    """

    gradient: Float[Array, " m"]
    hessian: Float[Array, "m m"]
    noise: Float[Array, "m m"]


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
    data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "m m"]
) -> tuple[Float[Array, "N q C"], Float[Array, "N q C"], Float[Array, " q"]]:
    """Logits, their logarithmic probabilities, and the weights of the draws.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
        Of the weights, features by classes in the zero-sum basis.
    covariance : array, shape (m, m)
        Of the weights.
    """
    X, k = data.features, len(data.classes) - 1
    d = X.shape[1]
    centre = X @ mean.reshape(d, k)
    blocks = covariance.reshape(d, k, d, k)
    spread = np.empty((X.shape[0], k, k))
    for a in range(k):
        for b in range(a, k):
            spread[:, a, b] = spread[:, b, a] = ((X @ blocks[:, a, :, b]) * X).sum(axis=1)
    value, vector = np.linalg.eigh(spread)
    root = (vector * np.sqrt(np.maximum(value, 0.0))[:, None, :]) @ np.swapaxes(vector, 1, 2)
    points, weight = draws(k)
    logits = (centre[:, None, :] + points @ root) @ data.basis.T
    top = logits.max(axis=2, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(axis=2, keepdims=True))
    return logits, log_p, weight


def loss_and_error(data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "m m"]) -> tuple[float, float]:
    """E L in nats and the share of samples classified wrongly, for Gaussian weights.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    covariance : array, shape (m, m)
    """
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        return np.inf, np.nan
    logits, log_p, weight = probabilities(data, mean, covariance)
    nats = -np.einsum("nqc,nc->nq", log_p, data.targets)
    mine = np.take_along_axis(logits, data.labels[:, None, None], axis=2)
    others = (logits > mine).any(axis=2)
    tied = ~others & ((logits == mine).sum(axis=2) > 1)  # at the start nothing is known: a guess among equals
    wrong = others + tied * (1.0 - 1.0 / (logits == mine).sum(axis=2))
    return float((nats @ weight).mean()), float((wrong @ weight).mean())


def loss_of(data: SoftmaxData, mean: Float[Array, " m"]) -> tuple[float, float]:
    """The loss in nats of given weights, and how many samples they do not put first in their own class.

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    """
    if not np.isfinite(mean).all():
        return np.nan, np.nan
    logits = data.features @ (mean.reshape(data.features.shape[1], -1) @ data.basis.T)
    top = logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(logits, data.labels[:, None], axis=1)
    first = (logits >= own).sum(axis=1) == 1
    log_p = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return float(-(log_p * data.targets).sum(axis=1).mean()), float((~first).sum())


def linearise(data: SoftmaxData, mean: Float[Array, " m"], covariance: Float[Array, "m m"]) -> Linearised:
    r"""Averages over w ~ N(mean, covariance).

    .. math:: S = \frac1N\sum_i x_ix_i^T\otimes E\,rr^T - gg^T - H\,\mathrm{Cov}\,H

    Parameters
    ----------
    data : SoftmaxData
    mean : array, shape (m,)
    covariance : array, shape (m, m)
    """
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
    hessian, second = _weighted(X, curvature), _weighted(X, outer)
    noise = second - np.outer(gradient, gradient) - hessian @ covariance @ hessian
    return Linearised(gradient, hessian, noise)


def _weighted(X: Float[Array, "N d"], factors: Float[Array, "N k k"]) -> Float[Array, "m m"]:
    """Mean over samples of x x^T (x) factor."""
    n, d = X.shape
    k = factors.shape[1]
    result = np.empty((d, k, d, k))
    for a in range(k):
        for b in range(a, k):
            result[:, a, :, b] = X.T @ (X * factors[:, a, b, None]) / n
            result[:, b, :, a] = result[:, a, :, b]
    return result.reshape(d * k, d * k)
