"""Shift and contour of many settings in one loop that numba compiles: what `many` does in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genfun._typing import Array, Shaped
from genfun.engine.fused import loaded
from genfun.engine.inversion import hyperbola
from genfun.engine.mode_sums import ModeSums, Polynomials
from genfun.engine.settings import Settings
from genfun.engine.transform import memory

DEGREE = 3
"""The highest power of q: that of the determinant of three second moments, of methods with two states."""
AGREE = 1e-12
"""Relative difference to the responses beyond which a polynomial in q is not taken for them."""
LEAST_SPAN = 0.2
"""Points lie at least between this and 1."""
PROBES = (1e-9, 1e-5 + 1e-5j, 0.01 + 0.02j, 0.3 - 0.4j)


def contours_of_settings(
    parts: Any,
    numbers: Any,
    slowest: Any,
    capacity: Any,
    signal: Any,
    contour: Any,
    fine: int,
    known: bool,
    shift: Any,
    losses: Any,
) -> None:
    """The shift of every setting, as `many.shifts` finds it, and the quadratures of its loss on two contours.

    The sums over modes are those of `fused.sums_at_points`, written again: numba keeps no function on disk that is
    handed another.

    Parameters
    ----------
    parts : tuple of three arrays, each of shape (S, powers of lambda, powers of q)
        Of `polynomials_of_settings`.
    numbers : tuple of float
        tau1, sigma^2, the step, the tolerance of shifts and the least slowest rate.
    slowest : array, shape (S,)
        The log of the largest squared root of the modes.
    capacity, signal : (array, array), of shapes (n,) and (rows, n)
        Eigenvalues, and weights times their powers.
    contour : complex array, shape (2, points)
        Nodes of both contours, and weights times their exponentials.
    fine : int
        How many of them are those of the first contour.
    known : bool
        Whether the shifts are.
    shift : array, shape (S,)
        Receives the shifts, or gives them.
    losses : array, shape (S, 2)
        Receives both quadratures.
    """
    full, n_u, n_v = parts
    tau1, variance, step, tolerance, gone = numbers
    top, powers = full.shape[1] - 1, full.shape[2]
    (c_nodes, c_weights), (s_nodes, s_weights) = capacity, signal
    least, most = s_nodes.min(), s_nodes.max()
    count = max(c_nodes.size, s_nodes.size)
    re, im = np.empty(count), np.empty(count)
    real, imaginary = np.empty(top + 1), np.empty(top + 1)
    for s in range(slowest.size):
        if not known:
            slow, p, phase, low, high, inside = max(slowest[s], gone), 0.0, 0, 0.0, 0.0, True
            while True:
                q = -math.expm1(-p)
                for j in range(top + 1):
                    total = 0.0
                    for i in range(powers - 1, -1, -1):
                        total = total * q + full[s, j, i]
                    real[j] = total
                bad = 0
                for node in (least, most):
                    total = real[top]
                    for j in range(top - 1, -1, -1):
                        total = total * node + real[j]
                    bad += not total > 0.0
                good = False
                if bad == 0:
                    a, b = real[top], real[top - 1]
                    for k in range(c_nodes.size):
                        re[k] = a * c_nodes[k] + b
                    for j in range(top - 2, -1, -1):
                        a = real[j]
                        for k in range(c_nodes.size):
                            re[k] = re[k] * c_nodes[k] + a
                    for k in range(c_nodes.size):
                        bad += not re[k] > 0.0
                        re[k] = 1.0 / re[k]
                    gain = 0.0
                    for r in range(c_weights.shape[0]):
                        own, total, row = 0.0, 0.0, c_weights[r]
                        for i in range(powers - 1, -1, -1):
                            own = own * q + n_u[s, r, i]
                        for k in range(c_nodes.size):
                            total += row[k] * re[k]
                        gain += own * total
                    good = bad == 0 and (1.0 - q) * tau1 * gain < 1.0
                if phase == 0:
                    if good and slow < tolerance:
                        low, high, phase = min(slow, 0.0) - 0.5 * tolerance, 0.0, 2
                    else:
                        low, high, phase = 0.0, max(slow, 0.0) + tolerance, 1
                elif phase == 1:
                    if not good and high < 600.0:
                        low, high = high, 2.0 * high + tolerance
                    else:
                        phase = 2
                elif good:
                    high = p
                else:
                    low = p
                if phase == 1:
                    p = high
                else:
                    if not (inside and high - low > tolerance):
                        break
                    p = 0.5 * (low + high)
                    inside = low < p and p < high
            shift[s] = max(high, 0.0) if variance > 0.0 else high
        losses[s, 0], losses[s, 1] = 0.0, 0.0
        for point in range(contour.shape[1]):
            at = contour[0, point] / step
            a, b = -(shift[s] + at.real), -at.imag
            half, grown = math.sin(0.5 * b), math.expm1(a)
            # 1 - exp(a + ib), with all its digits where it is small.
            q = complex(2.0 * half * half - grown * math.cos(b), -(1.0 + grown) * math.sin(b))
            q2, q3, q4 = q * q, q * q * q, (q * q) * (q * q)
            for j in range(top + 1):
                # Written out: a loop over five would be vectorised, which takes longer.
                e = full[s, j]
                value = e[0] + e[1] * q + e[2] * q2 + e[3] * q3 + e[4] * q4
                real[j], imaginary[j] = value.real, value.imag
            z, kernel, response = 1.0 - q, 0.0j, 0.0j
            for part in range(2):
                nodes, weights, numerator = c_nodes, c_weights, n_u
                if part == 1:
                    nodes, weights, numerator = s_nodes, s_weights, n_v
                n = nodes.size
                a, b, c, d = real[top], imaginary[top], real[top - 1], imaginary[top - 1]
                for k in range(n):
                    re[k] = a * nodes[k] + c
                    im[k] = b * nodes[k] + d
                for j in range(top - 2, 0, -1):
                    a, b = real[j], imaginary[j]
                    for k in range(n):
                        re[k] = re[k] * nodes[k] + a
                        im[k] = im[k] * nodes[k] + b
                a, b = real[0], imaginary[0]
                for k in range(n):
                    x, y = re[k] * nodes[k] + a, im[k] * nodes[k] + b
                    inverse = 1.0 / (x * x + y * y)
                    re[k] = x * inverse
                    im[k] = y * inverse
                value = 0.0j
                for r in range(weights.shape[0]):
                    share, summed, turned = weights[r], 0.0, 0.0
                    for k in range(n):
                        summed += share[k] * re[k]
                        turned += share[k] * im[k]
                    e = numerator[s, r]
                    value += (e[0] + e[1] * q + e[2] * q2 + e[3] * q3) * complex(summed, -turned)
                if part == 0:
                    kernel = value
                else:
                    response = value
            below = 1.0 - tau1 * z * kernel
            value = response / below
            if variance > 0.0:
                value += variance / q * (1.0 + z * kernel / below)
            losses[s, 0 if point < fine else 1] += (0.5 * value * contour[1, point]).imag / step


def compiled_contours(
    settings: Settings,
    polynomials: Polynomials,
    sums: tuple[ModeSums, ModeSums],
    numbers: tuple[float, float, float],
    slowest: Array,
    shift: Array,
    counts: tuple[int, int],
    known: bool,
) -> tuple[Array, Array] | None:
    """Both quadratures of every setting, and its shift into `shift` unless it is known; None without numba at work.

    Parameters
    ----------
    settings : Settings
        S settings under spectrally expressible noise.
    polynomials : Polynomials
    sums : (ModeSums, ModeSums)
        Over capacity and signal.
    numbers : tuple of float
        The step, the tolerance of shifts and the least slowest rate.
    slowest, shift : array, shape (S,)
    counts : (int, int)
        Nodes of both contours.
    known : bool
    """
    quick = loaded(contours_of_settings)
    parts = None if quick is None else polynomials_of_settings(polynomials, settings)
    if quick is None or parts is None:
        return None
    both, losses = [hyperbola(count, 1.0) for count in counts], np.empty((shift.size, 2))
    nodes, weights = (np.concatenate(x) for x in ([c.nodes for c in both], [c.weights * np.exp(c.nodes) for c in both]))
    all_numbers = (settings.taus[0], float(settings.problem.noise_variance), *numbers)
    quick(
        parts,
        all_numbers,
        slowest,
        sums[0].rows,
        sums[1].rows,
        np.stack((nodes, weights)),
        counts[0],
        known,
        shift,
        losses,
    )
    return losses[:, 0], losses[:, 1]


def polynomials_of_settings(polynomials: Polynomials, settings: Settings) -> tuple[Array, ...] | None:
    """S, gamma alpha^2 n_u and n_v of every setting, coefficients of powers of lambda and q; None if they are not such.

    Parameters
    ----------
    polynomials : Polynomials
    settings : Settings
        Under spectrally expressible noise.

    Returns
    -------
    tuple of three arrays, each of shape (S, powers of lambda, powers of q), or None
    """
    tables = coefficients_in_q(polynomials, settings)
    if tables is None:
        return None
    d, n_u, n_v = tables
    top = max(d.shape[1] - 1, n_u.shape[1] + 1)
    full = np.zeros((len(d), top + 1, DEGREE + 2))
    full[:, : d.shape[1], :-1] = d
    feedback = (settings.gamma * settings.taus[1])[:, None, None] * n_u
    full[:, 2 : 2 + n_u.shape[1], :-1] += feedback
    full[:, 2 : 2 + n_u.shape[1], 1:] -= feedback
    powers = settings.rates[:, None] ** np.arange(top + 1)
    full *= powers[..., None]
    scale = settings.gamma * settings.rates**2
    own = [np.zeros((len(x), x.shape[1], DEGREE + 2)) for x in (n_u, n_v)]
    own[0][..., :-1] = n_u * (scale[:, None] * powers[:, : n_u.shape[1]])[..., None]
    own[1][..., :-1] = n_v * powers[:, : n_v.shape[1], None]
    return full, *own


def coefficients_in_q(polynomials: Polynomials, settings: Settings) -> tuple[Array, ...] | None:
    r"""Coefficients of d, n_u and n_v in a and in q = 1 - z, of every setting; None where they are no polynomials.

    From values at q between 1 and 1 less the largest modulus that the method remembers, evenly spread in log q, so that
    every power is known to some eps of the whole wherever it counts. The part of d at a = 0 vanishes with q, and is
    known relative to q.

    Parameters
    ----------
    polynomials : Polynomials
    settings : Settings

    Returns
    -------
    tuple of three arrays, each of shape (S, powers of a, powers of q), or None
    """
    each, place = settings.distinct
    hyper = tuple(each[:, j, None] for j in range(each.shape[1] - 1))
    scale = np.array([memory(settings.kind, tuple(row)) for row in each[:, :-1].tolist()])
    q = np.minimum(scale, LEAST_SPAN)[:, None] ** np.linspace(1.0, 0.0, DEGREE + 1)
    tables = []
    for part, table in enumerate(polynomials.coefficients(q, hyper)):
        found = np.empty((len(each), len(table), DEGREE + 1))
        for j, values in enumerate(table):
            slow = part == 0 and j == 0
            own = _monomials(q, values / q if slow else values)
            found[:, j] = np.append(np.zeros((len(each), 1)), own[:, :-1], axis=1) if slow else own
            for i in range(DEGREE, -1, -1):
                if not (np.abs(found[:, j, i]) < AGREE * 100.0 * np.abs(found[:, j]).max(axis=1)).all():
                    break
                found[:, j, i] = 0.0  # no power of this polynomial
        tables.append(found)
    probes = np.broadcast_to(np.array(PROBES), (len(each), len(PROBES)))
    powers = probes[..., None] ** np.arange(DEGREE + 1)
    for found, exact in zip(tables, polynomials.coefficients(probes, hyper), strict=True):
        for j, value in enumerate(exact):
            size = np.abs(value) if j == 0 else np.abs(exact).max(axis=0)
            if not (np.abs((powers * found[:, None, j]).sum(axis=2) - value) <= AGREE * size).all():
                return None
    return tuple(table[place] for table in tables)


def _monomials(points: Shaped[Array, "S m"], values: Shaped[Array, "S m"]) -> Shaped[Array, "S m"]:
    """Coefficients of polynomials through values at points, by divided differences from the smallest point on."""
    differences, count = np.array(values), points.shape[1]
    for k in range(1, count):
        rise = differences[:, k:] - differences[:, k - 1 : -1]
        differences[:, k:] = rise / (points[:, k:] - points[:, : count - k])
    found = np.zeros_like(differences)
    for k in range(count - 1, -1, -1):
        shifted = np.append(np.zeros((len(found), 1)), found[:, :-1], axis=1)
        found = shifted - points[:, k, None] * found
        found[:, 0] += differences[:, k]
    return found
