"""The noiseless loss at any step, by powers of the update matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int, Shaped
from genfun.methods.base import Method
from genfun.problems.measure import SpectralMeasure
from genfun.scaled import EPS, Scaled

MOST_TOGETHER = 100_000
"""Numbers, steps times modes times memory, that are kept at once."""
TARGET = 1e-12
"""Beyond this estimated error the powers are taken again in extended precision."""
LEAST_RADIUS = 1e-60
"""Update matrices whose powers vanish faster are scaled as if they had this spectral radius."""
LEAST_POWER, LARGEST_POWER = 1e-3, 1e60
"""Powers that have left this range, after all known decay and growth is taken out, are scaled again."""


def exact_product(rate: float, nodes: Float[Array, " n"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """The product as rounded, and what rounding took from it (Dekker's product): 1 - a keeps its digits near a = 1.

    Parameters
    ----------
    rate : float
        alpha.
    nodes : array, shape (n,)
        lambda_k.
    """

    def halves(x: Array) -> tuple[Array, Array]:
        high = x.astype(np.float64)
        mantissa, exponent = np.frexp(high)
        top = np.ldexp(np.rint(np.ldexp(mantissa, 26)), exponent - 26)
        return top, high - top

    product = rate * nodes
    (r1, r2), (n1, n2) = halves(np.float64(rate) * np.ones(1)), halves(nodes)
    return product, ((r1 * n1 - product) + r1 * n2 + r2 * n1) + r2 * n2


def deviation_from_identity(
    method: Method, nodes: Float[Array, " n"], rates: Float[Array, " n"], real: Any = np.float64
) -> Shaped[Array, "n m m"]:
    """I - exp(-r_k) T(a_k), to full relative precision where both r_k and a_k are tiny, and near a = 1.

    A step uses the gradient once, so that T is affine in a, and the difference of T at 0 and 1 gives the coefficient
    of a without the rounding of 1 - a.

    Parameters
    ----------
    method : Method
    nodes : array, shape (n,)
        lambda_k.
    rates : array, shape (n,)
        r_k, about log rho(T(a_k)).
    real : type
        np.float64 or np.longdouble.
    """
    at_zero, at_one = (np.array(method.update(x, *method.hyperparameters)[0], dtype=np.float64) for x in (0.0, 1.0))
    if method.hyperparameters and real is not np.float64:
        hyper = tuple(real(h) for h in method.hyperparameters)
        at_zero, at_one = (np.array(method.update(real(x), *hyper)[0], dtype=real) for x in (0, 1))
    a, lost = (x.astype(real)[:, None, None] for x in exact_product(method.learning_rate, nodes))
    r, eye, slope = rates.astype(real)[:, None, None], np.eye(at_zero.shape[0], dtype=real), at_one - at_zero
    slow = -np.expm1(-r) * eye + np.exp(-r) * ((eye - at_zero) - a * slope - lost * slope)
    return np.where(np.abs(r) < 0.5, slow, eye - np.exp(-r) * ((at_zero + a * slope) + lost * slope))


def spectral_radii(method: Method, a: Float[Array, " n"]) -> Float[Array, " n"]:
    """The largest modulus of an eigenvalue of T(a).

    Parameters
    ----------
    method : Method
    a : array, shape (n,)
    """
    rows, _ = method.update(a, *method.hyperparameters)
    matrix = np.stack([np.stack([np.broadcast_to(x, a.shape) for x in row], axis=-1) for row in rows], axis=-2)
    return np.abs(np.linalg.eigvals(matrix)).max(axis=1)


def noiseless_loss(
    signal: SpectralMeasure, method: Method, steps: Int[Array, " t"]
) -> tuple[Scaled, Float[Array, " t"]]:
    r"""Twice the loss of gradient descent without noise, V_t = sum_k s_k g_t(lambda_k)^2.

    .. math:: g_t = e^{r t}\,(\hat T^t)_{ww},\qquad \hat T = e^{-r} T,\qquad
              \hat T^{2^j} = I - D_j,\quad D_{j+1} = 2 D_j - D_j^2

    with r = log rho(T) of every mode for itself, so that no mode leaves the range of doubles, whatever another does.
    D_j keeps the relative precision of slow modes that 1 - a would lose: the error grows with t times the rate of
    decay, not with t. It is one of g_t next to its envelope, and so the larger of V_t the nearer g_t is to a zero:

    .. math:: |\delta V_t| \le 2\sum_k s_k |g_t|\,E_k\,\epsilon_k,\qquad
              E_k = \textstyle\sum_j |x_w y_w| |\mu_j|^t,\qquad \epsilon_k = \kappa_k t\,\epsilon

    **Assumptions.** Updates affine in a = learning rate * lambda.

    Parameters
    ----------
    signal : SpectralMeasure
        Modes without weight do not count.
    method : Method
    steps : array, shape (t,)

    Returns
    -------
    (Scaled, array)
        V_t, and an estimate of its relative error: the difference to a second computation with other common
        factors, which rounds differently, and the rounding of a itself.

    References
    ----------
    arXiv 2206.11124, eq. (12) with gamma = 0.
    """
    heavy = signal.weights > 0.0
    if not heavy.any():
        return Scaled(np.zeros(steps.size), np.zeros(steps.size, dtype=np.int64)), np.zeros(steps.size)
    nodes, weights = signal.nodes[heavy], signal.weights[heavy]
    rates = np.log(np.maximum(spectral_radii(method, method.learning_rate * nodes), LEAST_RADIUS))
    # Close enough that neither computation leaves the range of doubles, far enough to round differently.
    nudge = np.minimum(0.02 * np.abs(rates) * (steps.max() + 1.0) + 0.05, 15.0) / (steps.max() + 1.0)

    sensitivity = _sensitivity(deviation_from_identity(method, nodes, rates))

    def twice(real: Any, steps: Array) -> tuple[Scaled, Array]:
        first, age, each = _signal_decay(nodes, weights, method, steps, rates, real, sensitivity)
        second, _, _ = _signal_decay(nodes, weights, method, steps, rates + nudge, real, sensitivity)
        with np.errstate(over="ignore"):
            seen = 4.0 * second.relative_difference(first) + EPS * (64.0 + 8.0 * age)
            # Both computations may round alike.
            return first, seen + float(np.finfo(real).eps) * each * steps

    found, error = twice(np.float64, steps)
    short = np.flatnonzero(error > TARGET)
    if short.size:
        again, smaller = twice(np.longdouble, steps[short])
        better = smaller < error[short]
        mantissa, exponent = found.mantissa.copy(), found.exponent.copy()
        mantissa[short[better]], exponent[short[better]] = again.mantissa[better], again.exponent[better]
        found, error[short[better]] = Scaled(mantissa, exponent), smaller[better]
    return found, error


@np.errstate(all="ignore")  # what overflows becomes nan, and its error inf
def _signal_decay(
    nodes: Array, weights: Array, method: Method, steps: Array, rates: Array, real: Any, sensitivity: Any
) -> tuple[Scaled, Array, Array]:
    """V_t, the modulus of the power of e in it, and its relative error by roundings, over eps t."""
    d = deviation_from_identity(method, nodes, rates, real)
    size, n = d.shape[1], nodes.size
    scale = np.zeros(n, dtype=np.int64)
    doubled = [(d, scale)]
    while 2 ** len(doubled) <= int(steps.max()):
        d, scale = _rescaled(2.0 * d - d @ d, 2 * scale)
        doubled.append((d, scale))
    weight, weight_scale = np.frexp(weights)
    parts, ages, errors = [], [], []
    together = max(1, MOST_TOGETHER // (n * size))
    for start in range(0, steps.size, together):
        some = steps[start : start + together]
        rows, binary = np.zeros((size, some.size, n), dtype=real), np.zeros((some.size, n), dtype=np.int64)
        rows[0] = 1.0
        for j, (power, factor) in enumerate(doubled):
            odd = np.flatnonzero(some >> j & 1)
            before = rows[:, odd]
            # The sum over the state's few entries in a loop: each term is then one product of long rows.
            for i, k in np.ndindex(size, size):
                rows[k, odd] -= before[i] * power[:, i, k]
            binary[odd] += factor
            if j % 4 == 3:
                _, move = np.frexp(np.abs(rows).max(axis=0).astype(np.float64))
                rows, binary = np.ldexp(rows, -move), binary + move
        value, move = np.frexp(rows[0])
        total, age, shares = _summed(weight * value**2, weight_scale + 2 * (binary + move), 2.0 * rates * some[:, None])
        parts.append(total)
        ages.append(age)
        left = np.ldexp(np.abs(value).astype(np.float64), np.clip(binary + move, -1000, 1000))
        # A mode that a step takes to 0, a = 1 without momentum, has no share whose relative error would count.
        errors.append(np.where(shares > 0.0, shares * _amplified(some, left, *sensitivity), 0.0).sum(axis=1))
    return Scaled.join(parts), np.concatenate(ages), np.nan_to_num(np.concatenate(errors), nan=1e300, posinf=1e300)


def _amplified(steps: Array, left: Array, kappa: Array, size: Array, shares: Array, fading: Array) -> Array:
    """The relative error of g_t^2 by roundings, over eps t; `left` is |g_t| exp(-r t).

    Squarings add as much again until powers have stopped to grow. Before roots that nearly coalesce have moved apart,
    they do not turn, and grow as t.
    """
    envelope = sum(part * np.exp(np.outer(steps, rate)) for part, rate in zip(shares.T, fading.T, strict=True))
    most = size * (1.0 + steps[:, None])
    apart = kappa <= most
    each = np.where(apart, kappa, most)
    return 2.0 * np.where(apart, np.maximum(envelope / left, 1.0), 1.0) * np.maximum(np.log2(1.0 + each), 1.0) * each


def _rescaled(d: Array, scale: Array) -> tuple[Array, Array]:
    """D with I - D = 2^scale times a matrix of ordinary size: nearly equal roots are known to eps^(1/2) only."""
    power = np.eye(d.shape[1], dtype=d.dtype) - d
    size = np.abs(power).max(axis=(1, 2)).astype(np.float64)
    out = ((size < LEAST_POWER) | (size > LARGEST_POWER)) & (size > 0.0) & np.isfinite(size)
    if not out.any():
        return d, scale
    move = np.where(out, np.frexp(size)[1], 0)
    small = np.eye(d.shape[1], dtype=d.dtype) - np.ldexp(power, -move[:, None, None])
    return np.where(out[:, None, None], small, d), scale + move


@np.errstate(over="ignore")
def _sensitivity(deviation: Array) -> tuple[Array, Array, Array, Array]:
    r"""What the rounding of D changes of each mode's largest eigenvalue mu of I - D, relative to mu and eps.

    .. math:: \kappa = \frac{|y|^T |D|\, |x|}{|y^T x|\,|\mu|}

    with the left and right eigenvectors y and x of mu; the sum of the moduli of D, over that of mu, which bounds the
    change by a step where the eigenvectors coalesce; and what all eigenvectors have of w, with the logarithms of their
    eigenvalues over that of mu: the envelope of g_t.
    """
    values, right = np.linalg.eig(np.eye(deviation.shape[1]) - deviation)
    top, each = np.argmax(np.abs(values), axis=1), np.arange(values.shape[0])
    modulus = np.maximum(np.abs(values[each, top]), 1e-300)
    coalesced = np.linalg.slogdet(right)[0] == 0.0
    whole = np.where(coalesced[:, None, None], np.eye(right.shape[1]), right)
    inverse = np.abs(np.linalg.inv(whole))
    shares = np.abs(right[:, 0, :]) * inverse[:, :, 0]
    fading = np.log(np.maximum(np.abs(values), 1e-300)) - np.log(modulus)[:, None]
    left = inverse[each, top]  # rows of the inverse have y^T x = 1
    kappa = np.einsum("ni,nij,nj->n", left, np.abs(deviation), np.abs(right[each, :, top])) / modulus
    return np.where(coalesced, np.inf, kappa), np.abs(deviation).sum(axis=(1, 2)) / modulus, shares, fading


def _summed(mantissa: Array, binary: Array, power: Array) -> tuple[Scaled, Array, Array]:
    """sum_k m_k 2^b_k e^p_k over the last axis; of its largest term the modulus of the power of e; the parts of all."""
    with np.errstate(divide="ignore"):
        size = np.log(np.abs(mantissa).astype(np.float64)) + binary * np.log(2.0) + power
    top = np.argmax(np.where(np.isnan(size), np.inf, size), axis=1)[:, None]
    lead_power, lead_binary = (np.take_along_axis(x, top, axis=1) for x in (power, binary))
    each = Scaled.exponential(np.ones_like(power), power - lead_power)
    exponent = np.clip(each.exponent + binary - lead_binary, -8000, 8000).astype(np.int32)
    terms = np.where(mantissa == 0.0, 0.0, mantissa * np.ldexp(each.mantissa.astype(mantissa.dtype), exponent))
    total = terms.sum(axis=1).astype(np.float64)
    found = Scaled.exponential(total, lead_power[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(terms == 0.0, 0.0, terms.astype(np.float64) / total[:, None])
    return Scaled(found.mantissa, found.exponent + lead_binary[:, 0]), np.abs(lead_power[:, 0]), parts


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def mean_path(method: Method, nodes: Float[Array, " n"], steps: Int[Array, " t"]) -> Float[Array, "t n"]:
    r"""What the mean of every mode has left of a unit initial error, g_t = (T^t)_{ww}, with its sign.

    .. math:: T^{2^j} = I - D_j,\quad D_{j+1} = 2 D_j - D_j^2

    so that slow modes keep their digits, at a cost that grows as log t.

    **Assumptions.** Updates affine in a = learning rate * lambda. Modes beyond the edge of the curvature become inf.

    Parameters
    ----------
    method : Method
    nodes : array, shape (n,)
        lambda_k.
    steps : array, shape (t,)

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> mean_path(SGD(0.5), np.array([1.0, 3.0]), np.array([0, 1, 3]))
    array([[ 1.   ,  1.   ],
           [ 0.5  , -0.5  ],
           [ 0.125, -0.125]])
    """
    d = deviation_from_identity(method, nodes, np.zeros_like(nodes))
    size = d.shape[1]
    rows = np.zeros((size, steps.size, nodes.size))
    rows[0] = 1.0
    for j in range(int(steps.max()).bit_length()):
        odd = np.flatnonzero(steps >> j & 1)
        before = rows[:, odd]
        for i, k in np.ndindex(size, size):
            rows[k, odd] -= before[i] * d[:, i, k]
        d = 2.0 * d - d @ d
    return rows[0]
