"""The mean loss under a schedule and the noise of data, step by step: projected, or with all second moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.scheduled import chunks, paces, sampling_factors
from genfun.problems.problem import Problem
from genfun.sample_space.moments import LARGEST, MAX_RANK, state_moments
from genfun.sample_space.projection import PairMeasure, symmetric
from genfun.scaled import EPS, Scaled
from genfun.schedules.scheduled_sgd import ScheduledSGD

if TYPE_CHECKING:
    from genfun.sample_space.exact_noise import ExactNoise
    from genfun.sample_space.measured import MeasuredNoise

STEP_OVERHEAD = 3e6
"""Operations that a step costs in calls, in either recursion."""
PER_PAIR = 60.0
"""Operations that a pair costs for each of the m + 1 parts of a projected step with momentum, in passes over memory."""
MOST = 2e12
"""Operations that are spent at most."""
LOOKED_AT = 64
"""Steps between looks at how much the parts of a loss cancel."""


def scheduled_steps(
    noise: MeasuredNoise | ExactNoise, problem: Problem, data: Any, method: ScheduledSGD, last: int
) -> ScheduledLosses:
    """The quicker of two recursions; that of the projected noise only where there are no data or they are too many.

    Parameters
    ----------
    noise : MeasuredNoise or ExactNoise
    problem : Problem
        That of the data.
    data : LinearData or None
        The samples, if they are at hand.
    method : ScheduledSGD
    last : int
        Number of steps.

    Raises
    ------
    ValueError
        If it would take too many operations.
    """
    data = getattr(noise, "data", data)
    pairs: PairMeasure | None = getattr(noise, "pairs", None)
    whole, few = np.inf, np.inf
    if data is not None and data.rank <= MAX_RANK:
        whole = 4.0 * data.n_samples * data.rank**2 + STEP_OVERHEAD
    if pairs is not None:
        few = PER_PAIR * (pairs.size + 1.0) * pairs.first.size + STEP_OVERHEAD
    least = min(whole, few)
    if least * last > MOST:
        raise ValueError(
            f"steps must be at most {int(MOST / least)} under a schedule with the noise of these data, got {last}; "
            "noise='fitted' is followed further"
        )
    if whole <= few:
        return ScheduledLosses(_exact(data, method, last))
    assert pairs is not None
    own: Any = noise
    return ScheduledLosses(
        _projected(pairs, own.n_samples, problem, method, last),
        own,
        lambda: _projected(own.coarser.pairs, own.n_samples, problem, method, last),
    )


class ScheduledLosses:
    """Losses one after the other, as `genfun.engine.scheduled.ScheduledRecursion` gives them.

    Parameters
    ----------
    losses : iterator
        Of (loss, estimated relative error).
    noise : MeasuredNoise, optional
        Whose vectors were used; None where nothing is left out.
    coarse : callable, optional
        The losses on the first vectors alone.
    """

    def __init__(
        self,
        losses: Iterator[tuple[float, float]],
        noise: MeasuredNoise | None = None,
        coarse: Callable[[], Iterator[tuple[float, float]]] | None = None,
    ) -> None:
        self._losses, self.step, self._noise, self._coarse = losses, 0, noise, coarse

    def noise_errors(self, steps: Int[Array, " t"], log_losses: Float[Array, " t"]) -> Float[Array, " t"]:
        """Estimated relative errors by what the noise leaves out, as `ErrorEstimate.loss_changes` has them.

        Parameters
        ----------
        steps : integer array, shape (t,)
            Ascending, without repeats.
        log_losses : array, shape (t,)
        """
        noise = self._noise
        if noise is None or self._coarse is None:
            return np.zeros(steps.size)
        if not 0 < noise.fewer < noise.pairs.size:
            return noise.estimated(steps, log_losses, log_losses)
        with np.errstate(divide="ignore"):
            coarse = ScheduledLosses(self._coarse()).run(int(steps[-1]) + 1)[0].log()
        return noise.estimated(steps, log_losses, coarse[steps])

    def run(self, until: int) -> tuple[Scaled, Float[Array, " t"]]:
        """Losses at the steps from the present one to until - 1, and their estimated relative errors.

        Parameters
        ----------
        until : int
            The new present step.
        """
        found, errors = np.full(until - self.step, np.inf), np.zeros(until - self.step)
        for i in range(found.size):
            with np.errstate(over="ignore", invalid="ignore"):  # a single step may leave the range of doubles
                found[i], errors[i] = next(self._losses)
            if not found[i] <= LARGEST:
                found[i] = found[i] if found[i] > LARGEST else np.inf
                self._losses = iter(lambda: (np.inf, 0.0), None)
        self.step = until
        return Scaled(found, np.zeros(found.size, dtype=np.int64)), errors


def _exact(data: Any, method: ScheduledSGD, last: int) -> Iterator[tuple[float, float]]:
    lam, floor = data.problem.eigenvalues, 0.5 * data.problem.noise_variance
    for t, (moment, _) in enumerate(state_moments(data, method, last)):
        yield 0.5 * float(lam @ np.diag(moment[0][0])) + floor, EPS * (64.0 + 16.0 * t)


def _projected(
    pairs: PairMeasure, n_samples: int, problem: Problem, method: ScheduledSGD, last: int
) -> Iterator[tuple[float, float]]:
    r"""The response of every pair to the start (0) and to each coordinate b of the squared residuals (1 + b).

    .. math:: Y^b_{t+1} = T_jY^bT_k^\top + \gamma_te_t^2\,(x_b - \lambda_j\lambda_kY^b_{ww})\,k k^\top,\qquad
              x_a = \sum_PS^a_PY^{start}_P + \sum_b\sum_PW^{ab}_PY^b_P + \sum_nE^a_nm_n + R^a
    """
    j, k = pairs.nodes[pairs.first], pairs.nodes[pairs.second]
    table = np.concatenate([pairs.source[None], symmetric(pairs.kernel, pairs.size).transpose(2, 1, 0)])
    sizes = np.abs(table[:, 0])
    state = np.zeros((4, pairs.size + 1, j.size))
    state[0, 0] = 1.0
    still = not callable(method.momentum) and method.momentum == 0.0
    mean, velocity = np.ones(pairs.nodes.size), np.zeros(pairs.nodes.size)
    root, cancelled = 2.0 * np.sqrt(n_samples), 1.0
    for t, (e, r, beta, gamma) in enumerate(_hyperparameters(method, problem, last)):
        ww = state[0]
        x = np.matmul(table, ww[:, :, None])[:, :, 0].sum(axis=0) + pairs.modes @ mean + pairs.floor
        if t % LOOKED_AT == 0:
            cancelled = max(cancelled, float((sizes * np.abs(ww)).sum()) / max(abs(float(x[0])), 1e-300))
        yield float(x[0]) / root, EPS * (64.0 + 2.0 * t) * cancelled
        push = np.concatenate([np.zeros(1), x])[:, None] - (j * k) * ww
        velocity = beta * velocity - e * pairs.nodes * mean
        mean = mean + r * velocity
        if still:
            state[0] = (1.0 - r * e * j) * (1.0 - r * e * k) * ww + (gamma * (r * e) ** 2) * push
            continue
        _, wv, vw, vv = state
        first, second = (beta * e) * wv - (0.5 * e * e) * k * ww, (beta * e) * vw - (0.5 * e * e) * j * ww
        new = beta * beta * vv - j * first - k * second + (gamma * e * e) * push
        wv_new, vw_new = beta * wv - (e * k) * ww, beta * vw - (e * j) * ww
        state[0] = ww + r * (wv_new + vw_new) + (r * r) * new
        state[1], state[2], state[3] = wv_new + r * new, vw_new + r * new, new


def _hyperparameters(method: ScheduledSGD, problem: Problem, last: int) -> Iterator[tuple[float, float, float, float]]:
    """(e, r, beta, gamma) of every step, see `paces`; and one more, which changes nothing."""
    for steps in chunks(0, last):
        rates, momenta, sizes = method.at(steps)
        gammas = sampling_factors(problem, method, sizes, steps.size)
        yield from zip(*paces(method, problem.lambda_max, steps, rates), momenta, gammas, strict=True)
    yield 0.0, 0.0, 0.0, 0.0
