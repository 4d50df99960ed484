"""The mean loss under a schedule: the direct recursion on the compressed spectrum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._loops import writable
from genfun._typing import Array, Float, Int
from genfun.engine.contour_curve import LossCurve
from genfun.engine.fine import FULL_MODES
from genfun.engine.loss_curve import MAX_PHASE
from genfun.engine.recursion import joint_modes
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.problems.measure import BIN_WIDTH, SpectralMeasure
from genfun.problems.problem import EXACT_MODES, LinearProblem, Problem
from genfun.scaled import EPS, Scaled
from genfun.schedules.kernel import kernel
from genfun.schedules.scheduled_sgd import ScheduledSGD

CHUNK = 2**16
"""Steps whose hyperparameters are held at once."""
FULL_WORK = 3e7
"""Up to this many steps times modes the recursion runs on the spectrum itself."""
FADED = 30.0
"""Oscillations are over when they have faded by exp(-30)."""
BOUNDED = 0.99
"""What is left of the lower bound: its corner at lambda R = 1 is no place for Gauss nodes, which err there by 1e-3."""
NEGLIGIBLE = 1e-280
"""Moments below are set to 0 between chunks: arithmetic on numbers below the normal range is a hundred times slower."""
LAST_STEP = 10**8
"""No schedule is followed further."""


@dataclass(frozen=True)
class Extent:
    """What the choice of nodes depends on, over all steps of a schedule.

    Parameters
    ----------
    turning : float
        Least (1 - sqrt(beta))^2 / alpha: modes above it may oscillate, smoothly in lambda; inf if none does.
    phase : float
        Steps until such oscillations have faded.
    reach : float
        Bound of sum of alpha_eff: modes far below 1/reach hardly move.
    """

    turning: float
    phase: float
    reach: float


def chunks(first: int, last: int) -> Iterator[Int[Array, " t"]]:
    """Steps first, ..., last - 1 in pieces."""
    for start in range(first, last, CHUNK):
        yield np.arange(start, min(start + CHUNK, last))


def sampling_factors(problem: Problem, method: ScheduledSGD, sizes: Array | None, count: int) -> Float[Array, " t"]:
    """gamma at every step."""
    if sizes is None:
        return np.zeros(count)
    distinct, place = np.unique(sizes, return_inverse=True)
    return np.array([sampling_factor(int(b), problem.n_samples, method.replacement) for b in distinct])[place]


def paces(
    method: ScheduledSGD, lambda_max: float, steps: Int[Array, " t"], rates: Float[Array, " t"]
) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    """e and r of every step, for v' = beta_k v - e_k g, w' = w + r_k v'; see `ScheduledRecursion`.

    Parameters
    ----------
    method : ScheduledSGD
    lambda_max : float
        Sets the scale of v.
    steps, rates : array, shape (t,)
    """
    if method.convention == "keras":
        return np.ascontiguousarray(rates), np.ones(rates.size)
    whole = np.where(steps == 0, 1.0, 1.0 - method.dampening)
    return whole / lambda_max, rates * lambda_max


def extent(method: ScheduledSGD, last: int) -> Extent:
    """Summary of a schedule over the steps before `last`."""
    turning, total, most = np.inf, 0.0, 0.0
    for steps in chunks(0, last):
        rates, momenta, _ = method.at(steps)
        total += float(rates.sum())
        most = max(most, float(momenta.max()))
        turns = (momenta > 0.0) & (rates > 0.0)
        if turns.any():
            turning = min(turning, float(((1.0 - np.sqrt(momenta[turns])) ** 2 / rates[turns]).min()))
    fade = FADED / -np.log(most) if most > 0.0 else 0.0
    return Extent(turning, float(min(fade, last, MAX_PHASE)), total / (1.0 - most))


def least_loss(problem: Problem, method: ScheduledSGD, last: int) -> float:
    r"""A lower bound of the mean loss at every step up to a last one, from the slow modes alone.

    .. math:: L_t \ge \tfrac12\sum_k s_k \max(0,\, m(\lambda_k R))^2 + \tfrac12\sigma^2,\qquad
              R = \sum_{t} \frac{\alpha_t}{1 - \max|\beta|},\qquad m(x) = 1 - x

    E w^2 >= (E w)^2, and without negative momentum the mean of a mode with lambda R < 1 falls monotonically, by
    lambda R of its start at most. A negative momentum may raise it, to 1/(1 - lambda R) at most, since no gradient
    moves it by more than its own share of lambda R: then m(x) = 1 - x/(1 - x) for x < 1.

    Parameters
    ----------
    problem : Problem
    method : ScheduledSGD
    last : int

    Returns
    -------
    float
    """
    total, most, least = 0.0, 0.0, 0.0
    for steps in chunks(0, last):
        rates, momenta, _ = method.at(steps)
        total, least = total + float(rates.sum()), min(least, float(momenta.min()))
        most = max(most, float(np.abs(momenta).max()))
    signal = problem.measures()[1]
    moved = total / (1.0 - most) * signal.nodes
    if least < 0.0:
        moved = np.where(moved < 0.5, moved / (1.0 - np.minimum(moved, 0.5)), 1.0)
    left = np.maximum(1.0 - moved, 0.0) ** 2
    return 0.5 * (BOUNDED * float(signal.weights @ left) + problem.noise_variance)


def resolved(measure: SpectralMeasure, width: float, turning: float) -> SpectralMeasure:
    """Compressed in narrow bins above the threshold, where modes oscillate, in default ones below.

    Parameters
    ----------
    measure : SpectralMeasure
    width : float
        Of the narrow bins.
    turning : float
        The threshold.
    """
    parts = []
    for pick, size in ((measure.nodes < turning, BIN_WIDTH), (measure.nodes >= turning, width)):
        if pick.any():
            part = SpectralMeasure.trusted(measure.nodes[pick].copy(), measure.weights[pick].copy())
            parts.append(part.compress(size))
    nodes, weights = (np.concatenate([getattr(p, name) for p in parts]) for name in ("nodes", "weights"))
    return SpectralMeasure.trusted(nodes, weights)


def schedule_measures(problem: Problem, span: Extent, last: int) -> tuple[SpectralMeasure, SpectralMeasure]:
    """Capacity and signal measures that serve every step of a schedule.

    Parameters
    ----------
    problem : Problem
    span : Extent
    last : int
        Number of steps.
    """
    finite = isinstance(problem, LinearProblem)
    if finite:
        modes = problem.eigenvalues.size
        if modes <= EXACT_MODES or (modes <= FULL_MODES and modes * last <= FULL_WORK):
            return problem.full_measures
    width = min(BIN_WIDTH, 4.0 / max(span.phase, 1.0))
    if span.turning >= problem.lambda_max or width == BIN_WIDTH:
        capacity, signal = problem.measures()
    else:
        fine = problem.full_measures if finite else problem.measures(width)
        capacity, signal = (resolved(m, width, span.turning) for m in fine)
    below = 1e-3 / (2.0 * max(span.reach, 1e-300))
    if below > min(capacity.nodes.min(), signal.nodes.min()):
        capacity, signal = capacity.lump(below), signal.lump(below)
    return capacity, signal


class ScheduledRecursion:
    r"""Mean loss step by step under a schedule.

    .. math:: X_{k+1} = A(\alpha_k,\beta_k,\gamma_k) X_k + \gamma_k e_k^2\lambda^2
              (\tau_1 \textstyle\sum_j X_{j,k} + \sigma^2) n_k,\qquad L_k = \tfrac12(\sum_j X_{j,k} + \sigma^2)

    for v' = beta_k v - e_k g, w' = w + r_k v', with n_k = (r_k^2, r_k, 1). By Keras' convention (e, r) = (alpha, 1); by
    torch's e = (1 - dampening)/lambda_max, without the dampening at step 0, and r = alpha lambda_max.

    **Assumptions.** Those of `genfun.engine.recursion.Recursion`, with hyperparameters of the step.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
    method : ScheduledSGD
    noise : SpectrallyExpressible
    last : int
        Number of steps that the nodes must serve.

    References
    ----------
    arXiv 2206.11124, eq. (8).
    """

    def __init__(self, problem: Problem, method: ScheduledSGD, noise: SpectrallyExpressible, last: int) -> None:
        capacity, signal = schedule_measures(problem, extent(method, last), last)
        nodes, weights, start = joint_modes(capacity, signal)
        self.problem, self.method, self.last = problem, method, last
        self._nodes, self._weights = (np.array(x, dtype=np.float64) for x in (nodes, weights))
        self._tau = (noise.tau1, noise.tau2, problem.noise_variance)
        self.state = np.zeros((3, nodes.size))
        self.state[0] = start
        self._scale, self._age = 0, 0.0
        self.step = 0

    def run(self, until: int) -> tuple[Scaled, Float[Array, " t"]]:
        """Losses at the steps from the present one to until - 1, and their estimated relative errors.

        The error is rounding, which adds up over steps as measured in the tests.

        Parameters
        ----------
        until : int
            The new present step; at most `last` + 1.
        """
        losses, errors = [], []
        advance = kernel(self.last)
        # The update after the loss of step `last` is never seen, and a table may have no entry for it.
        for steps in chunks(self.step, until):
            known = np.minimum(steps, max(self.last - 1, 0))
            rates, momenta, sizes = self.method.at(known) if self.last else (np.zeros(1), np.zeros(1), None)
            gammas = sampling_factors(self.problem, self.method, sizes, steps.size)
            pace = tuple(map(writable, paces(self.method, self.problem.lambda_max, steps, rates)))
            momenta, gammas = writable(momenta), writable(gammas)
            out = (np.empty(steps.size), np.zeros(steps.size, dtype=np.int64))
            with np.errstate(over="ignore", invalid="ignore"):
                self._scale = int(
                    advance(self.state, self._nodes, self._weights, pace, momenta, gammas, self._tau, self._scale, out)
                )
            self.state[:, np.abs(self.state).max(axis=0) < NEGLIGIBLE] = 0.0
            age = self._age + np.cumsum(1.0 / (1.0 - np.abs(momenta)))
            self._age = float(age[-1])
            losses.append(Scaled(0.5 * out[0], out[1]))
            errors.append(EPS * (16.0 + 2.0 * age))
        self.step = until
        return Scaled.join(losses), np.concatenate(errors)


def scheduled_curve(
    problem: Problem, method: ScheduledSGD, noise: SpectrallyExpressible, steps: Int[Array, " t"]
) -> LossCurve:
    """Losses at ascending steps under a schedule.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
    method : ScheduledSGD
    noise : SpectrallyExpressible
    steps : array, shape (t,)
        Ascending.

    Raises
    ------
    ValueError
        If a step is beyond the schedule or beyond 10^8.
    """
    _check.setting(problem, SGD(1.0), noise)
    last = int(steps[-1])
    if last > LAST_STEP:
        raise ValueError(f"steps must be at most {LAST_STEP} under a schedule, got {last}; an SGD is followed further")
    if np.isinf(problem.capacity_total) and method.batch_size is not None:
        losses = np.where(steps > 0, np.inf, 0.5 * (problem.signal_total + problem.noise_variance))
        return LossCurve(Scaled(losses, np.zeros(steps.size, dtype=np.int64)), np.zeros(steps.size), "limit")
    run = ScheduledRecursion(problem, method, noise, last)
    losses, errors, seen = [], [], 0
    for chunk in chunks(0, last + 1):
        until = int(chunk[-1]) + 1
        found, error = run.run(until)
        pick = steps[(steps >= seen) & (steps < until)] - seen
        losses.append(found[pick])
        errors.append(error[pick])
        seen = until
    return LossCurve(Scaled.join(losses), np.concatenate(errors), "recursion under the schedule")
