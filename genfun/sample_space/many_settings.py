"""Noise gain and loss under the measured noise for many settings of heavy-ball SGD at once: the engine of maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array, Float
from genfun.engine.inversion import hyperbola
from genfun.engine.many import BLOCK, HOPELESS, LEAST_CONTOUR_STEP, losses_at, lost_beyond, passes, shifts
from genfun.engine.settings import Settings
from genfun.engine.singularity import update_roots
from genfun.engine.tall_contour import USUAL, OffAxis, nodes_and_weights
from genfun.methods.sgd import SGD
from genfun.sample_space.any_pairs import AnyPairs
from genfun.sample_space.elimination import first_solutions, gain_below_one, solutions
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.oscillations import left_out
from genfun.sample_space.projected_function import leading_eigenvalue
from genfun.sample_space.projection import PairMeasure, symmetric
from genfun.scaled import EPS, Scaled

FADED = 16.0
"""Singularities off the real axis must have faded to exp(-16) = 1e-7 of the loss for the hyperbola to be used."""
CIRCLE_ALIASING = 16.0
"""Logarithm of what later losses are damped by on the circle."""
OVERSAMPLED, DENSE = 1.1, 4.0
"""Points of the circle over the step; and where rounding shows more than ROUGH, in losses far below the start."""
ROUGH = 1e-3
LITTLE = 1e-6
"""Share of the loss at the start up to which the limit is taken out before the inversion."""
SAME_START, BEAT = 1e-5, 8
"""How near the loss at the start a circle must give it; steps by which it is judged how large losses are about one."""
LEAST_CIRCLE = 48
"""Points of the circle at least."""
FEW_PAIRS = 4e-6
"""What a skeleton of the pairs may err by in a rate of growth or decay, relative: measured 5 % beyond edges, of kernels
and tables of full rank, where it shows most."""
LEFT_OUT = 5.0
"""Times the envelope of what they leave out of an oscillation without noise, which is made good, is what is left of it:
measured up to 4.5, of digits and tables of full rank at momenta up to 0.999 and batches up to most of the samples."""
CELLS = 40_000
"""Settings times points worked on together."""


def projected_gains(pairs: PairMeasure, rates: Array, momenta: Array, gammas: Array) -> Float[Array, " S"]:
    r"""Largest eigenvalue of K(1) of every setting; the stability edge is its level 1.

    Parameters
    ----------
    pairs : PairMeasure
        Of the measured noise, or its skeleton.
    rates, momenta, gammas : array, shape (S,)
        alpha, beta and the sampling factor.

    Returns
    -------
    array, shape (S,)
        inf where alpha lambda_max >= 2(1 + beta) or a pair of modes has no stationary state.
    """
    heavy, gains = HeavyBallPairs(pairs), np.empty(rates.size)
    with np.errstate(all="ignore"):
        for start in range(0, rates.size, CELLS):
            part = slice(start, start + CELLS)
            q = np.zeros(rates[part].size)
            setting = (momenta[part], gammas[part], rates[part])
            sums, least = heavy.sums(q, *setting, source=False)
            value = leading_eigenvalue(heavy.kernel_matrix(sums, q, *setting))
            gains[part] = np.where(least > 0.0, value, np.inf)
    return np.where(rates * pairs.nodes[-1] >= 2.0 * (1.0 + momenta), np.inf, gains)


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of every setting in place of the training loss: a mixture of questions about second moments.

    Parameters
    ----------
    heavy : HeavyBallPairs
        The weights of all questions, from `genfun.sample_space.moment_forms`, on the same pairs as the noise.
    mix : array, shape (S, f)
        The weight of every question in every setting.
    """

    heavy: HeavyBallPairs
    mix: Float[Array, "S f"]

    def take(self, pick: Array) -> Asked:
        """Those of some settings.

        Parameters
        ----------
        pick : array
        """
        return Asked(self.heavy, self.mix[pick])


class _Evaluator:
    """The projected generating function of every setting at its own points, or that of what is asked."""

    def __init__(self, settings: Settings, heavy: Any, limit: Any = 0.0, asked: Asked | None = None) -> None:
        self.asked = asked
        self.s, self.heavy, self.limit = settings, heavy, np.broadcast_to(limit, settings.rates.shape)
        self.samples = settings.problem.n_samples or 1

    def hyper(self, pick: Any) -> Any:
        """The hyperparameters of some of the settings, as the sums over pairs take them."""
        found = tuple(h[pick] for h in self.s.hyper)
        return found[0] if isinstance(self.heavy, HeavyBallPairs) else found

    def regular(self, pick: Array, p: Array) -> Array:
        """Whether p lies right of the dominant singularity of each setting."""
        q = -np.expm1(-p)
        setting = (self.hyper(pick), self.s.gamma[pick], self.s.rates[pick])
        sums, least = self.heavy.sums(q, *setting, source=False)
        kernel = self.heavy.kernel(sums, q, *setting)
        return (least > 0.0) & gain_below_one(kernel, 1.0 - q, self.heavy.measure.size)

    def loss(self, q: Array) -> Array:
        """L~ less what is taken out, at the points of every setting, shape (settings, points)."""
        each = np.repeat(np.arange(q.shape[0]), q.shape[1])
        setting = (self.hyper(each), self.s.gamma[each], self.s.rates[each])
        flat = q.ravel()
        sums, _ = self.heavy.sums(flat, *setting)
        kernel, source = self.heavy.kernel(sums, flat, *setting), self.heavy.source(sums, flat, *setting)
        if self.asked is not None:
            x = solutions(symmetric(kernel, self.heavy.measure.size), source.T, 1.0 - flat)
            found = self.asked.heavy.answers(x, flat, *setting).reshape(*q.shape, -1)
            return (found * self.asked.mix[:, None]).sum(axis=2)
        solved = first_solutions(kernel, source, 1.0 - flat) / (2.0 * np.sqrt(self.samples))
        return solved.reshape(q.shape) - self.limit[:, None] / q

    def limits(self) -> Array:
        """The loss that label noise leaves in the end; inf where there is no end."""
        q, setting = np.zeros(self.s.rates.size), (self.hyper(slice(None)), self.s.gamma, self.s.rates)
        sums, least = self.heavy.sums(q, *setting, source=False)
        kernel, floor = self.heavy.kernel(sums, q, *setting), self.heavy.measure.floor
        source = np.repeat(floor[:, None], q.size, axis=1)
        found = first_solutions(kernel, source, 1.0 - q) / (2.0 * np.sqrt(self.samples))
        return np.where((least > 0.0) & gain_below_one(kernel, 1.0 - q, floor.size), found, np.inf)


def _roots(settings: Settings, nodes: Float[Array, " n"]) -> Array:
    """Eigenvalues of the updates of every setting, those of all nodes in a row."""
    if settings.kind is SGD:
        beta = settings.hyper[0][:, None]
        half = 0.5 * (1.0 + beta - settings.rates[:, None] * nodes)
        root = np.emath.sqrt(half * half - beta)
        return np.concatenate([half + root, half - root], axis=1)
    a = settings.rates[:, None] * nodes
    rows, _ = settings.kind.update(a, *(h[:, None] for h in settings.hyper))
    return update_roots(rows, a.shape).reshape(a.shape[0], -1)


def _heights(settings: Settings, nodes: Array, shift: Array, step: int) -> Array:
    """How far off the axis a contour of every setting must reach at a step, in halvings of pi."""
    roots, noisy = _roots(settings, nodes), settings.problem.noise_variance > 0.0
    found = [OffAxis.of(r, noisy, p).height(float(step)) for r, p in zip(roots, shift.tolist(), strict=True)]
    return np.pi * 0.5 ** np.floor(np.log2(np.pi / np.maximum(found, 1.0 / step)))


def root_radii(settings: Settings, nodes: Float[Array, " n"]) -> tuple[Array, Array]:
    """log of the largest r^2 of every setting, and of the largest product of two modes' roots off the positive axis.

    Parameters
    ----------
    settings : Settings
    nodes : array, shape (n,)
        Eigenvalues looked at, both ends of the spectrum among them.
    """
    roots = _roots(settings, nodes)
    size = np.abs(roots)
    off = np.where((np.imag(roots) != 0.0) | (np.real(roots) < 0.0), size, 0.0).max(axis=1)
    largest = size.max(axis=1)
    partner = np.maximum(largest, 1.0) if settings.problem.noise_variance > 0.0 else largest
    with np.errstate(divide="ignore"):
        return 2.0 * np.log(largest), np.log(off * partner)


@on_one_thread
def projected_losses_at(
    pairs: PairMeasure, settings: Settings, step: int, asked: Asked | None = None
) -> tuple[Scaled, Float[Array, " S"]]:
    r"""Mean loss under the measured noise of every setting at one step, and its estimated numeric error.

    On a hyperbola shifted to the dominant singularity of every setting; where the step is small, or modes off the real
    axis have not faded, on a circle inside the disc of convergence, at a cost that grows with the step.

    **Assumptions.** Methods that use the gradient once in a step; questions are asked of heavy-ball SGD alone. The
    error is that of the quadrature, about 1e-6; a skeleton of the pairs adds its own.

    Parameters
    ----------
    pairs : PairMeasure
        Of the measured noise, or its skeleton.
    settings : Settings
        S settings on the problem of the same data; its spectrally expressible noise is not looked at.
    step : int
        t >= 0.
    asked : Asked, optional
        What else than the training loss is wanted, t > 0 and with mini-batches.

    Returns
    -------
    (Scaled, array)
        As `genfun.engine.many.losses_at`.
    """
    size = settings.rates.size
    if step == 0 or not settings.gamma.any():
        return losses_at(settings, step)
    heavy = HeavyBallPairs(pairs) if settings.kind is SGD else AnyPairs(pairs, settings.kind)
    slowest, outside = root_radii(settings, pairs.nodes)
    mantissa, error, shift = np.empty(size), np.full(size, np.inf), np.zeros(size)
    limit, start_loss = np.zeros(size), 0.5 * (settings.problem.signal_total + settings.problem.noise_variance)
    for start in range(0, size, BLOCK):
        part = np.arange(start, min(start + BLOCK, size))
        evaluator = _Evaluator(settings.take(part), heavy)
        with np.errstate(all="ignore"):
            shift[part] = shifts(evaluator.regular, slowest[part], float(step))
            if settings.problem.noise_variance > 0.0:
                # As for a single curve; where the limit is no small part of the losses, its pole costs no digits.
                end, settling = evaluator.limits(), np.maximum(shift[part], 0.5 * slowest[part])
                apart = (settling < 0.0) & (end > 0.0) & (end <= LITTLE * start_loss)
                shift[part] = np.where(apart, settling, np.maximum(shift[part], 0.0))
                limit[part] = np.where(apart, end, 0.0)

    def fill(cells: Array, points: int, rule: Callable[[_Evaluator, Array], tuple[Array, Array]]) -> None:
        together = max(1, CELLS // points)
        for start in range(0, cells.size, together):
            pick = cells[start : start + together]
            with np.errstate(all="ignore"):
                own = _Evaluator(settings.take(pick), heavy, limit[pick], None if asked is None else asked.take(pick))
                mantissa[pick], error[pick] = rule(own, shift[pick])

    fading = np.minimum((outside - shift) * step, 0.0)
    # Beyond the patience of a search what oscillates is averaged over, and the error says how much is left of it.
    patient = step <= settings.patience
    easy = ((fading < -min(FADED, settings.faded)) | (not patient)) & (step >= LEAST_CONTOUR_STEP)
    for fine, rough in passes(settings):
        fill(
            np.flatnonzero(easy & ~(error <= settings.accuracy)),
            fine + rough,
            lambda own, at, fine=fine, rough=rough: _on_hyperbola(own, at, float(step), fine, rough),
        )
    if not patient:
        error = np.where(fading < -settings.faded, error, np.maximum(error, np.exp(fading)))
        if asked is None:
            mantissa, error = lost_beyond(mantissa, error, shift, start_loss)
        return _above(Scaled.exponential(mantissa, shift * step), limit), error
    hard = np.flatnonzero(~(error < HOPELESS))
    # The circle encloses what decays most slowly, on the axis or off it.
    shift[hard] = np.maximum(shift[hard], outside[hard])
    begins = start_loss if asked is None else None
    if hard.size and asked is None:
        heights = _heights(settings.take(hard), pairs.nodes, shift[hard], step)
        for height in np.unique(heights):
            drawn = nodes_and_weights(float(height), float(step), float(step), spacing=USUAL)
            if drawn is not None and drawn[0].size < 0.5 * OVERSAMPLED * step:
                fill(hard[heights == height], drawn[0].size, lambda own, at, x=drawn: _on_tall(own, at, step, *x))
        hard = hard[~(error[hard] < HOPELESS)]
    fill(hard, step, lambda own, at: _on_circle(own, at, step, OVERSAMPLED, begins))
    # Points cost time, and few amplify rounding: more where it shows.
    fill(hard[~(error[hard] <= ROUGH)], int(DENSE * step), lambda own, at: _on_circle(own, at, step, DENSE, begins))
    if asked is None:
        mantissa, error = lost_beyond(mantissa, error, shift, start_loss)
    return _above(Scaled.exponential(mantissa, shift * step), limit), error


def losses_in_parts(
    parts: Iterable[tuple[Array, PairMeasure]], whole: PairMeasure, settings: Settings, step: int
) -> tuple[Scaled, Float[Array, " S"]]:
    """The same of settings of which some are summed over few pairs, whose own error counts too.

    Parameters
    ----------
    parts : iterable of (array, PairMeasure)
        Settings, and the pairs that serve them.
    whole : PairMeasure
        All pairs.
    settings : Settings
    step : int
    """
    mantissa, exponent, error = (np.zeros(settings.rates.size) for _ in range(3))
    start = 0.5 * (settings.problem.signal_total + settings.problem.noise_variance)
    for pick, pairs in parts:
        found, error[pick] = projected_losses_at(pairs, settings.take(pick), step)
        mantissa[pick], exponent[pick] = found.mantissa, found.exponent
        if pairs is not whole and step > 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                moved = found.log() - np.log(start)
            error[pick] += FEW_PAIRS * np.nan_to_num(np.abs(moved), posinf=0.0)
            slow = root_radii(settings.take(pick), pairs.nodes)[1] * step - np.nan_to_num(moved, nan=np.inf) > -FADED
            if settings.gamma.any() and slow.any():
                cells = pick[slow]
                rest, envelope = left_out(pairs, settings.take(cells), step)
                with np.errstate(all="ignore"):
                    scale = np.ldexp(1.0, np.clip(-exponent[cells], -1000, 1000).astype(np.int32))
                    better, share = mantissa[cells] + rest * scale, envelope * scale / np.abs(mantissa[cells])
                mantissa[cells] = np.where((better > 0.0) & np.isfinite(better), better, mantissa[cells])
                error[cells] += LEFT_OUT * np.nan_to_num(share, nan=0.0, posinf=np.inf)
    return Scaled(mantissa, exponent.astype(np.int64)), error


def _above(decay: Scaled, limit: Array) -> Scaled:
    """The sum with what was taken out."""
    apart = limit > 0.0
    value = decay.value() + limit
    return Scaled(np.where(apart, value, decay.mantissa), np.where(apart, 0, decay.exponent))


def _on_hyperbola(own: _Evaluator, shift: Array, step: float, fine: int, rough: int) -> tuple[Array, Array]:
    contours = [hyperbola(count, 1.0) for count in (fine, rough)]
    nodes = np.concatenate([contour.nodes for contour in contours])
    values = own.loss(-np.expm1(-(shift[:, None] + nodes / step)))
    weights = [np.exp(contour.nodes) * contour.weights / step for contour in contours]
    first, second = (values[:, :fine] @ weights[0]).imag, (values[:, fine:] @ weights[1]).imag
    whole = _with_limit(own, first, shift * step)
    return first, np.where(whole > 0.0, np.abs(second - first) / whole, np.inf)


def _on_tall(own: _Evaluator, shift: Array, step: int, nodes: Array, weights: Array) -> tuple[Array, Array]:
    """One coefficient by a contour about what oscillates, whose error is its rounding."""
    values = own.loss(-np.expm1(-(shift[:, None] + nodes / step)))
    terms = values * (np.exp(nodes) * weights / step)
    found = terms.sum(axis=1).imag
    rounding = 3.0 * EPS * np.linalg.norm((8.0 + np.abs(nodes)) * np.abs(terms), axis=1)
    whole = _with_limit(own, found, shift * step)
    return found, np.where(whole > 0.0, np.exp(-CIRCLE_ALIASING) + rounding / whole, np.inf)


def _on_circle(
    own: _Evaluator, shift: Array, step: int, oversampled: float, begins: float | None
) -> tuple[Array, Array]:
    """One coefficient from points in the upper half plane, half a spacing off the real axis.

    The mean of the values is the first coefficient, the loss at the start: a circle that encloses a singularity has
    another, which counts as error. Later losses enter damped, next to those about the step: where oscillating losses
    are almost zero there, next to little.
    """
    points = max(LEAST_CIRCLE, int(np.ceil(oversampled * step)))
    points += points % 2
    angle = 2.0 * np.pi * (np.arange(points // 2) + 0.5) / points
    radius = CIRCLE_ALIASING / points
    values: Any = own.loss(-np.expm1(-(shift[:, None] + radius - 1j * angle)))
    about = np.arange(max(step - BEAT, 0), step + 1)
    weights = 2.0 / points * np.exp(np.multiply.outer(about, radius - 1j * angle))
    near = np.real(values @ weights.T)
    found, whole = near[:, -1], _with_limit(own, near[:, -1], shift * step)
    error = np.exp(-CIRCLE_ALIASING) * np.abs(near).max(axis=1)
    error += EPS * np.exp(radius * step) * np.abs(values).max(axis=1)
    error /= np.maximum(np.abs(whole), 1e-300)
    if begins is None:
        return found, error
    first = begins - own.limit
    off = np.abs(2.0 / points * np.real(values).sum(axis=1) - first)
    share = off / np.maximum(np.abs(first), 1e-300)
    return found, np.where(share > SAME_START, np.maximum(error, share), error)


def _with_limit(own: _Evaluator, decay: Array, exponent: Array) -> Array:
    """What decays and its limit, in units of exp(exponent); where there is no limit, that may be out of range."""
    with np.errstate(over="ignore", invalid="ignore"):
        return decay + np.where(own.limit > 0.0, own.limit * np.exp(-exponent), 0.0)
