"""The noise gain straight from the impulse responses, at z = 1 and in any precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Shaped
from genfun.problems.measure import SpectralMeasure
from genfun.symbolic.arrays import responses

TOGETHER = 43_000
"""Settings times modes worked on at once: the working arrays stay in the cache."""


def resting_kernel(
    kind: type[Any], capacity: SpectralMeasure, rates: Any, hyper: tuple[Any, ...], gamma: Any, tau2: float
) -> Shaped[Array, "..."]:
    r"""U~(1)/tau1 of settings of any shape; inf where a mode has no stationary state.

    .. math:: \tilde U(1)/\tau_1 = \gamma\alpha^2\sum_k\lambda_k^2\,\frac{n_u}{d + \gamma\tau_2 a^2 n_u}

    Parameters
    ----------
    kind : type
        Class of the method.
    capacity : SpectralMeasure
        The capacity measure.
    rates : array, any shape
        In the precision that is wanted.
    hyper : tuple of arrays
        Hyperparameters that broadcast against the rates.
    gamma : float or array that broadcasts against the rates
        Sampling factors.
    tau2 : float
    """
    together = max(1, TOGETHER // capacity.nodes.size)
    if np.size(rates) <= together:
        return _resting(kind, capacity, np.asarray(rates), [np.asarray(h) for h in hyper], np.asarray(gamma), tau2)
    whole = np.broadcast_arrays(rates, gamma, *hyper)
    value = np.empty(whole[0].shape, dtype=np.result_type(whole[0], np.float64))
    flat, (each, gammas, *hypers) = value.reshape(-1), (x.reshape(-1) for x in whole)
    # Runs of settings that differ in the learning rate alone: arithmetic with numbers is quicker than with columns.
    starts = np.any([np.diff(x) != 0.0 for x in (gammas, *hypers)], axis=0).nonzero()[0] + 1
    if starts.size * 8 < flat.size:
        ends = np.append(_parted(np.append(0, starts), np.append(starts, flat.size), together), flat.size)
    else:
        ends, starts = np.append(np.arange(0, flat.size, together), flat.size), None
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        own = slice(start, stop if starts is None else start + 1)
        part = each[start:stop], [h[own] for h in hypers], gammas[own]
        flat[start:stop] = _resting(kind, capacity, *part, tau2)
    return value


def _parted(starts: Array, stops: Array, together: int) -> Array:
    """The starts of the fewest even parts of runs; a half more than is best together costs less than another part."""
    size = stops - starts
    parts = np.maximum(1, np.ceil(size / (1.5 * together))).astype(np.int64)
    if (parts == 1).all():
        return starts
    ends = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(starts, stops, parts, strict=True)]
    return np.rint(np.concatenate(ends)).astype(np.int64)


def _resting(kind: type[Any], capacity: SpectralMeasure, rates: Array, hyper: Any, gamma: Array, tau2: float) -> Array:
    """`resting_kernel` of arrays of one shape, all at once."""
    rates, gamma, *hyper = (x[..., None] for x in (rates, gamma, *hyper))
    a = rates * capacity.nodes
    d, kick, _ = responses(kind)(a, 0.0, *hyper)
    d = d + gamma * tau2 * kick * a * a
    least = d.min(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = (gamma * rates * rates)[..., 0] * (np.divide(kick, d, out=d) @ capacity.weights)
    return np.where(least > 0.0, value, np.inf)
