"""Which minima does SGD keep, which does it leave, and how soon: over learning rate, batch size and sharpness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float, Int, Shaped
from genfun.answers.max_learning_rate import noise_gain_map
from genfun.answers.stability import MARGINAL
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import curvature_limit
from genfun.engine.many import growth_rates
from genfun.engine.settings import Settings
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.noise import NoiseModel
from genfun.problems.problem import Problem

Axis = Literal["batch_size", "sharpness"]
STATUSES = ("stable", "escapes", "diverges")
ACCURACY = 1e-10
"""Absolute, of the growth rate per step."""


@dataclass(frozen=True, eq=False, repr=False)
class EscapeChart(Displayed):
    """Whether a minimum is kept, over learning rate, batch size and sharpness.

    Parameters
    ----------
    learning_rates : array, shape (r,)
        alpha.
    batch_sizes : integer array, shape (m,)
        b.
    sharpness : array, shape (k,)
        Factors by which the Hessian of the problem is multiplied.
    status : array of str, shape (r, m, k)
        "stable" (the edge included, to 1e-9), "escapes" (only noise drives it out: U~(1) > 1) or "diverges"
        (full-batch descent diverges too: alpha lambda_max >= 2(1+beta)).
    noise_gain : array, shape (r, m, k)
        U~(1); inf where it does not exist.
    escape_rate : array, shape (r, m, k)
        Late-time d log(mean loss)/d step where the minimum is left; 0 where it is stable.
    steps : array, shape (r, m, k)
        ln(factor)/escape rate; inf where it is stable.
    momentum : float
        beta.
    factor : float
        By how much the mean loss grows in those steps.
    problem : Problem
        As asked, of sharpness 1.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Examples
    --------
    >>> import genfun as gf
    >>> escape_chart(gf.LinearProblem([1.0] * 8, [1.0] * 8), [0.2, 0.4], [1, 4], sharpness=[1.0, 2.0, 8.0])
    EscapeChart(2 x 2 x 3 rates, batch sizes, sharpnesses: 4 stable, 6 escape, 2 diverge)
    """

    learning_rates: Float[Array, " r"]
    batch_sizes: Int[Array, " m"]
    sharpness: Float[Array, " k"]
    status: Shaped[Array, "r m k"]
    noise_gain: Float[Array, "r m k"]
    escape_rate: Float[Array, "r m k"]
    steps: Float[Array, "r m k"]
    momentum: float
    factor: float
    problem: Problem
    noise: NoiseModel

    def __repr__(self) -> str:
        stable, escapes, diverges = (int((self.status == name).sum()) for name in STATUSES)
        shape = " x ".join(str(n) for n in self.status.shape)
        return (
            f"EscapeChart({shape} rates, batch sizes, sharpnesses: "
            f"{stable} stable, {escapes} escape, {diverges} diverge)"
        )


def escape_chart(
    problem: Problem | LinearData,
    learning_rates: Any,
    batch_sizes: Any,
    sharpness: Any = (1.0,),
    momentum: float = 0.0,
    factor: float = 10.0,
    noise: NoiseChoice = None,
    method: Method | None = None,
) -> EscapeChart:
    r"""Stable, escapes in so many steps, or diverges, for minima that differ by a factor c of their Hessian.

    .. math:: H_c = c H:\qquad \tilde U(1; \alpha, b, c) = \tilde U(1; c\alpha, b, 1),\qquad
              K = \frac{\ln F}{-\ln z_*(c\alpha, b)}

    Only the product of learning rate and sharpness counts, so that the edge of a minimum ten times as sharp lies at a
    tenth of the rate.

    **Assumptions.** Those of `escape_steps`. Steps are those of the late growth rate (to 1e-10 a
    step), without the transient, and of the mean.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum at a minimum of sharpness 1.
    learning_rates : array, shape (r,)
        alpha > 0.
    batch_sizes : array of ints, shape (m,)
        b, from 1 to the number of samples.
    sharpness : array, shape (k,)
        c > 0, by which the Hessian is multiplied.
    momentum : float
        beta in (-1, 1).
    factor : float
        F > 1, by which the mean loss grows.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    method : Method or None
        A method whose class and other hyperparameters are kept; None is heavy-ball SGD.

    Returns
    -------
    EscapeChart

    Raises
    ------
    ValueError
        If an axis is empty or a value is out of range.

    References
    ----------
    arXiv 2206.11124, section 4, eq. (13); flat and sharp minima: arXiv 1812.00542.

    Examples
    --------
    >>> import genfun as gf
    >>> chart = escape_chart(gf.LinearProblem([1.0] * 8, [1.0] * 8), [0.4], [1, 2, 8], sharpness=[1.0, 2.0])
    >>> chart.status[0].tolist()  # a row for each batch size
    [['escapes', 'escapes'], ['stable', 'escapes'], ['stable', 'stable']]
    """
    rates, scales = _positive("learning_rates", learning_rates), _positive("sharpness", sharpness)
    sizes = _sizes(batch_sizes)
    beta, growth = _check.momentum(momentum), _check.number("factor", factor, "e.g. 10.0")
    if growth <= 1.0:
        raise ValueError(f"factor must be above 1, got {growth!r}; pass by how much the mean loss grows, e.g. 10.0")
    case, family = Case.of(problem, noise=noise), Family() if method is None else Family(method)
    problem, model = case.problem, case.noise
    _check.rates(float(rates.max() * scales.max()), problem.lambda_max, "learning_rates times sharpness")
    # Products equal to rounding are one cell.
    products, back = np.unique(np.round(np.log(np.multiply.outer(rates, scales)), 12), return_inverse=True)
    products, back = np.exp(products), back.reshape(rates.size, scales.size)
    gain, rate = (np.zeros((products.size, sizes.size)) for _ in range(2))
    for j, b in enumerate(sizes.tolist()):
        gain[:, j] = noise_gain_map(problem, products, [beta], b, model, family.template)[:, 0]
        # Without sampling noise the gain is 0 up to the curvature limit and inf beyond it.
        left = gain[:, j] > 1.0 + MARGINAL
        rate[left, j] = _growth_rates(problem, family, products[left], beta, b, model)
    status = np.where(rate > 0.0, "escapes", "stable").astype("<U8")
    status[(rate > 0.0) & (products >= curvature_limit(problem, family.at(1.0, beta, None)))[:, None]] = "diverges"
    with np.errstate(divide="ignore"):
        steps = math.log(growth) / rate
    status, gain, rate, steps = (x[back].transpose(0, 2, 1) for x in (status, gain, rate, steps))
    return EscapeChart(rates, sizes, scales, status, gain, rate, steps, beta, growth, problem, model)


def _growth_rates(
    problem: Problem, family: Family, rates: Array, momentum: float, batch_size: int, noise: NoiseModel
) -> Float[Array, " S"]:
    """-ln z* of unstable settings, all at once, to ACCURACY."""
    if rates.size == 0 or (np.isinf(problem.capacity_total) and batch_size != problem.n_samples):
        return np.full(rates.size, np.inf)
    settings = Settings.of(problem, family, rates, np.full(rates.size, momentum), batch_size, noise)
    return growth_rates(settings, ACCURACY)


def _positive(name: str, value: Any) -> Float[Array, " n"]:
    result = _check.vector(name, value)
    if result.min() <= 0.0:
        raise ValueError(f"{name} must be positive, got {float(result.min())!r}; start the grid above 0")
    return result


def _sizes(value: Any) -> Int[Array, " m"]:
    return np.array([_check.integer("batch_sizes", b, 1) for b in np.atleast_1d(value)], dtype=np.int64)
