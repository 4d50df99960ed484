r"""What the bounds need of a loss, and what they answer.

All start from

.. math:: \min_{k<K} E|\nabla f_k|^2 \le \frac{2\Delta}{2-L\alpha}\,\frac{1}{\sum_k\alpha_k}
          + \frac{L\sigma^2}{(2-L\alpha)\,b}\,\frac{\sum_k\alpha_k^2}{\sum_k\alpha_k}
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem

Outcome = Literal["interior", "larger batches always cost more", "limited by the samples", "unreachable"]


@dataclass(frozen=True)
class SmoothConstants:
    r"""What the bounds need of a loss.

    .. math:: |\nabla f(x)-\nabla f(y)| \le L|x-y|,\qquad E|\nabla f_i-\nabla f|^2 \le \sigma^2,\qquad
              \Delta = f(x_0)-\inf f

    Parameters
    ----------
    smoothness : float
        L > 0.
    gradient_noise : float
        sigma^2 >= 0, of one sample.
    gap : float
        Delta > 0.

    Examples
    --------
    >>> import genfun as gf
    >>> SmoothConstants.from_problem(gf.LinearProblem([1.0, 0.5], [1.0, 1.0]))
    SmoothConstants(smoothness=1.0, gradient_noise=1.5, gap=1.0)
    """

    smoothness: float
    gradient_noise: float
    gap: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "smoothness", _check.positive("smoothness", self.smoothness))
        object.__setattr__(self, "gradient_noise", _check.nonnegative("gradient_noise", self.gradient_noise))
        object.__setattr__(self, "gap", _check.positive("gap", self.gap))

    @classmethod
    def from_problem(cls, problem: Problem, noise: SpectrallyExpressible = SpectrallyExpressible()) -> SmoothConstants:
        r"""Of a linear problem at its start.

        .. math:: L = \lambda_{max},\quad \Delta = \tfrac12\sum_k s_k,\quad
                  \sigma^2 = \tau_1\mathrm{Tr}(H)\sum_k s_k - \tau_2\sum_k\lambda_k s_k + \sigma_y^2\,\mathrm{Tr}\,H

        **Assumptions.** The gradient noise is that of the start, which bounds it only as long as the loss stays below
        its start. sigma_y^2 is the label noise.

        Parameters
        ----------
        problem : LinearProblem or PowerLaw
            With a finite trace.
        noise : SpectrallyExpressible
            (tau1, tau2).

        Raises
        ------
        ValueError
            If the trace is infinite or there is no signal.
        """
        if not math.isfinite(problem.trace):
            raise ValueError("problem has an infinite trace, so that its gradient noise has no bound; set n_modes")
        signal = problem.measures()[1]
        total, weighted = float(signal.weights.sum()), float(signal.weights @ signal.nodes)
        spread = noise.tau1 * problem.trace * total - noise.tau2 * weighted + problem.noise_variance * problem.trace
        return cls(problem.lambda_max, spread, 0.5 * total)


@dataclass(frozen=True)
class BatchChoice:
    """The batch size of least samples under a bound.

    Parameters
    ----------
    batch_size : float
        b; nan if there is none.
    steps, samples : float
        K(b) and K(b) b there.
    outcome : str
        "interior", "larger batches always cost more" (least at b = 1), "limited by the samples" (least at b = N) or
        "unreachable" (no b <= N reaches the accuracy).
    """

    batch_size: float
    steps: float
    samples: float
    outcome: Outcome


@dataclass(frozen=True, repr=False)
class StepsBound:
    """Steps that are enough, as a function of the batch size.

    Parameters
    ----------
    name : str
        Which bound.
    formula : str
        K(b) in plain text.
    critical_batch_size : float
        b*, of least samples without regard to N; nan where samples only grow with b.
    law : callable
        b -> K(b), arrays, inf where the bound is never met.
    constants : dict of str to float
        What enters the formula.

    Examples
    --------
    >>> from genfun.answers.batch.bounds import constant_rate_bound
    >>> bound = constant_rate_bound(SmoothConstants(1.0, 50.0, 1.0), learning_rate=0.1, accuracy=0.05)
    >>> bound
    StepsBound(constant rate: at most C1 b/(e b - C2) steps, fewest samples at batch size 105.3)
    >>> bound.choose(n_samples=50).outcome
    'unreachable'
    """

    name: str
    formula: str
    critical_batch_size: float
    law: Callable[[Array], Array]
    constants: dict[str, float]

    def __repr__(self) -> str:
        star = self.critical_batch_size
        least = (
            f"fewest samples at batch size {star:.4g}" if math.isfinite(star) else "samples only grow with the batch"
        )
        return f"StepsBound({self.name}: at most {self.formula} steps, {least})"

    def steps(self, batch_sizes: Any) -> Float[Array, "..."]:
        """K(b); inf where no number of steps meets the accuracy.

        Parameters
        ----------
        batch_sizes : array
            b > 0, any shape.
        """
        b = np.asarray(batch_sizes, dtype=np.float64)
        if b.size == 0 or not (b > 0.0).all():
            raise ValueError(f"batch_sizes must be positive, got {batch_sizes!r}; pass numbers of samples")
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(self.law(b), dtype=np.float64)

    def samples(self, batch_sizes: Any) -> Float[Array, "..."]:
        """K(b) b, the stochastic first-order oracle complexity.

        Parameters
        ----------
        batch_sizes : array
            b > 0, any shape.
        """
        return np.asarray(self.steps(batch_sizes) * np.asarray(batch_sizes, dtype=np.float64))

    def choose(self, n_samples: int | None = None) -> BatchChoice:
        """The batch size in 1..N of least samples.

        **Assumptions.** K(b) b has one minimum, as for every bound of this module.

        Parameters
        ----------
        n_samples : int or None
            N; None means no limit.
        """
        top = math.inf if n_samples is None else float(_check.integer("n_samples", n_samples, 1))
        star = self.critical_batch_size
        b = 1.0 if math.isnan(star) else min(max(star, 1.0), top)
        k = float(self.steps(b)) if math.isfinite(b) else math.inf
        if not math.isfinite(k):
            return BatchChoice(math.nan, math.inf, math.inf, "unreachable")
        outcome: Outcome = "interior"
        if math.isnan(star) or star <= 1.0:
            outcome = "larger batches always cost more"
        elif star > top:
            outcome = "limited by the samples"
        return BatchChoice(b, k, k * b, outcome)


def checked(constants: SmoothConstants, learning_rate: float, accuracy: float) -> tuple[float, float, float]:
    """Learning rate, L alpha and accuracy, validated.

    Parameters
    ----------
    constants : SmoothConstants
    learning_rate, accuracy : float
    """
    rate = _check.positive("learning_rate", learning_rate)
    product = constants.smoothness * rate
    if product >= 2.0:
        raise ValueError(f"learning_rate must lie below 2/L = {2.0 / constants.smoothness:.6g}, got {rate!r}; lower it")
    return rate, product, _check.positive("accuracy", accuracy, "it is the square of the gradient to be reached")
