"""How long does SGD stay in a minimum, and in which of two minima is it found?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed, percent
from genfun._typing import Array, Float
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor

Verdict = Literal["ok", "low barrier", "coarse steps", "no noise", "diverges"]
LEAST_RATIO = 4.0
"""Barriers below this many temperatures are outside the range of the formula."""
COARSEST = 0.25
"""Largest share of the curvature limit, r = alpha lambda/(2 (1+beta)). In the quartic double well the formula is 2 %
off there, and 11 % at twice that: what it leaves out is of the order 0.1 r^2 barrier/T."""
HEAVIEST = 1.0
"""Largest inertia, alpha lambda (1+abs(beta))/(1-beta)^2: beyond, a run oscillates in the minimum, and the time that
the noise takes to lift it begins to count."""
LARGEST_LOG = 700.0
"""Largest logarithm whose exponential is still a double."""


@dataclass(frozen=True, repr=False)
class Escape(Displayed):
    """Mean time in a minimum before a saddle is passed, and the way there.

    Parameters
    ----------
    status : str
        "ok", "low barrier" (under four temperatures: a run hardly stays at all), "coarse steps" (learning rate times
        curvature too large for the formula), "no noise" (never leaves) or "diverges" (the step is beyond the curvature
        limit of the minimum, which holds no run); `notes` gives all that applies, in words.
    steps : float
        Mean number of steps; inf without noise and above 1e304, nan where the iteration diverges.
    log_steps : float
        Its natural logarithm.
    temperature : float
        T, in units of the loss.
    barrier_ratio : float
        barrier/T, dimensionless: the exponent of the formula.
    excess_loss : float
        Mean loss above the minimum while the run stays there; inf where the iteration diverges.
    notes : tuple of str
        Why the number is not to be trusted; empty if it is.

    Examples
    --------
    >>> import genfun as gf
    >>> escape_time([2.0], [-1.0], barrier=0.25, method=gf.SGD(0.02, batch_size=1), gradient_variance=5.0)
    Escape(ok: 32802 steps on average, barrier/temperature 5, excess loss 0.02551)
    """

    status: Verdict
    steps: float
    log_steps: float
    temperature: float
    barrier_ratio: float
    excess_loss: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        if self.status == "diverges":
            return f"Escape(diverges: {self.notes[0]})"
        return (
            f"Escape({self.status}: {self.steps:.6g} steps on average, barrier/temperature {self.barrier_ratio:.4g}, "
            f"excess loss {self.excess_loss:.4g})"
        )


@dataclass(frozen=True, repr=False)
class MinimumOdds(Displayed):
    """How much likelier a run is found in the flat minimum than in the sharp one, in the end.

    Parameters
    ----------
    status : str
        "ok", "coarse steps" or "diverges" (one of the minima holds no run); `notes` says it in words.
    odds : float
        P_flat/P_sharp; 0 or inf where it is outside the range of doubles; inf where only the sharp minimum is beyond
        the curvature limit, nan where the flat one is.
    log_odds : float
        Its natural logarithm.
    share : float
        P_flat/(P_flat + P_sharp).
    temperature : float
        T, in units of the loss.
    notes : tuple of str
        Why the number is not to be trusted; empty if it is.

    Examples
    --------
    >>> import genfun as gf
    >>> minimum_odds([1.0, 1.0], [2.0, 8.0], gf.SGD(0.01, batch_size=10), gradient_variance=1.0)
    MinimumOdds(ok: 4.081 to 1 for the flat minimum, 80.3 % of the time)
    """

    status: Verdict
    odds: float
    log_odds: float
    share: float
    temperature: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        share = percent(self.share, 3)
        return f"MinimumOdds({self.status}: {self.odds:.4g} to 1 for the flat minimum, {share} of the time)"


def escape_time(
    minimum: Any,
    saddle: Any,
    barrier: float,
    method: SGD,
    gradient_variance: float,
    n_samples: int | None = None,
    anharmonicity: float = 0.0,
) -> Escape:
    r"""Mean number of steps until SGD has left a minimum over a saddle.

    .. math:: K = \frac{2\pi}{\ln z_+}\sqrt{\frac{|\det H_s|}{\det H_m}}\;
              \exp\Big[\frac{f_s-f_m}{T}-\frac{\alpha(\mathrm{Tr}\,H_m-\mathrm{Tr}\,H_s)}{4(1+\beta)}\Big],\qquad
              T = \frac{\eta\,\gamma\,\sigma^2}{2},\qquad \eta = \frac{\alpha}{1-\beta}

    with gamma = 1/M for a batch of M streaming samples and z_+ > 1 the root of
    z^2 - (1 + beta + alpha |lambda_-|) z + beta = 0, the growth of a displacement from the saddle in one step. As
    alpha -> 0, K = (2 pi/(eta |lambda_-|)) sqrt(|det H_s|/det H_m) exp((f_s - f_m)/T). The mean loss above the minimum
    is (T/2) sum_i 1/(1 - r_i), r_i = alpha lambda_i/(2(1+beta)), exact for a quadratic minimum: d T/2 = d eta
    sigma^2/(4M) for small steps.

    The term of order alpha is that of the stationary density of the discrete iteration, proportional to
    exp(-[f - alpha |grad f|^2/(4(1+beta))]/T - alpha Tr H/(2(1+beta))). Its first part gives the variance
    T/(lambda(1-r)) of heavy ball in a quadratic, its second part keeps E grad f = 0 where there is a cubic term.

    **Assumptions.** Gradient noise of the same variance in every direction and at every place (no multiplicative
    noise); one minimum, one saddle (rates over several saddles add up); barrier/T of at least 4. All
    r = alpha |lambda|/(2(1+beta)) at most 0.25 and r^2 barrier/T at most 1; alpha |lambda| (1+|beta|)/(1-beta)^2 at
    most 1. In the quartic double well at barrier/T = 5 the formula, corrected for the finite barrier, is then within
    4 % of simulated runs at momenta from -0.9 to 0.9; at beta = -0.9 it is 12 % too long at r = 0.5, 63 % at r = 0.75.
    A run counts as having left when it is well past the saddle; on the saddle it has half the time behind it. In the
    quartic double well at barrier/T = 4, 5 and 6 the diffusion takes 9, 8 and 7 % longer than the formula to get half
    way from the saddle to the other minimum, and 14, 11 and 8 % to arrive there; its `anharmonicity` of 1.5 makes that
    formula 9, 8 and 6 % longer. Where the gradient noise is carried by
    the residuals it shrinks with the loss, and `escape_steps` is the answer.

    Parameters
    ----------
    minimum : array, shape (d,) or (d, d)
        H_m, the Hessian at the minimum or its eigenvalues, all positive.
    saddle : array, shape (d,) or (d, d)
        H_s at the saddle, exactly one eigenvalue negative.
    barrier : float
        f_s - f_m > 0, in units of the loss.
    method : SGD
        alpha, beta and the batch size M; None means the full batch, which has no noise.
    gradient_variance : float
        sigma^2 > 0, variance of each component of the gradient of a single sample.
    n_samples : int or None
        N, size of the training set that batches are drawn from; None means streaming data.
    anharmonicity : float
        c, in units of 1/loss, of the next order: the time is 1 + c T times that of the formula; see
        `genfun.answers.escape.finite_barrier`. 0 leaves it out.

    Returns
    -------
    Escape

    Raises
    ------
    ValueError
        If a Hessian is not that of a minimum or a saddle, or a number is out of range.

    References
    ----------
    Escape of SGD as diffusion: arXiv 1812.00542; the rate: Kramers (1940), Eyring (1935), with inertia Langer (1969).
    The terms of order alpha are derived here and checked by simulation.

    Examples
    --------
    >>> import genfun as gf
    >>> double_well = {"minimum": [2.0], "saddle": [-1.0], "barrier": 0.25, "gradient_variance": 5.0}
    >>> round(escape_time(method=gf.SGD(0.02, batch_size=1), **double_well).steps)
    32802
    >>> escape_time(method=gf.SGD(0.1, batch_size=1), **double_well).status  # barrier/T = 1
    'low barrier'
    >>> escape_time(method=gf.SGD(0.1, -0.95, batch_size=1), **double_well)  # 2 (1 + beta)/lambda is 0.05
    Escape(diverges: learning rate 0.1 is beyond the limit 2 (1+beta)/lambda_max = 0.05: the minimum holds no run)
    """
    at_minimum, at_saddle = _eigenvalues("minimum", minimum), _eigenvalues("saddle", saddle)
    _all_positive("minimum", at_minimum)
    if at_minimum.size != at_saddle.size:
        raise ValueError(f"minimum and saddle must have one dimension, got {at_minimum.size} and {at_saddle.size}")
    if (at_saddle < 0.0).sum() != 1 or (at_saddle == 0.0).any():
        raise ValueError(
            f"saddle must have exactly one negative eigenvalue and none that is 0, got {(at_saddle < 0.0).sum()} "
            f"negative and {(at_saddle == 0.0).sum()} zero; pass the Hessian at the lowest pass out of the minimum"
        )
    height = _check.positive("barrier", barrier, "it is the loss at the saddle less that at the minimum")
    temperature = _temperature(method, gradient_variance, n_samples)
    limit = _no_hold(method, at_minimum)
    if limit:
        return Escape("diverges", math.nan, math.nan, temperature, height / temperature, math.inf, limit)
    excess = 0.5 * temperature * float((1.0 / (1.0 - _shares(method, at_minimum))).sum())
    if temperature == 0.0:
        notes = ("the full batch has no noise: a run that starts in the minimum stays there",)
        return Escape("no noise", math.inf, math.inf, 0.0, math.inf, 0.0, notes)
    determinants = 0.5 * (np.log(np.abs(at_saddle)).sum() - np.log(at_minimum).sum())
    shift = 0.5 * float(_shares(method, at_minimum).sum() - _shares(method, at_saddle).sum())
    ratio = height / temperature
    leave = _growth(method, -float(at_saddle.min()))
    log_steps = (
        math.log(2.0 * math.pi / leave) + float(determinants) + ratio - shift + _next_order(anharmonicity, temperature)
    )
    coarse = _coarse(method, max(at_minimum.max(), np.abs(at_saddle).max()), ratio)
    low = (
        ()
        if ratio >= LEAST_RATIO
        else (f"barrier/T = {ratio:.3g} is below {LEAST_RATIO:g}, outside the range of the formula",)
    )
    status: Verdict = "low barrier" if low else "coarse steps" if coarse else "ok"
    return Escape(status, _exp(log_steps), log_steps, temperature, ratio, excess, low + coarse)


def _next_order(anharmonicity: float, temperature: float) -> float:
    more = _check.number("anharmonicity", anharmonicity) * temperature
    if not abs(more) < 0.5:
        raise ValueError(
            f"anharmonicity times the temperature must be a small correction, below 0.5 in size, got {more:.3g}; "
            "at this temperature the barrier is too low for the formula: lower learning_rate, or raise batch_size"
        )
    return math.log1p(more)


def minimum_odds(
    flat: Any,
    sharp: Any,
    method: SGD,
    gradient_variance: float,
    height: float = 0.0,
    n_samples: int | None = None,
) -> MinimumOdds:
    r"""The odds that SGD is found in one minimum rather than in another, after many escapes.

    .. math:: \frac{P_{flat}}{P_{sharp}} = \sqrt{\frac{\det H_{sharp}}{\det H_{flat}}}\;
              \exp\Big[\frac{f_{sharp} - f_{flat}}{T}
              + \frac{\alpha(\mathrm{Tr}\,H_{sharp}-\mathrm{Tr}\,H_{flat})}{4(1+\beta)}\Big],\qquad
              T = \frac{\eta\,\gamma\,\sigma^2}{2}

    For minima of equal depth the odds do not depend on the batch size, and on the learning rate only through the
    last term, of the order of its share of the curvature limit: a larger eta/M only gets there sooner, at the price of
    more excess loss.

    **Assumptions.** Those of `escape_time`, and a run much longer than the slower of the two escapes. Both minima are
    quadratic as far as a run strays, some sqrt(T/lambda).

    Parameters
    ----------
    flat : array, shape (d,) or (d, d)
        H_flat, the Hessian at the flat minimum or its eigenvalues, all positive.
    sharp : array, shape (d,) or (d, d)
        H_sharp, at the sharp one.
    method : SGD
        alpha, beta and the batch size M.
    gradient_variance : float
        sigma^2 > 0, variance of each component of the gradient of a single sample.
    height : float
        f_sharp - f_flat, of either sign, in units of the loss.
    n_samples : int or None
        N; None means streaming data.

    Returns
    -------
    MinimumOdds

    Raises
    ------
    ValueError
        If a Hessian is not that of a minimum, a number is out of range, or there is no noise.

    References
    ----------
    arXiv 1812.00542; the term of order alpha as in `escape_time`.

    Examples
    --------
    >>> import genfun as gf
    >>> for rate in (0.0001, 0.01):
    ...     print(minimum_odds([1.0], [9.0], gf.SGD(rate, batch_size=10), gradient_variance=1.0))
    MinimumOdds(ok: 3.001 to 1 for the flat minimum, 75 % of the time)
    MinimumOdds(ok: 3.061 to 1 for the flat minimum, 75.4 % of the time)
    """
    at_flat, at_sharp = _eigenvalues("flat", flat), _eigenvalues("sharp", sharp)
    _all_positive("flat", at_flat)
    _all_positive("sharp", at_sharp)
    if at_flat.size != at_sharp.size:
        raise ValueError(f"flat and sharp must have one dimension, got {at_flat.size} and {at_sharp.size}")
    difference = _check.number("height", height, "it is the loss at the sharp minimum less that at the flat one")
    temperature = _temperature(method, gradient_variance, n_samples)
    if temperature == 0.0:
        raise ValueError(
            f"method has no noise (batch_size={method.batch_size}): a run stays in the minimum where it starts; "
            "choose a batch_size below the number of samples"
        )
    limit = _no_hold(method, at_flat)
    if limit:
        return MinimumOdds("diverges", math.nan, math.nan, math.nan, temperature, tuple(f"flat: {n}" for n in limit))
    limit = _no_hold(method, at_sharp)
    if limit:
        return MinimumOdds("diverges", math.inf, math.inf, 1.0, temperature, tuple(f"sharp: {n}" for n in limit))
    shift = 0.5 * float(_shares(method, at_sharp).sum() - _shares(method, at_flat).sum())
    depth = difference / temperature
    log_odds = 0.5 * float(np.log(at_sharp).sum() - np.log(at_flat).sum()) + depth + shift
    notes = _coarse(method, max(at_flat.max(), at_sharp.max()), abs(depth))
    share = 1.0 / (1.0 + math.exp(min(-log_odds, LARGEST_LOG)))
    return MinimumOdds("coarse steps" if notes else "ok", _exp(log_odds), log_odds, share, temperature, notes)


def _temperature(method: SGD, gradient_variance: float, n_samples: int | None) -> float:
    """eta gamma sigma^2/2."""
    if type(method) is not SGD:
        raise TypeError(f"method must be an SGD, got {type(method).__name__}; the formula is known for it only")
    sigma2 = _check.positive("gradient_variance", gradient_variance, "it is the variance of one gradient component")
    gamma = sampling_factor(method.batch_size, n_samples, method.replacement)
    return 0.5 * method.effective_learning_rate * gamma * sigma2


def _eigenvalues(name: str, value: Any) -> Float[Array, " d"]:
    """Of a symmetric matrix, or as given."""
    value = _check.plain(name, value)
    if np.ndim(value) != 2:
        return _check.vector(name, value)
    given = np.asarray(value)
    _check.reals(name, given)
    matrix = np.array(given, dtype=np.float64)
    if matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a finite square matrix or its eigenvalues, got shape {matrix.shape}")
    if not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-10 * np.abs(matrix).max()):
        raise ValueError(f"{name} is not symmetric, so it is no Hessian; pass (H + H.T)/2")
    return np.linalg.eigvalsh(matrix)


def _all_positive(name: str, eigenvalues: Array) -> None:
    if (eigenvalues <= 0.0).any():
        raise ValueError(
            f"{name} has the eigenvalue {float(eigenvalues.min())!r} but all must be positive at a minimum; "
            "in a valley of minima leave out the directions along it"
        )


def _shares(method: SGD, eigenvalues: Float[Array, " d"]) -> Float[Array, " d"]:
    """r = alpha lambda/(2 (1+beta)), of the sign of lambda: the share of the curvature limit."""
    return method.learning_rate * eigenvalues / (2.0 * (1.0 + method.momentum))


def _growth(method: SGD, curvature: float) -> float:
    """ln z_+ at a saddle of that negative curvature: with z = 1 + d, d^2 + (1-beta-a) d - a = 0."""
    a = method.learning_rate * curvature
    half = 0.5 * (1.0 - method.momentum - a)
    root = math.sqrt(half * half + a)
    return math.log1p(a / (half + root) if half > 0.0 else root - half)


def _no_hold(method: SGD, eigenvalues: Float[Array, " d"]) -> tuple[str, ...]:
    """Whether full-batch descent itself diverges in the minimum."""
    if _shares(method, eigenvalues).max() < 1.0:
        return ()
    limit = 2.0 * (1.0 + method.momentum) / float(eigenvalues.max())
    known = f"the limit 2 (1+beta)/lambda_max = {limit:.4g}"
    return (f"learning rate {method.learning_rate:.4g} is beyond {known}: the minimum holds no run",)


def _coarse(method: SGD, largest: float, depth: float) -> tuple[str, ...]:
    """Whether single steps are too large for the formulas, at an exponent of that size."""
    beta, notes = method.momentum, []
    share = float(_shares(method, np.array([largest]))[0])
    inertia = method.learning_rate * float(largest) * (1.0 + abs(beta)) / (1.0 - beta) ** 2
    if share > COARSEST:
        notes.append(f"the learning rate is {share:.3g} of the curvature limit, above {COARSEST:g}: steps are coarse")
    elif share * share * depth > 1.0:
        notes.append(
            f"the learning rate is {share:.3g} of the curvature limit, too much at an exponent of {depth:.3g}: "
            "steps are coarse"
        )
    if inertia > HEAVIEST:
        notes.append(f"rate times curvature, with inertia, is {inertia:.3g}, above {HEAVIEST:g}: runs oscillate")
    return tuple(notes)


def _exp(power: float) -> float:
    return math.inf if power > LARGEST_LOG else math.exp(power)
