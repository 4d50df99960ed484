"""The loss over learning rates and momenta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.answers.max_learning_rate import noise_gain_map
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.many import losses_at
from genfun.engine.settings import Settings
from genfun.methods.base import Method
from genfun.methods.family import Family, batch_of
from genfun.noise import NoiseModel
from genfun.problems.problem import Problem


@dataclass(frozen=True, eq=False, repr=False)
class LossMap(Displayed):
    """Mean loss at one step over a grid of learning rates and momenta.

    Parameters
    ----------
    learning_rates : array, shape (r,)
        alpha.
    momenta : array, shape (m,)
        beta.
    step : int
        t.
    loss : array, shape (r, m)
        Mean loss; inf above 1e308.
    log_loss : array, shape (r, m)
        Its natural logarithm.
    error : array, shape (r, m)
        Estimated relative error.
    noise_gain : array, shape (r, m)
        U~(1); the edge of stability is its level 1.
    batch_size : int or None
        b; None means that of `method`, or the full batch.
    problem : Problem
        As asked.
    noise : SpectrallyExpressible or Noise
        As asked.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.loss_map(gf.PowerLaw(1.5, 0.5, n_modes=100), [0.1, 0.5], [0.0, 0.5], step=1000, batch_size=10)
    LossMap(2 x 2 cells at step 1000, least loss 0.00298 at learning_rate=0.5, momentum=0.5)
    """

    learning_rates: Float[Array, " r"]
    momenta: Float[Array, " m"]
    step: int
    loss: Float[Array, "r m"]
    log_loss: Float[Array, "r m"]
    error: Float[Array, "r m"]
    noise_gain: Float[Array, "r m"]
    batch_size: int | None
    problem: Problem
    noise: NoiseModel

    def __repr__(self) -> str:
        i, j = np.unravel_index(int(self.log_loss.argmin()), self.log_loss.shape)
        return (
            f"LossMap({self.loss.shape[0]} x {self.loss.shape[1]} cells at step {self.step}, least loss "
            f"{self.loss[i, j]:.3g} at learning_rate={self.learning_rates[i]:.4g}, momentum={self.momenta[j]:.4g})"
        )


def loss_map(
    problem: Problem | LinearData,
    learning_rates: Any,
    momenta: Any,
    step: int,
    batch_size: int | None = None,
    noise: NoiseChoice = None,
    method: Method | None = None,
) -> LossMap:
    r"""Mean loss at one step over a grid of learning rates and momenta.

    **Assumptions.** As for `predict`. The cost hardly depends on the step.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum.
    learning_rates : array, shape (r,)
        alpha > 0.
    momenta : array, shape (m,)
        beta in (-1, 1).
    step : int
        t >= 0.
    batch_size : int or None
        b; None means that of `method`, or the full batch.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    method : Method or None
        A method whose class and other hyperparameters are kept; None is heavy-ball SGD.

    Returns
    -------
    LossMap

    Raises
    ------
    ValueError
        If a grid value is out of range.

    References
    ----------
    arXiv 2206.11124, figure 4 (the same map by recursion).

    Examples
    --------
    >>> import genfun as gf
    >>> m = gf.loss_map(gf.LinearProblem([1.0], [2.0]), [0.5], [0.0], step=2, batch_size=1)
    >>> float(m.loss[0, 0])  # one mode, gamma tau2 = 1: (1 - a)^2 a step
    0.0625
    """
    rates, betas = _check.vector("learning_rates", learning_rates), _check.vector("momenta", momenta)
    case, family = Case.of(problem, noise=noise), Family() if method is None else Family(method)
    batch_size = batch_of(method, batch_size)
    t = _check.step("step", step, 0)
    alpha, beta = np.meshgrid(rates, betas, indexing="ij")
    gain, shape = noise_gain_map(case.problem, rates, betas, batch_size, case.noise, method), alpha.shape
    settings = Settings.of(case.problem, family, alpha.ravel(), beta.ravel(), batch_size, case.noise)
    found, error = losses_at(settings, t)
    return LossMap(
        rates,
        betas,
        t,
        found.value().reshape(shape),
        found.log().reshape(shape),
        error.reshape(shape),
        gain,
        batch_size,
        case.problem,
        case.noise,
    )
