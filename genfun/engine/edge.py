"""The largest stable learning rate: where the noise gain reaches 1, or where the noiseless dynamics ends."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from math import comb
from typing import Any

import numpy as np

from genfun._typing import Array, Bool, Float
from genfun.engine.dispatch import transform
from genfun.engine.gain import resting_kernel
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.noise import NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem

POINTS = 32
"""Learning rates looked at together, of one setting or of many."""
SHARES = np.append(np.geomspace(1e-15, 1.0, 200)[:-1], 1.0 - 1e-13)
"""Of the curvature limit: where the first crossing of the noise gain is looked for."""
HALVINGS = 60
"""Of the gap between two of them, which is 19 % wide: down to rounding."""
GRID = np.geomspace(1e-12, 1.0, 480)
"""Of what the coefficients of the update allow: where the noiseless dynamics is looked at."""
ON_CIRCLE = 1e-12
"""On the grid a root may be so far outside the unit circle: slow modes are, by rounding."""


def with_rate(method: Method, rate: float) -> Any:
    """The method at another learning rate.

    Parameters
    ----------
    method : Method
        A dataclass.
    rate : float
        alpha.
    """
    if not is_dataclass(method) or isinstance(method, type):
        raise TypeError(
            f"method must be a dataclass with a field learning_rate where learning rates are searched, "
            f"got {type(method).__name__}"
        )
    inner = getattr(method, "method", None)
    return replace(method, learning_rate=rate) if inner is None else replace(method, method=with_rate(inner, rate))


def curvature_limits(kind: type[Any], hyper: tuple[Array, ...], lambda_max: float) -> Float[Array, "..."]:
    r"""Largest learning rates at which the noiseless dynamics is stable: :math:`\rho(T(\alpha\lambda_{max})) = 1`.

    A class that knows it says so as `curvature_limit(*hyperparameters)`, in units of 1/eigenvalue.

    Parameters
    ----------
    kind : type
        Class of the method.
    hyper : tuple of arrays
        Hyperparameters, all of one shape.
    lambda_max : float
        Largest eigenvalue.
    """
    own = getattr(kind, "curvature_limit", None)
    if own is not None:
        return np.asarray(np.asarray(own(*hyper), dtype=np.float64) / lambda_max)
    shape = np.broadcast_shapes(*(np.shape(h) for h in hyper))
    flat = [np.broadcast_to(h, shape).ravel() for h in hyper]
    count = int(np.prod(shape))

    def radii(a: Array) -> Array:
        """At points (k, settings)."""
        return np.abs(np.linalg.eigvals(_matrices(kind.update(a, *flat)[0], a.shape))).max(axis=-1)

    at_rest, at_one = (_matrices(kind.update(np.full(count, a), *flat)[0], (count,)) for a in (0.0, 1.0))
    most = _most(at_rest, at_one - at_rest)
    # The slowest root leaves 1 outwards where gradients are climbed.
    rises = np.linalg.det(np.eye(at_rest.shape[-1]) - at_one) <= 0.0
    bounded = np.isfinite(most) & ~rises
    grid = GRID[:, None] * np.where(bounded, most, 1.0)
    good = radii(grid) <= 1.0 + ON_CIRCLE
    first, each = np.where(good.all(axis=0), GRID.size - 1, np.argmin(good, axis=0)), np.arange(count)
    low, high = np.where(first == 0, 0.0, grid[np.maximum(first - 1, 0), each]), grid[first, each]
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        fine = radii(middle[None])[0] <= 1.0
        low, high = np.where(fine, middle, low), np.where(fine, high, middle)
    return np.asarray(np.where(rises, 0.0, np.where(bounded, low, np.inf)).reshape(shape) / lambda_max)


def _matrices(rows: Any, shape: tuple[int, ...]) -> Array:
    return np.stack([np.stack([np.broadcast_to(x, shape) for x in row], axis=-1) for row in rows], axis=-2)


def _most(at_rest: Array, slope: Array) -> Array:
    r"""What a stable a cannot exceed; inf where gradients move nothing.

    .. math:: \det(r - T(a)) = \sum_j c_j(a)\, r^{M-j},\qquad |c_j| \le \tbinom{M}{j}

    if no root is outside the unit circle; every c_j is affine in a, as gradients enter in one place.
    """
    size, each = at_rest.shape[-1], np.abs(slope).max(axis=(1, 2))
    unit = 1.0 / np.where(each > 0.0, each, 1.0)
    low, high = (_coefficients(at_rest + part * slope) for part in (0.0, unit[:, None, None]))
    allowed = np.array([comb(size, j) for j in range(1, size + 1)]) + np.abs(low)
    with np.errstate(divide="ignore"):
        return np.where(each > 0.0, unit * (allowed / np.abs(high - low)).min(axis=1), np.inf)


def _coefficients(matrix: Array) -> Array:
    """c_1, ..., c_M of det(r - T), by Faddeev and LeVerrier."""
    found, eye, product = [], np.eye(matrix.shape[-1]), matrix
    for j in range(1, matrix.shape[-1] + 1):
        found.append(-np.trace(product, axis1=1, axis2=2) / j)
        product = matrix @ (product + found[-1][:, None, None] * eye)
    return np.stack(found, axis=1)


def curvature_limit(problem: Problem, method: Method) -> float:
    """Largest learning rate at which the noiseless dynamics is stable; for the heavy ball 2(1+beta)/lambda_max.

    Parameters
    ----------
    problem : Problem
    method : Method
        Its learning rate is ignored.
    """
    method, decay = _trained(method)
    hyper = _undecayed(tuple(np.array(h) for h in method.hyperparameters), decay)
    return float(curvature_limits(type(method), hyper, problem.lambda_max + decay))


def _trained(method: Any) -> tuple[Any, float]:
    """What trains the weights, where they are averaged, and its weight decay."""
    method = getattr(method, "method", method)
    return method, float(getattr(method, "weight_decay", 0.0))


def _undecayed(hyper: tuple[Array, ...], weight_decay: float) -> tuple[Array, ...]:
    """The hyperparameters without weight decay, which is the last of them where there is any."""
    return (*hyper[:-1], np.zeros_like(hyper[-1])) if weight_decay > 0.0 else hyper


def noise_gains(
    kind: type[Any],
    capacity: SpectralMeasure,
    rates: Array,
    hyper: tuple[Any, ...],
    gamma: Any,
    noise: SpectrallyExpressible,
) -> Float[Array, "..."]:
    """U~(1) of settings of any shape; inf where a mode has no stationary state.

    Parameters
    ----------
    kind : type
        Class of the method.
    capacity : SpectralMeasure
        The capacity measure.
    rates : array, any shape
    hyper : tuple of arrays
        Hyperparameters that broadcast against the rates.
    gamma : float or array that broadcasts against the rates
        Sampling factors.
    noise : SpectrallyExpressible
    """
    kernel = resting_kernel(kind, capacity, rates, hyper, gamma, noise.tau2)
    return np.where(np.isinf(kernel), np.inf, noise.tau1 * np.where(np.isinf(kernel), 0.0, kernel))


def gains_of(
    problem: Problem, family: Family, rates: Array, momenta: Array, batch_size: int | None, noise: NoiseModel
) -> Float[Array, "..."]:
    """Noise gains of settings of a family at one batch size, under any noise; inf where there is none.

    Parameters
    ----------
    problem : Problem
    family : Family
    rates, momenta : array, any one shape
    batch_size : int or None
    noise : SpectrallyExpressible or Noise
    """
    gamma = sampling_factor(batch_size, problem.n_samples, family.template.replacement)
    if gamma == 0.0 or isinstance(noise, SpectrallyExpressible):
        model = noise if isinstance(noise, SpectrallyExpressible) else SpectrallyExpressible()
        return noise_gains(family.kind, problem.measures()[0], rates, family.hyper(momenta), gamma, model)
    own = getattr(noise, "gains", None)
    if own is not None:
        return own(problem, family, rates, momenta, batch_size)
    found = np.empty(rates.shape)
    for place in np.ndindex(rates.shape):
        method = family.at(float(rates[place]), float(momenta[place]), batch_size)
        found[place] = transform(problem, method, noise).regular(np.zeros(1))[1][0]
    return found


def edges_of(
    problem: Problem,
    family: Family,
    momenta: Array,
    batch_size: int | None,
    noise: NoiseModel,
    capacity: SpectralMeasure | None = None,
) -> Float[Array, " momenta"]:
    """The largest stable learning rates of a family at one batch size, under any noise.

    Parameters
    ----------
    problem : Problem
    family : Family
    momenta : array, shape (momenta,)
    batch_size : int or None
    noise : SpectrallyExpressible or Noise
    capacity : SpectralMeasure, optional
        See `edges`.
    """
    if isinstance(noise, SpectrallyExpressible):
        gamma = sampling_factor(batch_size, problem.n_samples, family.template.replacement)
        return edges(problem, family.kind, family.hyper(momenta), gamma, noise, capacity)
    own = getattr(noise, "edges", None)
    if own is not None:
        return own(problem, family, momenta, batch_size)
    return one_by_one(problem, family, momenta, batch_size, noise)


def one_by_one(
    problem: Problem, family: Family, momenta: Array, batch_size: int | None, noise: NoiseModel
) -> Float[Array, " momenta"]:
    """The same, one momentum after the other.

    Parameters
    ----------
    problem, family, momenta, batch_size, noise :
        As of `edges_of`.
    """
    return np.array([edge(problem, family.at(1.0, float(beta), batch_size), noise) for beta in momenta])


def edges(
    problem: Problem,
    kind: type[Any],
    hyper: tuple[Array, ...],
    gamma: float,
    noise: SpectrallyExpressible,
    capacity: SpectralMeasure | None = None,
    weight_decay: float = 0.0,
) -> Float[Array, " settings"]:
    """The largest stable learning rates of many settings of one class, under spectrally expressible noise.

    Parameters
    ----------
    problem : Problem
    kind : type
        Class of the methods.
    hyper : tuple of arrays, each of shape (settings,)
        Hyperparameters.
    gamma : float
        Sampling factor of all.
    noise : SpectrallyExpressible
    capacity : SpectralMeasure, optional
        A compressed measure, where fewer digits will do.
    weight_decay : float
        rho, in units of an eigenvalue; where there is any, the last hyperparameter is the learning rate times it.
    """
    hyper = _undecayed(hyper, weight_decay)
    top = np.atleast_1d(curvature_limits(kind, hyper, problem.lambda_max + weight_decay))
    if gamma == 0.0 or (noise.tau1 == 0.0 and noise.tau2 == 0.0):
        return top
    if np.isinf(problem.trace):
        return np.zeros_like(top)
    measure = problem.measures()[0] if capacity is None else capacity

    def stable(rates: Array) -> Bool[Array, "settings rates"]:
        at = tuple(h[:, None] for h in hyper)
        if weight_decay > 0.0:
            at = (*at[:-1], rates * weight_decay)
        return noise_gains(kind, measure, rates, at, gamma, noise) < 1.0

    # The gain grows from 0 with the learning rate up to its first crossing of 1, or its first pole.
    good = stable(top[:, None] * SHARES)
    first = np.where(good.all(axis=1), SHARES.size, np.argmin(good, axis=1))
    low = top * np.where(first == 0, 0.0, SHARES[np.maximum(first - 1, 0)])
    high = top * SHARES[np.minimum(first, SHARES.size - 1)]
    # Many points at once where the settings are few: a call costs as much as some tens of them.
    inner = int(np.clip(POINTS // low.size, 1, POINTS))
    shares, each = np.arange(1, inner + 1) / (inner + 1), np.arange(low.size)
    for _ in range(int(np.ceil(HALVINGS / np.log2(inner + 1)))):
        points = np.column_stack((low, low[:, None] + (high - low)[:, None] * shares, high))
        good = stable(points[:, 1:-1])
        bad = np.where(good.all(axis=1), inner, np.argmin(good, axis=1))
        low, high = points[each, bad], points[each, bad + 1]
        if (high - low <= 4e-16 * high).all():
            break
    return np.where(first == SHARES.size, top, low)


def edge(problem: Problem, method: Method, noise: NoiseModel) -> float:
    """The largest stable learning rate of a method, its own learning rate ignored.

    Parameters
    ----------
    problem : Problem
    method : Method
    noise : SpectrallyExpressible or Noise
    """
    method, decay = _trained(method)
    if decay > 0.0 and not (isinstance(noise, SpectrallyExpressible) or getattr(noise, "knows_options", False)):
        raise ValueError(
            f"weight_decay={decay:g}: the edge is derived for spectrally expressible noise and that of data, "
            f"got {noise!r}"
        )
    gamma = sampling_factor(method.batch_size, problem.n_samples, method.replacement)
    if isinstance(noise, SpectrallyExpressible):
        hyper = tuple(np.array([h]) for h in method.hyperparameters)
        return float(edges(problem, type(method), hyper, gamma, noise, weight_decay=decay)[0])
    top = curvature_limit(problem, method)
    if gamma == 0.0:
        return top
    own = getattr(noise, "edge", None)
    if own is not None:
        return float(own(problem, method))

    def stable(rate: float) -> bool:
        return bool(transform(problem, with_rate(method, rate), noise).regular(np.zeros(1))[0][0])

    low, high = 0.0, top * (1.0 - 1e-13)
    if stable(high):
        return top
    # Downwards by factors to a stable rate, then halving: the gain rises with the learning rate.
    rate = high
    while low == 0.0 and rate > 1e-15 * top:
        high, rate = rate, rate / 4.0
        low = rate if stable(rate) else 0.0
    while high - low > 4e-16 * high:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low
