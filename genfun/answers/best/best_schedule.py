"""Which learning rates, step by step, give the least loss; and which simple ones come near?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.answers.best._rate_families import FAMILIES, best_peak, free_rates, hold_then_linear
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.adjoint import RateGradient
from genfun.engine.edge import edge
from genfun.methods.sgd import SGD
from genfun.problems.problem import Problem
from genfun.schedules import ScheduledSGD
from genfun.schedules.trapezoid import HoldThenLinear

MOST_STEPS = 10**6
"""No free optimum is looked for over more."""


@dataclass(frozen=True, eq=False, repr=False)
class BestSchedule(Displayed):
    """The best simple schedule, and how far it is from the best of all.

    Attributes
    ----------
    method : ScheduledSGD
        The answer, with torch's momentum.
    loss : float
        Predicted mean loss at `steps`.
    family : str
        "hold then linear", or the family that beats it.
    steps : int
        T.
    free_rates : array, shape (T,)
        The learning rates of the free optimum below the same cap.
    free_loss : float
        Its loss, the yardstick.
    gaps : dict of str to float
        Family -> its loss at its best peak over `free_loss`.
    at_20_percent_more : float
        Loss of the answer with every rate 20 % larger; inf if the largest is beyond the edge and the loss overflows.
    edge : float
        The largest stable learning rate.
    edge_of : str
        Which noise that edge is of.
    share_of_edge : float
        The cap of every rate, as a share of the edge.

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    >>> gf.best_schedule(problem, steps=100)
    BestSchedule(... of the edge: loss ... at step 100, ... times the free optimum's, ... at 20 % more rate)
    """

    method: ScheduledSGD
    loss: float
    family: str
    steps: int
    free_rates: Float[Array, " T"]
    free_loss: float
    gaps: dict[str, float]
    at_20_percent_more: float
    edge: float
    edge_of: str
    share_of_edge: float

    @property
    def peak(self) -> float:
        """The largest learning rate of the answer, which is that of its first step."""
        return float(self.method.at([0])[0][0])

    @property
    def shape(self) -> str:
        """The schedule in words."""
        share = f"{self.peak / self.edge:.2g} of the edge"
        rate = self.method.learning_rate
        if not isinstance(rate, HoldThenLinear):
            return f"{self.family} from {share}"
        if rate.hold == 1.0:
            return f"hold at {share} to the end"
        if rate.hold == 0.0:
            return f"from {share} in a line to 0"
        return f"hold at {share} for {rate.hold:.0%}, then to 0"

    def lambda_lr(self) -> Callable[[int], float]:
        """The function for `torch.optim.lr_scheduler.LambdaLR`, with an optimizer whose lr is `peak`.

        `torch.optim.SGD(parameters, lr=best.peak, momentum=best.method.momentum)` under it, stepped after every batch,
        has the rates and the momentum (in torch's convention) of `method`.
        """
        rates = self.method.at(np.arange(self.steps))[0] / self.peak

        def factor(step: int) -> float:
            return float(rates[step]) if step < rates.size else 0.0

        return factor

    def __repr__(self) -> str:
        return (
            f"BestSchedule({self.shape}: loss {self.loss:.6g} at step {self.steps}, {self.loss / self.free_loss:.3g} "
            f"times the free optimum's, {self.at_20_percent_more:.4g} at 20 % more rate)"
        )


def best_schedule(
    problem: Problem | LinearData,
    batch_size: int | None = 1,
    steps: int = 2000,
    momentum: float = 0.0,
    noise: NoiseChoice = None,
    share_of_edge: float = 0.8,
) -> BestSchedule:
    r"""The best simple schedule of the learning rate, measured by the best of all.

    .. math:: \min_{\alpha_0,\dots,\alpha_{T-1} \le c\,\alpha_{edge}} L(T)\quad\text{(the yardstick)},\qquad
              \min_{\alpha, h} L(T)\ \text{for}\ \alpha_t = \alpha\min\left(1, \tfrac{1-t/T}{1-h}\right)

    The free optimum is found by its gradient in one backward pass. The answer is "hold, then linear to 0" with tuned
    peak and share h, or the family that beats it: constant, linear, cosine, "wsd" (hold for 80 %), "inverse sqrt"
    (1/sqrt(1 + 10 t/T)), "halving" (at 1/2, 3/4, 7/8, ... of the steps).

    **Assumptions.** Those of `predict` under a schedule: fresh batches and spectrally expressible noise; data bring
    their fitted constants. The cap is a share of the edge of that noise or, where it is smaller, of the data's own
    measured noise: without a cap, the best rates jump far beyond the edge and the least error in the noise is fatal.
    The free optimum is the better of two local searches over 24 knots.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    batch_size : int or None
        b; None means the full batch.
    steps : int
        T, from 2 to 10^6.
    momentum : float
        beta in (-1, 1), the same at every step, in torch's convention.
    noise : SpectrallyExpressible, "fitted" or None
        None: the fitted noise of data, or tau1 = tau2 = 1 for a spectrum.
    share_of_edge : float
        c in (0, 1], dimensionless; at .8 the loss still falls if the rate is 20 % larger.

    Returns
    -------
    BestSchedule

    Raises
    ------
    ValueError
        If a number is out of range, no learning rate is stable, or the noise is not spectrally expressible.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2206.11124, eq. (8) (the recursion that is minimised); arXiv 2405.18392 (hold, then fall).

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    >>> best = gf.best_schedule(problem, steps=200)
    >>> best.loss < gf.optimize(problem, batch_size=1, steps=200, momentum=0.0).loss
    True
    >>> 1.0 <= best.gaps["hold then linear"] < 1.02, best.gaps["constant"] > 1.02
    (True, True)
    """
    last = _check.integer("steps", steps, 2)
    if last > MOST_STEPS:
        raise ValueError(f"steps must be at most {MOST_STEPS}, got {last}; the shape hardly changes beyond")
    share = _check.positive("share_of_edge", share_of_edge, "0.8 is safe")
    if share > 1.0:
        raise ValueError(f"share_of_edge must be at most 1, got {share!r}; beyond the edge the loss grows")
    setting = SGD(1.0, momentum, batch_size)
    case = Case.of(problem, setting, noise, only_expressible="best_schedule")
    limit, whose = _smaller_edge(case, setting)
    if limit <= 0.0 or case.explodes:
        raise ValueError("problem has no stable learning rate: its eigenvalues have an infinite sum; use a larger nu")
    cap = share * limit
    engine = RateGradient(case.problem, case.expressible, setting.momentum, case.gamma, last, cap)
    every = np.arange(last)

    def excess(schedule: Any) -> float:
        return engine.excess(np.ascontiguousarray(schedule(every)))

    tuned = {name: _tuned(excess, make, cap, last) for name, make in FAMILIES.items()}
    tuned["hold then linear"] = hold_then_linear(excess, cap, last)
    name = min(tuned, key=lambda key: (tuned[key][1], key != "hold then linear"))
    starts = [tuned[name][0](every), tuned["constant"][0](every)]
    rates, least = free_rates(engine, cap, last, starts)
    floor = case.label_noise
    free = floor + min(least, tuned[name][1])
    if least > tuned[name][1]:
        rates = starts[0]
    method = ScheduledSGD(tuned[name][0], setting.momentum, batch_size)
    more = ScheduledSGD(1.2 * tuned[name][0](every), setting.momentum, batch_size)
    loss, louder = (float(predict(case.problem, m, last, case.noise).loss) for m in (method, more))
    gaps = {key: (floor + value) / free for key, (_, value) in tuned.items()}
    return BestSchedule(method, loss, name, last, rates, free, gaps, louder, limit, whose, share)


def _tuned(excess: Callable[[Any], float], make: Callable[[float, int], Any], cap: float, steps: int) -> Any:
    peak, value = best_peak(lambda rate: excess(make(rate, steps)), cap)
    return make(peak, steps), value


def _smaller_edge(case: Case, setting: SGD) -> tuple[float, str]:
    """The largest stable rate, by the noise of the answer or the data's own, and whose it is."""
    limit = edge(case.problem, setting, case.noise)
    if case.data is None:
        return limit, "the noise model"
    own = edge(case.problem, setting, case.data.measured_noise)
    return (own, "the data's measured noise") if own < limit else (limit, "the fitted noise")
