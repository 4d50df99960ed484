"""For which power laws does negative momentum pay?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.answers.best.optimize import optimize
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import Problem


@dataclass(frozen=True, eq=False, repr=False)
class MomentumMap(Displayed):
    """The best momentum over power laws, and the condition for its sign.

    Parameters
    ----------
    nu : array, shape (n,)
        Capacity exponents.
    kappa : array, shape (k,)
        Exponents of the index tails of the signal, nu zeta.
    momentum : array, shape (n, k)
        The beta of least loss, found together with the learning rate.
    gain : array, shape (n, k)
        1 - loss/(least loss without momentum).
    condition : array, shape (n, k)
        log(left/right) of `sign_condition`: positive where it asks for negative momentum.
    batch_size : int
        b.
    steps : int
        T.
    n_modes : int or None
        Of the power laws.

    Examples
    --------
    >>> from genfun.answers.best.momentum_map import momentum_map
    >>> momentum_map([1.5], [1.0, 5.0], batch_size=1, steps=300, n_modes=30)
    MomentumMap(1 x 2 power laws at step 300, batch size 1: negative momentum best for 1)
    """

    nu: Float[Array, " n"]
    kappa: Float[Array, " k"]
    momentum: Float[Array, "n k"]
    gain: Float[Array, "n k"]
    condition: Float[Array, "n k"]
    batch_size: int
    steps: int
    n_modes: int | None

    def __repr__(self) -> str:
        return (
            f"MomentumMap({self.nu.size} x {self.kappa.size} power laws at step {self.steps}, "
            f"batch size {self.batch_size}: negative momentum best for {int((self.momentum < 0.0).sum())})"
        )


def sign_condition(problem: Problem, nu: float) -> float:
    r"""Whether momentum below 0 lowers the noise-dominated loss: the logarithm of left over right.

    .. math:: \Big(\sum_k\lambda_k\Big)\Big(\sum_k s_k\Big) >
              \frac{\nu-1}{\nu}\Big(\sum_k\lambda_k^2\Big)\Big(\sum_k \frac{s_k}{\lambda_k}\Big)

    **Assumptions.** Noise-dominated phase, late times, best learning rate; first order in alpha_eff lambda_max, exact
    at gamma tau2 = 1. Both sides are those that `genfun.symbolic` derives.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    nu : float
        Its capacity exponent, above 1.

    Returns
    -------
    float
        Positive where negative momentum helps; -inf where sum s/lambda is infinite.

    References
    ----------
    Derived here, see the theory page.

    Examples
    --------
    >>> import genfun as gf
    >>> sign_condition(gf.PowerLaw(1.5, 3.0), 1.5) > 0, sign_condition(gf.PowerLaw(2, 0.8, n_modes=300), 2) > 0
    (True, False)
    """
    from genfun.symbolic.arrays import array_function
    from genfun.symbolic.best_settings import noise_moment, optimum, signal_moment
    from genfun.symbolic.slow_mode import names

    if nu <= 1.0:
        raise ValueError(f"nu must be above 1, got {nu!r}; below, the noise-dominated phase does not exist")
    (sign,) = optimum(SGD).momentum.values()
    moments = (noise_moment(1), noise_moment(2), signal_moment(0), signal_moment(-1))
    signal = problem.measures()[1]
    # An infinite power law of source exponent <= 1 has an infinite sum s/lambda, which its finite measure cannot show.
    unbounded = isinstance(problem, PowerLaw) and problem.n_modes is None and problem.zeta <= 1.0
    inverse = np.inf if unbounded else float((signal.weights / signal.nodes).sum())
    left, right = array_function([sign.left, sign.right], [names().nu, *moments])(
        nu, problem.trace, problem.capacity_total, problem.signal_total, inverse
    )
    return float(np.log(left) - np.log(right))


def momentum_map(
    nu: Any,
    kappa: Any,
    batch_size: int = 1,
    steps: int = 10_000,
    n_modes: int | None = 1000,
    noise: SpectrallyExpressible = SpectrallyExpressible(),
) -> MomentumMap:
    r"""The best momentum for power laws of many exponents.

    .. math:: \beta^* = \arg\min_\beta \min_\alpha L(T;\ \alpha,\beta,b),\qquad
              \lambda_k = k^{-\nu},\quad \sum_{j\ge k}s_j = k^{-\kappa}

    **Assumptions.** As for `optimize`, which is called for every cell, at about 0.15 s each for 1,000 modes.

    Parameters
    ----------
    nu : array, shape (n,)
        Capacity exponents above 1.
    kappa : array, shape (k,)
        nu zeta > 0.
    batch_size : int
        b.
    steps : int
        T.
    n_modes : int or None
        Of the power laws; None means no truncation.
    noise : SpectrallyExpressible
        (tau1, tau2).

    Returns
    -------
    MomentumMap

    Raises
    ------
    ValueError
        If an exponent is out of range.

    References
    ----------
    arXiv 2206.11124, section 6.

    Examples
    --------
    >>> m = momentum_map([1.5], [5.0], batch_size=1, steps=300, n_modes=30)
    >>> bool(m.momentum[0, 0] < 0), bool(m.condition[0, 0] > 0)
    (True, True)
    """
    nus, kappas = _check.vector("nu", nu), _check.vector("kappa", kappa)
    if nus.min() <= 1.0:
        raise ValueError(
            f"nu must be above 1, got {float(nus.min())!r}; below, the noise-dominated phase does not exist"
        )
    shape = (nus.size, kappas.size)
    momentum, gain, condition = np.empty(shape), np.empty(shape), np.empty(shape)
    for i, j in np.ndindex(shape):
        problem = PowerLaw(float(nus[i]), float(kappas[j] / nus[i]), n_modes=n_modes)
        best = optimize(problem, batch_size, steps, noise=noise)
        momentum[i, j], gain[i, j] = best.method.momentum, best.gain
        condition[i, j] = sign_condition(problem, float(nus[i]))
    return MomentumMap(nus, kappas, momentum, gain, condition, batch_size, steps, n_modes)
