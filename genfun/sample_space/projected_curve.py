"""The mean loss under the projected noise at given steps: early ones on a circle, later ones on a hyperbola."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array, Float, Int
from genfun.engine.contour_curve import FASTEST, AboveLimit, LossCurve, by_contour, joined, near_limit
from genfun.engine.enclosed import beside
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.inversion import NODES, Rule, nodes_of
from genfun.engine.loss_curve import FIRST_CONTOUR_STEP, automatic
from genfun.engine.singularity import Singularity, mode_roots, searched_singularity
from genfun.engine.unseen import judged_from, missed
from genfun.sample_space.few_pairs import late_departure
from genfun.sample_space.projected_function import ProjectedFunction
from genfun.scaled import EPS, Scaled

ALWAYS_EARLY = 64
"""Up to this step the circle serves."""
LATEST = 4_096
"""Beyond this step it does not."""
SOON, NEARLY = 1_024, 0.6
"""Where modes off the real axis fade by this step, the first circle goes so far; and the part of the furthest circle
from which on a next one is the furthest."""
ACCEPT = 1e-9
"""Relative difference at which the hyperbola takes over from the circle."""
SHOWN = 5e-7
"""Error by few pairs from which losses are summed over all."""
LESS_NODES = 26
"""Nodes of the hyperbola for those: the quadrature errs by about 1e-8."""
LITTLE = 1e-4
"""A limit below this share of the start is taken out of sums over all pairs."""
OVERSAMPLED, DENSE = 3, 8
"""Points of the circle for every step; more where losses fall far."""
HALF = 0.5
"""Where the loss decays at less than this share of the rate off the axis, nothing off the axis is looked for."""
TRIED, TRIED_ALIASING, TRIALS, SAME_START = 1024, 16.0, 24, 1e-6
"""Points of a circle that is tried, the logarithm of its aliasing, how many circles, how near the loss at the start."""
ALIASING = 30.0
"""Logarithm of what later losses are damped by; the step t costs exp(ALIASING t/points) in rounding."""


def circle_losses(
    F: ProjectedFunction, last: int, shift: float, limit: float = 0.0, oversampled: int = OVERSAMPLED
) -> Float[Array, " t"]:
    r"""(L(t) - limit) exp(-shift t) at the steps 0..last, from L~ on a circle inside its disc of convergence.

    .. math:: L(t) = \frac{1}{2\pi i}\oint \tilde L(z)\,z^{-t-1}\,dz,\qquad
              |z| = e^{-p_0 - 30/M},\quad M \ge 3(t+1)\ \text{points}

    to about 1e-12, whatever the method's memory: the circle encloses no singularity. (The recursion of
    `genfun.sample_space.time_steps` rounds badly where a single pair is unstable but for the noise of the others.)

    Parameters
    ----------
    F : ProjectedFunction
    last : int
        The last step.
    shift : float
        p_0 per step, at or right of the dominant singular point.
    limit : float
        What is taken out, so that the circle may be wider than 1 where the loss decays to a floor.
    oversampled : int
        Points for every step.
    """
    function: Any = AboveLimit(F, limit) if limit > 0.0 else F
    return circle_series(lambda q: function.loss(q)[:, None], last, shift, oversampled)[:, 0]


def circle_series(
    f: Callable[[Any], Any], last: int, shift: float, oversampled: int = OVERSAMPLED
) -> Float[Array, "t m"]:
    """The coefficients 0..last of m functions at once, times exp(-shift t), as `circle_losses` has them.

    Parameters
    ----------
    f : callable
        Values, shape (k, m), at z = 1 - q for q of shape (k,).
    last : int
    shift : float
    oversampled : int
        Points for every step.
    """
    points, _, q = _circle(last, shift, oversampled)
    values = f(q)
    # The coefficients' transform has the opposite sign of the angle in numpy's convention.
    damped = np.exp(ALIASING * np.arange(last + 1) / points)
    return np.fft.irfft(np.conj(values), points, axis=0)[: last + 1] * damped[:, None]


def _circle(last: int, shift: float, oversampled: int = OVERSAMPLED) -> tuple[int, Array, Array]:
    """How many points a circle has, the angles of its upper half, and 1 - z there."""
    points = 2 * _smooth(max(32, (oversampled * (last + 1) + 1) // 2))
    angle = 2.0 * np.pi * np.arange(points // 2 + 1) / points
    return points, angle, -np.expm1(-(shift + ALIASING / points - 1j * angle))


def _smooth(least: int) -> int:
    """The next product of twos, threes and fives, at which a Fourier transform is quick.

    scipy.fft tells it too, whose import takes longer than the transforms.
    """
    best, fives = 2 * least, 1
    while fives < best:
        odd = fives
        while odd < best:
            best = min(best, odd << (-(-least // odd) - 1).bit_length())
            odd *= 3
        fives *= 5
    return best


def circle_rule(steps: Int[Array, " t"], shift: float) -> Rule:
    """The circle of `circle_losses` as a rule for a few steps of any function.

    Parameters
    ----------
    steps : array, shape (t,)
    shift : float
    """
    points, angle, q = _circle(int(steps.max()), shift)
    weights = np.exp(-1j * np.multiply.outer(steps, angle)) * np.exp(ALIASING * steps / points)[:, None] / points
    weights[:, 1:-1] *= 2.0
    return Rule(slice(0, steps.size), q, 1j * weights)


def unresolved_rate(F: ProjectedFunction) -> float:
    """Largest log of a product of two modes' roots off the positive real axis, and with label noise of one root.

    Unlike the spectrally expressible noise, that of data couples different modes: an oscillating mode with a slow one
    fades only as the root of the first.

    Parameters
    ----------
    F : ProjectedFunction
    """
    _, roots = mode_roots(F)
    flat: Any = roots.ravel()
    off = (np.abs(flat.imag) > 1e-12 * np.abs(flat)) | (flat.real < 0.0)
    if not off.any() or np.abs(flat[off]).max() == 0.0:
        return -np.inf
    partner = max(float(np.abs(flat).max()), 1.0 if F.keeps else 0.0)
    return float(np.log(np.abs(flat[off]).max() * partner))


@on_one_thread
def projected_singularity(F: ProjectedFunction) -> Singularity:
    """The dominant singularity: the largest real p at which an eigenvalue of zK(z) is 1.

    Parameters
    ----------
    F : ProjectedFunction
    """
    found = searched_singularity(F)
    shift = max(found.shift, 0.0) if F.decays else found.shift
    outside = unresolved_rate(F)
    shift, outside = enclosing(F, shift, outside)
    return replace(found, shift=shift, unresolved_rate=outside)


def enclosing(f: Any, shift: float, outside: float) -> tuple[float, float]:
    """The rate of a circle that encloses no singularity, and the rate of what decays off the axis.

    Off the axis modes decay with the products of their roots, or more slowly where batch noise couples them. A circle
    that encloses such a singularity does not give the loss at the start, L~(0): it is drawn in until it does.

    Parameters
    ----------
    f : ProjectedFunction or AboveLimit
    shift : float
        The rate of the dominant singularity on the axis.
    outside : float
        The rate of products of roots off the axis.
    """
    if not np.isfinite(outside) or shift >= min(HALF * outside, 0.0):
        return shift, outside
    shift = tried = max(shift, outside)
    if shift >= 0.0:
        return shift, outside
    angle = 2.0 * np.pi * (np.arange(TRIED // 2) + 0.5) / TRIED
    start = float(np.real(f.loss(np.ones(1))[0]))
    for tried in np.linspace(shift, 0.0, TRIALS):
        found = np.mean(np.real(f.loss(-np.expm1(-(tried + TRIED_ALIASING / TRIED - 1j * angle)))))
        if abs(found - start) <= SAME_START * abs(start):
            break
    return float(tried), (outside if tried == shift else float(tried))


def projected_curve(F: ProjectedFunction, steps: Int[Array, " t"], singular: Singularity | None = None) -> LossCurve:
    """Mean losses at ascending steps under the projected noise.

    The circle serves as long as modes off the real axis matter; then the hyperbola takes over, at a step where the two
    agree. Their disagreement there joins the error.

    Parameters
    ----------
    F : ProjectedFunction
    steps : array, shape (t,)
        Ascending, without repeats.
    singular : Singularity, optional
        If known already.

    Returns
    -------
    LossCurve
        Its error is numeric: what the projection itself leaves out is the matter of `noise_error`.
    """
    if F.gamma == 0.0:
        return automatic(GeneratingFunction(F.problem, F.method), steps)
    return inverted(F, steps, F.known_singularity() if singular is None else singular)


@on_one_thread
def inverted(F: ProjectedFunction, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
    """Coefficients of a projected function at ascending steps.

    Parameters
    ----------
    F : ProjectedFunction
    steps : array, shape (t,)
        Ascending, without repeats.
    singular : Singularity
    """
    last, asked = int(steps[-1]), F
    F, shift, limit, oversampled = _below(F, singular)
    gap = shift - singular.unresolved_rate
    # By then what the hyperbola misses has faded; where that takes long, try a quarter of it first.
    fade = 30.0 / gap if gap > 30.0 / LATEST else LATEST
    # Twice as far nothing of it is left: where the two still differ, it is for rounding.
    furthest = min(last, LATEST, max(ALWAYS_EARLY, int(2.0 * fade)))
    first = fade if fade <= SOON else fade / 4.0
    reach = int(min(last, max(ALWAYS_EARLY, first, asked.reached)))
    late, around = steps[steps > ALWAYS_EARLY].astype(np.float64), beside(F, np.ones(1), singular)

    def circle(low: int, high: int) -> float:
        """Points of a wider circle."""
        return 0.5 * oversampled * (high - low)

    def compared(step: int) -> float:
        """Nodes of the contours that are compared with the circle about a step."""
        return nodes_of(np.array([0.7, 1.0]) * step, around) if step < last else 0.0

    if around is not None:
        # A contour about all that lies off the axis needs no fading; it serves where it has fewer nodes.
        soon, then = (compared(step) + nodes_of(late[late > step], around) for step in (ALWAYS_EARLY, reach))
        if soon < circle(ALWAYS_EARLY, reach) + then:
            reach = int(max(ALWAYS_EARLY, asked.reached))
        elif compared(reach) > circle(reach, furthest):
            reach = furthest
    while True:
        early = circle_losses(F, reach, shift, limit, oversampled)
        losses = Scaled.exponential(early, shift * np.arange(reach + 1.0)).plus(limit)
        mismatch, known = 0.0, True
        if reach < last:
            check = np.unique(np.linspace(max(0.7 * reach, FIRST_CONTOUR_STEP), reach, 6).astype(np.int64))
            enclosed = around is not None and bool(np.isfinite(nodes_of(late[late > reach], around)))
            # Where later contours leave outside what oscillates, so does this one.
            found = by_contour(F, check, singular, flat=not enclosed)
            mismatch = float(found.loss.relative_difference(losses[check]).max())
            levels = losses[np.array([0, reach])].log()
            known = enclosed or reach >= judged_from(F, reach, float(levels[0]), float(levels[1]))
        if (known and mismatch <= ACCEPT) or reach >= furthest:
            break
        # Where all that is missing fades at one rate, it tells how much further it takes.
        more = 1.1 * np.log(mismatch / ACCEPT) / gap if known and gap > 0.0 else np.inf
        reach = int(reach * min(2.0, max(1.25, 1.0 + more / reach)))
        # Every circle is drawn anew: one that comes near the furthest may as well be that.
        reach = reach if reach < NEARLY * furthest else furthest
    asked.reached = reach
    soon, late = steps[steps <= reach], steps[steps > reach]
    parts, largest = [], np.abs(early).max()

    def enters(at: Int[Array, " t"]) -> Float[Array, " t"]:
        """How often the largest value on the circle is in a loss."""
        share = np.exp(Scaled.exponential(np.full(at.size, largest), shift * at).log() - losses[at].log())
        return np.where(np.isnan(share), 1.0, share)  # nothing of nothing: targets of zeros

    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if soon.size:
            # The rounding of L~ differs from point to point; what few pairs err by about resonances does not.
            nodes = np.exp(ALIASING / oversampled) * np.sqrt(reach + 1.0)
            often = enters(soon)
            error = EPS * (64.0 + often * nodes) + np.maximum(F.few.real, F.few.resonant * often)
            # A loss below zero has no digit.
            parts.append(LossCurve(losses[soon], np.where(np.isnan(losses[soon].log()), np.inf, error), "circle"))
        if late.size:
            about = F.few.resonant * float(enters(np.array([reach]))[0])
            at = (reach, float(losses[np.array([reach])].log()[0]))
            parts.append(_late(F, late, singular, at, mismatch, known, about))
    return _far_beyond(joined(parts), steps, float(losses[np.zeros(1, dtype=int)].value()[0]), shift)


def _far_beyond(curve: LossCurve, steps: Int[Array, " t"], start: float, shift: float) -> LossCurve:
    """Far beyond the edge the contours lie at z of the order of exp(-shift), of which 1 - z keeps few digits or none.

    A loss that has no sign left is what the late rate makes of that at the start: its order, of unknown error.
    """
    if not shift > 0.0:
        return curve
    error = curve.error + EPS * np.exp(min(shift, 700.0)) * steps
    lost = ~(curve.loss.mantissa > 0.0) & (start > 0.0)
    onward = Scaled.exponential(np.full(steps.size, start), shift * steps.astype(np.float64))
    found = Scaled(
        np.where(lost, onward.mantissa, curve.loss.mantissa), np.where(lost, onward.exponent, curve.loss.exponent)
    )
    return LossCurve(found, np.where(lost, np.inf, error), curve.route)


def _below(F: ProjectedFunction, singular: Singularity) -> tuple[ProjectedFunction, float, float, int]:
    """The function, the shift of the circle, the limit that is taken out (none where it is above the start), and the
    points of the circle for every step.
    """
    apart, limit, rate = near_limit(F, np.array([2**62]), singular)
    rate = enclosing(AboveLimit(F, limit), rate, singular.unresolved_rate)[0] if apart == 0 else rate
    start = float(F.loss(np.ones(1))[0])
    if apart > 0 or limit > start:
        return F, max(singular.shift, FASTEST), 0.0, OVERSAMPLED
    # Sums over few pairs are as good as a part of the start, and so are losses on a narrow circle.
    return (F.on_all_pairs(), rate, limit, DENSE) if limit < LITTLE * start else (F, rate, limit, OVERSAMPLED)


def _late(
    F: ProjectedFunction,
    steps: Int[Array, " t"],
    singular: Singularity,
    reach: tuple[int, float],
    mismatch: float,
    known: bool,
    about: float = 0.0,
) -> LossCurve:
    """Losses by the hyperbola; over all pairs where few would show, but for what they err by about resonances."""
    found = by_contour(F, steps, singular)
    few = late_departure(F, found.loss, steps, singular)
    shown = np.flatnonzero(few > SHOWN)
    parts = [LossCurve(found.loss, found.error + few + about, found.route)]
    if shown.size:
        # One stretch, so that its steps share contours. What fewer nodes err by is seen with few pairs as well.
        first, stop = int(shown[0]), int(shown[-1]) + 1
        some = steps[first:stop]
        error = by_contour(F, some, singular, counts=(NODES, LESS_NODES)).error
        whole = by_contour(F.on_all_pairs(), some, singular, counts=(LESS_NODES,)).loss
        ends = [LossCurve(found.loss[s], parts[0].error[s], found.route) for s in (slice(0, first), slice(stop, None))]
        parts = [part for part in (ends[0], LossCurve(whole, error, found.route), ends[1]) if part.error.size]
    curve = joined(parts)
    unseen = missed(curve.loss.log(), steps, reach, mismatch, singular.unresolved_rate, known)
    return LossCurve(curve.loss, np.maximum(curve.error, unseen), "contour")


class CurveSteps:
    """The curve as the engine steps through it.

    Not the recursion in time (`genfun.sample_space.time_steps`): where a single pair of modes is unstable but for the
    noise of the others, that rounds beyond all bounds.

    Parameters
    ----------
    F : ProjectedFunction
    """

    def __init__(self, F: ProjectedFunction) -> None:
        self._function, self._singular, self._next = F, F.known_singularity(), 0
        self._errors = np.zeros(0)
        self.size = F.pairs.first.size

    def losses(self, until: int) -> Scaled:
        """Losses from the first step not asked for yet to `until`, inclusive.

        Parameters
        ----------
        until : int
        """
        steps = np.arange(self._next, until + 1)
        self._next = until + 1
        found = self._function.known_curve(steps, self._singular)
        self._errors = np.concatenate((self._errors, found.error))
        return found.loss

    def errors(self, steps: Int[Array, " t"]) -> Float[Array, " t"]:
        """Relative errors of losses that were given.

        Parameters
        ----------
        steps : array, shape (t,)
        """
        return self._errors[steps]
