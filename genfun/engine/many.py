"""The loss at one step for many settings at once: the engine of maps and of searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np

from genfun._typing import Array, Bool, Float
from genfun.engine.compiled_contour import compiled_contours, contours_of_settings
from genfun.engine.conditioning import rounding_of_settings
from genfun.engine.dispatch import transform
from genfun.engine.early import early_losses
from genfun.engine.fused import advance_to, load, loaded, steps_of_settings
from genfun.engine.inversion import hyperbola
from genfun.engine.loss_curve import automatic
from genfun.engine.mode_sums import ModeSums, assemble, polynomials
from genfun.engine.noiseless import radii, resolved_losses
from genfun.engine.recursion import Recursion
from genfun.engine.settings import Settings
from genfun.engine.singularity import dominant_singularity
from genfun.engine.transform import merged_below
from genfun.noise import SpectrallyExpressible
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem
from genfun.scaled import EPS, Scaled

PASSES = ((9, 7), (16, 13))
"""Quadrature nodes for a single step: errors of about 10.1^-n times the steepness of the decay; the coarser count gives
the estimate. Settings that a pass leaves above the accuracy that is asked for go through the next."""
ROUGH, ROUGH_PASSES = 1e-4, ((6, 5), *PASSES)
"""An accuracy for which fewer nodes are tried first."""
HOPELESS = 1e-4
BIN_WIDTH, NODES_PER_BIN = 1.2, 8
"""Coarser bins than for single curves: integrals to about 1e-9, more than the edge of stability takes away."""
SLACK = 0.4
"""The shift of the contour is found to SLACK / step; its vertex lies 3 / step to the right."""
GONE = -30.0
"""What decays faster is gone."""
LEAST_CONTOUR_STEP = 48
BLOCK, COMPILED_BLOCK = 1_600, 20_000
"""Settings worked on together, by NumPy and in one loop."""
CALM = (-1.0, 2.0)
"""Where the slowest mode decays by no more than e in a step, and grows by no more than e^2, polynomials in q = 1 - z
keep their digits."""


_COARSE: WeakKeyDictionary[Any, tuple[SpectralMeasure, SpectralMeasure]] = WeakKeyDictionary()


def coarse_measures(problem: Problem) -> tuple[SpectralMeasure, SpectralMeasure]:
    """Capacity and signal measures, compressed for maps, once for a problem: a search looks at hundreds of maps."""
    try:
        found = _COARSE.get(problem)
    except TypeError:  # a problem of a user's own that has no hash
        return _coarse(problem)
    if found is None:
        found = _COARSE[problem] = _coarse(problem)
    return found


def _coarse(problem: Problem) -> tuple[SpectralMeasure, SpectralMeasure]:
    capacity, signal = problem.measures()
    return capacity.compress(BIN_WIDTH, NODES_PER_BIN), signal.compress(BIN_WIDTH, NODES_PER_BIN)


@runtime_checkable
class Evaluator(Protocol):
    """The generating functions of S settings, each at its own points."""

    def regular(self, pick: Any, p: Array) -> Array:
        """Whether p, shape (picked,), lies right of the dominant singularity of each picked setting."""
        ...

    def loss(self, q: Array) -> Array:
        """L~ at z = 1 - q, shape (S, points)."""
        ...


class _Evaluator:
    """U~/tau1 and V~ of every setting at its own points q, shape (settings, points)."""

    def __init__(self, settings: Settings, measures: tuple[SpectralMeasure, SpectralMeasure]) -> None:
        capacity, signal = measures
        self.s = settings
        self.polynomials = polynomials(settings.kind, len(settings.hyper))
        degrees = self.polynomials.degrees
        self.capacity = ModeSums(degrees, capacity.nodes, [(1, capacity.weights)])
        self.signal = ModeSums(degrees, signal.nodes, [(2, signal.weights)])
        ends = [signal.nodes.argmin(), signal.nodes.argmax()]
        self.ends = ModeSums(degrees, signal.nodes[ends], [])

    def arguments(self, pick: Any, q: Array) -> tuple[Any, ...]:
        """What `ModeSums` takes, for some of the settings."""
        table = self.polynomials.coefficients(q, tuple(h[pick, None] for h in self.s.hyper))
        return table, q, (self.s.gamma[pick] * self.s.taus[1])[:, None], self.s.rates[pick, None]

    def kernel(self, pick: Any, arguments: tuple[Any, ...]) -> Array:
        """U~/tau1."""
        return (self.s.gamma[pick] * self.s.rates[pick] ** 2)[:, None] * self.capacity(*arguments)[0]

    def regular(self, pick: Any, p: Array) -> Bool[Array, " S"]:
        """Whether p lies right of the dominant singularity of each setting."""
        q = -np.expm1(-p)[:, None]
        arguments = self.arguments(pick, q)
        sums, least = self.capacity.on_axis(*arguments)
        positive = least > 0.0
        positive &= self.ends.least_denominator(*arguments) > 0.0
        scale = self.s.gamma[pick] * self.s.rates[pick] ** 2
        gain = (1.0 - q) * self.s.taus[0] * scale[:, None] * sums[0]
        return (positive & (gain < 1.0))[:, 0]

    def loss(self, q: Array) -> Array:
        """L~ of every setting at its own points."""
        pick = np.arange(self.s.rates.size)
        arguments = self.arguments(pick, q)
        signal = self.signal(*arguments)[0]
        return assemble(self.kernel(pick, arguments), signal, q, self.s.taus[0], self.s.problem.noise_variance)


def shifts(regular: Callable[[Array, Array], Array], slowest: Array, step: float) -> Array:
    """The dominant singularity of every setting to SLACK / step, by bisection of all at once.

    Parameters
    ----------
    regular : callable
        (settings, p) -> whether p lies right of the dominant singularity of each of these settings.
    slowest : array, shape (S,)
        log of the largest squared root of the modes.
    step : float
        t.
    """
    n, tolerance = slowest.size, SLACK / step
    slowest = np.maximum(slowest, GONE)  # -inf, where modes are gone after a step, has no middle to 0
    everyone = np.arange(n)
    stable = regular(everyone, np.zeros(n)) & (slowest < tolerance)
    low = np.where(stable, np.minimum(slowest, 0.0) - 0.5 * tolerance, 0.0)
    high = np.where(stable, 0.0, np.maximum(slowest, 0.0) + tolerance)
    loose = np.flatnonzero(~stable)
    while loose.size:
        wrong = ~regular(loose, high[loose])
        loose = loose[wrong & (high[loose] < 600.0)]
        low[loose] = high[loose]
        high[loose] = 2.0 * high[loose] + tolerance
    active = np.flatnonzero(high - low > tolerance)
    while active.size:
        middle = 0.5 * (low[active] + high[active])
        good = regular(active, middle)
        # Between neighbouring doubles there is none.
        inside = (low[active] < middle) & (middle < high[active])
        high[active[good]], low[active[~good]] = middle[good], middle[~good]
        active = active[inside & (high[active] - low[active] > tolerance)]
    return high


def growth_rates(settings: Settings, accuracy: float) -> Float[Array, " S"]:
    r"""-ln z*, z* U~(z*) = 1, of every setting, all at once: per step, positive where the mean loss grows.

    Parameters
    ----------
    settings : Settings
        S settings of a finite spectrum.
    accuracy : float
        Absolute, per step.
    """
    problem = settings.problem
    if not isinstance(settings.noise, SpectrallyExpressible):
        each = [transform(problem, settings.method(i), settings.noise) for i in range(settings.rates.size)]
        return np.array([dominant_singularity(G).rate for G in each])
    measures, found = coarse_measures(problem), np.empty(settings.rates.size)
    ends = np.array([problem.lambda_min, problem.lambda_max])
    for start in range(0, found.size, BLOCK):
        part = np.arange(start, min(start + BLOCK, found.size))
        own = settings.take(part)
        with np.errstate(all="ignore"):
            found[part] = shifts(_Evaluator(own, measures).regular, radii(own, ends)[0], SLACK / accuracy)
    return found


def losses_at(settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
    r"""Mean loss of every setting at one step, and an estimate of its relative error.

    .. math:: L(t) = \frac{1}{2\pi i}\int\tilde L(e^{-p})\,e^{pt}\,dp

    on a hyperbola of its own for every setting, shifted to its dominant singularity; by the batched recursion where
    the step is small or modes off the real axis have not faded; by powers of the update matrices without noise.

    **Assumptions.** As for `genfun.engine.inversion.coefficients`.

    Parameters
    ----------
    settings : Settings
        S settings.
    step : int
        t >= 0.

    References
    ----------
    Weideman and Trefethen, Math. Comp. 76 (2007) 1341.
    """
    if step > 0 and not settings.gamma.any():
        found = resolved_losses(settings, step)
        return found, np.full(settings.rates.size, EPS * (64.0 + step))
    if not isinstance(settings.noise, SpectrallyExpressible):
        if step == 0:  # no batch has been drawn, and any noise gives the loss at the start
            return losses_at(replace(settings, noise=SpectrallyExpressible()), 0)
        own = getattr(settings.noise, "losses_at", None)
        return one_by_one(settings, step) if own is None else own(settings, step)
    if 0 < step < LEAST_CONTOUR_STEP:
        return _after_few_steps(settings, step)
    return _by_contours(settings, step)


def _after_few_steps(settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
    """From shared points where settings share them, the others by the batched recursion."""
    measures = merged_below(settings.problem.measures(), settings.still_below(float(step)))
    loss, error = early_losses(settings, step, measures)
    left = np.flatnonzero(~np.isfinite(error))
    if left.size == loss.size:
        return _by_contours(settings, step)
    found = Scaled(loss, np.zeros(loss.size, dtype=np.int64))
    error = np.maximum(error, rounding_of_settings(settings, step, by_recursion=True))
    if left.size:
        rest, error[left] = _by_contours(settings.take(left), step)
        found.mantissa[left], found.exponent[left] = rest.mantissa, rest.exponent
    return found, error


def _by_contours(settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
    measures = coarse_measures(settings.problem)
    # A contour looks at some forty points; a step costs as much as five of them.
    few = step < LEAST_CONTOUR_STEP
    points = float(settings.rates.size * sum(m.nodes.size for m in measures) * (5 * step if few else 40))
    load(points, steps_of_settings if few else contours_of_settings)
    nodes = np.sort(measures[0].nodes)[np.linspace(0, measures[0].nodes.size - 1, 12).astype(int)]
    spectrum, model = settings.problem.measures(), SpectrallyExpressible(*settings.taus)
    found, error = contour_or_recursion(
        settings,
        step,
        nodes,
        lambda own: _Evaluator(own, merged_below(measures, own.still_below(float(step)))),
        lambda own: Recursion.of_settings(own, model, merged_below(spectrum, own.still_below(float(max(step, 1))))),
        compiled=True,
    )
    return found, np.maximum(error, rounding_of_settings(settings, step, by_recursion=False))


def contour_or_recursion(
    settings: Settings,
    step: int,
    nodes: Float[Array, " n"],
    evaluator: Callable[[Settings], Evaluator],
    recursion: Callable[[Settings], Recursion],
    compiled: bool = False,
) -> tuple[Scaled, Float[Array, " S"]]:
    """Losses of settings by a contour for each, and by the batched recursion where that does not serve.

    Parameters
    ----------
    settings : Settings
    step : int
        t >= 0.
    nodes : array, shape (n,)
        Eigenvalues whose roots are looked at.
    evaluator : callable
        Settings -> the generating function of each at its own points.
    recursion : callable
        Settings -> their direct recursion.
    compiled : bool
        Whether evaluators may be asked for whole contours in one loop.
    """
    size = settings.rates.size
    mantissa, power, error = np.empty(size), np.zeros(size), np.zeros(size)
    slowest, outside = radii(settings, nodes)
    shift = np.zeros(size)
    hard = np.full(size, step < LEAST_CONTOUR_STEP)

    def contour(pick: Array, counts: tuple[int, int], known: bool, compiled: bool) -> None:
        own = evaluator(settings.take(pick))
        with np.errstate(all="ignore"):
            if compiled and isinstance(own, _Evaluator):
                at = shift[pick]
                sums, numbers = (own.capacity, own.signal), (float(step), SLACK / step, GONE)
                both = compiled_contours(own.s, own.polynomials, sums, numbers, slowest[pick], at, counts, known)
                if both is not None:
                    shift[pick], (mantissa[pick], rough) = at, both
                    error[pick] = np.where(both[0] > 0.0, np.abs(rough / both[0] - 1.0), np.inf)
                    return
            if not known:
                shift[pick] = shifts(own.regular, slowest[pick], float(step))
                if settings.problem.noise_variance > 0.0:
                    shift[pick] = np.maximum(shift[pick], 0.0)
            fine, rough = (_quadrature(own, shift[pick], float(step), count) for count in counts)
            mantissa[pick] = fine
            error[pick] = np.where(fine > 0.0, np.abs(rough / fine - 1.0), np.inf)

    if step >= LEAST_CONTOUR_STEP:
        calm = (CALM[0] < slowest) & (slowest < CALM[1]) & (compiled and loaded(contours_of_settings) is not None)
        for known, counts in enumerate(passes(settings)):
            cells = np.flatnonzero(~(error <= settings.accuracy)) if known else np.arange(size)
            for quick, block in ((True, COMPILED_BLOCK), (False, BLOCK)):
                own = cells[calm[cells] == quick]
                for start in range(0, own.size, block):
                    contour(own[start : start + block], counts, bool(known), quick)
        unfaded = (outside - shift) * step > -settings.faded
        hard = unfaded | ~(error < HOPELESS)
        if step > settings.patience:
            left_out = np.exp(np.minimum((outside - shift) * step, 0.0))
            error = np.where(unfaded, np.maximum(error, left_out), error)
            hard[:] = False
        power = shift * step
    start = 0.5 * (settings.problem.signal_total + settings.problem.noise_variance)
    mantissa, error = lost_beyond(mantissa, error, shift, start)
    result = Scaled.exponential(np.where(hard, 1.0, mantissa), np.where(hard, 0.0, power))
    if hard.any():
        cells = np.flatnonzero(hard)
        found = _recursion(settings, cells, step, recursion)
        result.mantissa[cells], result.exponent[cells] = found.mantissa, found.exponent
        error[cells] = rounding_of_settings(settings.take(cells), step, by_recursion=True)
    return result, error


def lost_beyond(mantissa: Array, error: Array, shift: Array, start: float) -> tuple[Array, Array]:
    """Losses in units of exp(shift t); what far beyond the edge has no digit left is of the order of the start.

    Parameters
    ----------
    mantissa, error, shift : array, shape (S,)
    start : float
        L(0).
    """
    lost = ~(mantissa > 0.0) & (shift > 0.0)
    return np.where(lost, start, mantissa), np.where(lost, np.inf, error)


def passes(settings: Settings) -> tuple[tuple[int, int], ...]:
    """Nodes of the quadratures and of those that they are compared with, the fewest first.

    Parameters
    ----------
    settings : Settings
    """
    return PASSES if settings.accuracy < ROUGH else ROUGH_PASSES


def one_by_one(settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
    """Losses of settings under any noise model, one after the other, each by the route of a single setting.

    Parameters
    ----------
    settings : Settings
    step : int
    """
    curves, steps = [], np.array([step])
    for i in range(settings.rates.size):
        curves.append(automatic(transform(settings.problem, settings.method(i), settings.noise), steps))
    return Scaled.join([c.loss for c in curves]), np.concatenate([c.error for c in curves])


def _quadrature(evaluator: Evaluator, shift: Array, step: float, count: int) -> Array:
    contour = hyperbola(count, 1.0)
    value = evaluator.loss(-np.expm1(-(shift[:, None] + contour.nodes / step)))
    return (value * np.exp(contour.nodes) * contour.weights / step).sum(axis=1).imag


def _recursion(settings: Settings, cells: Array, step: int, recursion: Callable[[Settings], Recursion]) -> Scaled:
    """The batched recursion, a few hundred settings at a time."""
    parts = []
    for start in range(0, cells.size, 64):
        run = recursion(settings.take(cells[start : start + 64]))
        advance_to(run, step)
        parts.append(Scaled(*run.loss()))
    return Scaled.join(parts)
