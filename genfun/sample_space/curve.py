"""The exact mean loss on given data at any step: recursion first, contour later."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Int
from genfun.engine.contour_curve import AboveLimit, LossCurve, above_limit, joined, near_limit
from genfun.engine.enclosed import beside, encloses
from genfun.engine.inversion import coefficients, windows
from genfun.engine.loss_curve import FIRST_CONTOUR_STEP, automatic, lasting, oscillation_steps
from genfun.engine.unseen import judged_from, missed
from genfun.sample_space.exact_function import ExactFunction
from genfun.sample_space.moments import MAX_RANK, exact_curve
from genfun.sample_space.resolvent import TOLERANCE
from genfun.scaled import EPS, Scaled

WORK, OVERHEAD = 2e9, 1e6
"""The recursion is taken where all of it costs fewer operations than this, those that a step costs anyway included."""
PATIENCE = 4_096
"""Oscillations are waited for up to this many steps; later ones show in the disagreement with the recursion."""
NARROW, WIDE = 1.2, 8.0
"""Steps within this ratio share a contour: few steps, or many."""
COUNTS = {NARROW: (14, 12), WIDE: (22, 19)}
"""Nodes that bring the quadrature to 1e-9 or better, and those of the coarser one that estimates its error."""
ACCURACY = 1e-9
"""What the nodes and the residuals of the solver are chosen for; two quadratures may agree better by chance."""
SUMMED = 1e-3
"""Error of a sum over samples over that of the samples' residuals, at most: it is of second order (measured 1e-6)."""
CHECKS = 3
"""Steps at which recursion and contour are compared where one takes over from the other."""


def sample_curve(G: ExactFunction, steps: Int[Array, " t"]) -> LossCurve:
    r"""Mean loss at ascending steps, exactly, at a cost that does not depend on the step.

    .. math:: L(t) = \frac{1}{2\pi i}\int \tilde L(e^{-p})\,e^{pt}\,dp

    The recursion of the full second moments serves the early steps: singularities off the real axis, which the
    contour does not see, fade as abs(beta)^(t/2) or as the fastest oscillating mode does. The contour takes over once
    they are gone. The disagreement of the two there, and of two quadratures everywhere, is the error that is given.

    **Assumptions.** As for `ExactFunction`. The full batch goes by the noiseless routes of the engine.

    Parameters
    ----------
    G : ExactFunction
    steps : array, shape (t,)
        Ascending, without repeats.

    Returns
    -------
    LossCurve

    References
    ----------
    Weideman and Trefethen, Math. Comp. 76 (2007) 1341.
    """
    if G.gamma == 0.0:
        return automatic(G.mean_field, steps)
    singular = G.known_singularity()
    fade = oscillation_steps(singular, singular.shift)
    wanted = int(max(2 * FIRST_CONTOUR_STEP, min(fade, PATIENCE)))
    each = 4.0 * G.features.size * G.data.eigenvalues.size**2 + OVERHEAD
    cheap = int(WORK / each) if G.data.eigenvalues.size <= MAX_RANK else 0
    if steps[-1] <= max(cheap, wanted):
        return exact_curve(G.data, G.method, steps)
    early = exact_curve(G.data, G.method, np.arange(wanted + 1))
    soon, late = steps[steps <= wanted], steps[steps > wanted]
    check = np.unique(np.linspace(0.9 * wanted, wanted, CHECKS).astype(np.int64))
    enclosed = encloses(G, late, singular)
    # Where later contours leave outside what oscillates, so does that of the check.
    found = contour(G, np.concatenate((check, late)), flat=not enclosed)
    mismatch = float(found.loss[: check.size].relative_difference(early.loss[check]).max())
    drift = singular.rate_error * lasting(G.mean_field, singular, late)
    rest = LossCurve(found.loss[check.size :], found.error[check.size :], found.route)
    at = (wanted, float(early.loss[np.array([wanted])].log()[0]))
    known = wanted >= judged_from(G, wanted, float(early.loss[np.array([0])].log()[0]), at[1])
    known = known or enclosed
    unseen = missed(rest.loss.log(), late, at, mismatch, singular.unresolved_rate, known)
    error = np.maximum(rest.error, unseen) + drift
    parts = [LossCurve(early.loss[soon], early.error[soon], early.route)] if soon.size else []
    return joined([*parts, LossCurve(rest.loss, error, rest.route)])


def contour(G: ExactFunction, steps: Int[Array, " t"], flat: bool = False) -> LossCurve:
    """The contour alone, for steps from FIRST_CONTOUR_STEP on.

    Parameters
    ----------
    G : ExactFunction
    steps : array, shape (t,)
        Ascending, without repeats.
    flat : bool
        See `genfun.engine.contour_curve.by_contour`.
    """
    singular = G.known_singularity()
    apart, limit, rate = near_limit(G, steps, singular)
    parts = [_inverted(G, steps[:apart], singular.shift, flat)] if apart else []
    return joined([*parts, _inverted(G, steps[apart:], rate, flat, limit)] if apart < steps.size else parts)


def _inverted(G: ExactFunction, steps: Array, shift: float, flat: bool, limit: float = 0.0) -> LossCurve:
    times = steps.astype(np.float64)
    cost = {ratio: len(windows(times, ratio)) * sum(counts) for ratio, counts in COUNTS.items()}
    ratio = min(cost, key=lambda r: cost[r])
    function: Any = AboveLimit(G, limit) if limit > 0.0 else G
    around = None if flat else beside(G, steps, G.known_singularity())
    found = coefficients(
        function,
        times,
        shift,
        False,
        ratio,
        COUNTS[ratio],
        signed=limit > 0.0,
        beside=around,
        accuracy=SUMMED * TOLERANCE,
    )
    power = shift * times
    error = np.maximum(found.error, ACCURACY + 4.0 * EPS * np.abs(power))
    if G.solver_error > 10.0 * TOLERANCE:
        error = error + G.solver_error
    decay = Scaled.exponential(found.mantissa, power)
    return above_limit(decay, error, limit, G.floor_error()) if limit > 0.0 else LossCurve(decay, error, "contour")
