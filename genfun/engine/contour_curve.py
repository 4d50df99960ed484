"""The mean loss at given steps by contour integration, and what every route gives: losses and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.enclosed import beside
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.inversion import FEWER_NODES, NODES, coefficients, windows
from genfun.engine.singularity import Singularity
from genfun.engine.transform import Transform
from genfun.scaled import EPS, Scaled

EXTENDED_GAIN = 1024.0
"""By what rounding is smaller in extended precision, of the 2048 that it has."""
TARGET, TALL_TARGET = 1e-10, 1e-9
"""Beyond this estimated error the contour is repeated in extended precision; the second where it may have thousands of
nodes."""
FASTEST = -9.0
"""Rate at least of what is above a limit: far beyond z = 1, 1 - z keeps few digits of what decays faster."""
NEAR_FLOOR = 2.0
"""Decay times after which the floor of label noise is taken out: before, the loss may be a small part of it."""


@dataclass(frozen=True)
class LossCurve:
    """Losses at ascending steps, with the estimated relative error of each and the route taken."""

    loss: Scaled
    error: Float[Array, " t"]
    route: str


def joined(parts: list[LossCurve]) -> LossCurve:
    """One curve of consecutive parts."""
    routes = list(dict.fromkeys(part.route for part in parts))
    return LossCurve(
        Scaled.join([part.loss for part in parts]), np.concatenate([part.error for part in parts]), " + ".join(routes)
    )


class AboveLimit:
    """The generating function of the loss less its limit: without the pole of label noise at z = 1.

    Parameters
    ----------
    G : Transform
    limit : float
        L(inf).
    """

    def __init__(self, G: Transform, limit: float) -> None:
        self._function, self._limit = G, limit

    def loss(self, q: Array) -> Array:
        """L~ - L(inf)/(1 - z); what rounding leaves of the pole decays with the rest.

        Parameters
        ----------
        q : complex array, shape (k,)
            1 - z.
        """
        return self._function.loss(q) - self._limit / q


def by_contour(
    G: Transform,
    steps: Int[Array, " t"],
    singular: Singularity,
    extended: bool = False,
    counts: tuple[int, ...] = (NODES, FEWER_NODES),
    flat: bool = False,
) -> LossCurve:
    """Contour integration alone, for steps from FIRST_CONTOUR_STEP on.

    A loss that decays towards the floor of label noise would be lost in the rounding of the pole at p = 0, which
    the contour must pass on the right: once the loss has come near, the limit is taken out, and the contour moves left.

    Parameters
    ----------
    G : GeneratingFunction
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
        p_0.
    extended : bool
        Whether to use extended precision.
    counts : tuple of int
        See `genfun.engine.inversion.coefficients`.
    flat : bool
        Whether to leave outside what oscillates: then the loss is the true one only where that has faded.
    """
    apart, limit, rate = near_limit(G, steps, singular)
    parts = [_contour(G, steps[:apart], singular, singular.shift, extended, counts, flat)] if apart else []
    late = steps[apart:]
    return joined([*parts, _contour(G, late, singular, rate, extended, counts, flat, limit)] if late.size else parts)


def near_limit(G: Transform, steps: Array, singular: Singularity) -> tuple[int, float, float]:
    """From which of the steps on the limit is taken out, the limit, and the rate at which the rest decays.

    Parameters
    ----------
    G : Transform
    steps : array, shape (t,)
        Ascending.
    singular : Singularity

    Returns
    -------
    (int, float, float)
        The number of steps, 0 and 0 where the loss does not decay exponentially to a floor of label noise.
    """
    never = (steps.size, 0.0, 0.0)
    if not (G.levels and G.has_limit and singular.stable):
        return never
    rate = max(G.settling_rate(singular), FASTEST)
    if not rate < 0.0:
        return never
    apart = int(np.searchsorted(steps, NEAR_FLOOR / -rate))
    limit = G.limit() if apart < steps.size else 0.0
    return (apart, limit, rate) if 0.0 < limit < np.inf else never


def _contour(
    G: Transform,
    steps: Array,
    singular: Singularity,
    shift: float,
    extended: bool,
    counts: tuple[int, ...],
    flat: bool,
    limit: float = 0.0,
) -> LossCurve:
    around = None if flat else beside(G, steps, singular)
    last = float(steps[-1])
    # Modes that have turned often by the last step must be told apart.
    function: Any = G.narrowed(last) if around is None else G.resolved(around.turned(steps), last)
    above, times = limit > 0.0, steps.astype(np.float64)
    found = coefficients(
        AboveLimit(function, limit) if above else function,
        times,
        shift,
        extended,
        counts=counts,
        signed=above,
        beside=around,
    )
    power = shift * times
    decay = Scaled.exponential(found.mantissa, power)
    error = np.maximum(found.error, _placed(power))
    if isinstance(G, GeneratingFunction):
        top = int(np.argmax(G.capacity.nodes))
        finer = extended and G.capacity.weights[top] == G.capacity.nodes[top] ** 2
        error = np.maximum(error, EPS / (EXTENDED_GAIN if finer else 1.0) * G.sensitivity.growth(times))
    return above_limit(decay, error, limit, G.floor_error()) if above else LossCurve(decay, error, "contour")


def _placed(power: Array) -> Array:
    """Relative error of exp(power), which no precision of the contour lessens."""
    return EPS * (300.0 + 4.0 * np.abs(power))


def above_limit(decay: Scaled, error: Array, limit: float, limit_error: float) -> LossCurve:
    """The curve whose distance from a limit is given, and its relative error.

    Parameters
    ----------
    decay : Scaled
        The distance, of either sign.
    error : array, shape (t,)
        Relative, of the distance.
    limit : float
    limit_error : float
        Relative, of the limit.
    """
    loss = decay.plus(limit)
    with np.errstate(invalid="ignore", over="ignore"):
        share = np.exp(Scaled(np.abs(decay.mantissa), decay.exponent).log() - loss.log())
        error = np.where(share > 0.0, share * error, 0.0) + EPS * 16.0 + limit_error
    return LossCurve(loss, np.where(loss.mantissa > 0.0, error, np.inf), "contour")


def best_contour(G: Transform, steps: Array, singular: Singularity) -> LossCurve:
    """The contour, repeated in extended precision in the windows where rounding shows and that would lessen it."""
    curve = by_contour(G, steps, singular)
    parts, placed = [], _placed(singular.shift * steps)
    for window in windows(steps.astype(np.float64)):
        part = LossCurve(curve.loss[window], curve.error[window], "contour")
        bound = TARGET if beside(G, steps[window], singular) is None else TALL_TARGET
        if (part.error > np.maximum(placed[window], bound)).any():
            again = by_contour(G, steps[window], singular, extended=True)
            part = again if again.error.max() < part.error.max() else part
        parts.append(part)
    return joined(parts)
