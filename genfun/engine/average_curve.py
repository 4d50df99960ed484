"""The loss of a uniform average of the weights at any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array, Int
from genfun.engine.contour_curve import LossCurve
from genfun.engine.loss_curve import automatic, recursion_error
from genfun.engine.output_function import OutputFunction
from genfun.engine.singularity import Singularity
from genfun.methods.averaged import Averaged
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.scaled import Scaled

Route = Callable[[OutputFunction, Array, Singularity], LossCurve]
"""From the sum of weights, ascending steps and the dominant singularity to the curve."""
LAST_TAIL = 1_000_000
"""A tail average is followed step by step, at most so far."""


class UniformAverage(OutputFunction):
    r"""The function of the sum of the weights since the start of the average; losses are divided by steps squared.

    .. math:: L(t) = \frac{1}{2 (t - t_0)^2}\sum\lambda\,E S_t^2 + \sigma^2/2

    Parameters
    ----------
    problem : Problem
    method : Averaged
        With kind "polyak" or "tail".
    noise : SpectrallyExpressible
    """

    def __init__(self, problem: Problem, method: Averaged, noise: SpectrallyExpressible) -> None:
        super().__init__(problem, method, noise, label_noise=0.0)
        self.start = method.start

    def floor(self) -> float:
        """The excess loss in the end: the bias of weight decay alone, for all fluctuations average out."""
        signal = self.measures[1]
        return 0.5 * float(signal.weights @ self.system.bias(signal.nodes) ** 2)

    def known_curve(self, steps: Int[Array, " t"], singular: Singularity) -> Any:
        """Mean losses at ascending steps.

        Parameters
        ----------
        steps : array, shape (t,)
            Ascending, without repeats.
        singular : Singularity
        """
        return uniform_curve(self, steps, singular)


def uniform_curve(
    G: UniformAverage, steps: Int[Array, " t"], singular: Singularity, by: Route = automatic
) -> LossCurve:
    """Mean losses at ascending steps: a sum of weights by any route, over the number of steps squared.

    Parameters
    ----------
    G : UniformAverage
    steps : array, shape (t,)
        Ascending, without repeats.
    singular : Singularity
    by : callable
        The route to the sum; a tail average is always followed step by step.

    Raises
    ------
    ValueError
        If a tail average is asked for beyond LAST_TAIL steps.
    """
    begin = G.start
    if begin > 0:
        return _tail(G, steps, begin)
    core = OutputFunction(G.problem, G.method, G.noise_model, None, 0.0)
    later = steps[steps > 0]
    label = 0.5 * G.problem.noise_variance
    parts, errors, route = [], [], "recursion"
    if later.size < steps.size:
        parts.append(Scaled(np.array([0.5 * G.problem.signal_total + label]), np.zeros(1, dtype=np.int64)))
        errors.append(np.zeros(1))
    if later.size:
        curve = averaged_loss(by(core, later, singular), later, label)
        parts.append(curve.loss)
        errors.append(curve.error)
        route = curve.route
    return LossCurve(Scaled.join(parts), np.concatenate(errors), route)


def averaged_loss(summed: LossCurve, count: Int[Array, " t"], label: float) -> LossCurve:
    """The loss of an average from that of a sum of weights.

    Parameters
    ----------
    summed : LossCurve
        Half of sum lambda E S^2.
    count : integer array, shape (t,)
        Weights in the sum.
    label : float
        sigma^2/2.
    """
    return LossCurve(_over(summed.loss, count.astype(np.float64), label), summed.error, summed.route)


def _over(total: Scaled, count: Array, label: float) -> Scaled:
    """total/count^2 + label."""
    mean = Scaled(total.mantissa / count**2, total.exponent)
    if label == 0.0:
        return mean
    value = mean.value() + label
    over = np.isinf(value)
    return Scaled(np.where(over, mean.mantissa, value), np.where(over, mean.exponent, 0))


def _tail(G: UniformAverage, steps: Int[Array, " t"], begin: int) -> LossCurve:
    last = int(steps[-1])
    if last > LAST_TAIL:
        raise ValueError(
            f"steps must be at most {LAST_TAIL} for kind='tail', which is followed step by step, got {last}; "
            "'ema' and 'polyak' know any step"
        )
    run, label = G.stepper(float(min(last, 3000)), last), 0.5 * G.problem.noise_variance
    found = []
    for step in steps.tolist():
        while run.step < step:
            if run.step == begin:
                run.restart_sum()
            run.advance()
        mantissa, exponent = run.weights_loss() if step <= begin else run.observed()
        total = Scaled(np.array([mantissa]), np.array([exponent], dtype=np.int64))
        found.append(_over(total, np.array([float(max(step - begin, 1))]), label))
    return LossCurve(Scaled.join(found), recursion_error(G, steps), "recursion")
