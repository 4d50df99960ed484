"""Heavy ball with the coefficients of Jacobi polynomials: twice the exponent of gradient descent on full batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.schedules.scheduled_sgd import ScheduledSGD


@dataclass(frozen=True)
class _JacobiRate:
    a: float
    b: float
    lambda_max: float

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        n, s = np.maximum(steps, 1).astype(np.float64), self.a + self.b
        later = (2.0 * n + s + 1.0) * (2.0 * n + s + 2.0) / ((n + s + 1.0) * (n + self.a + 1.0))
        return np.where(steps == 0, (s + 2.0) / (self.a + 1.0), later) / self.lambda_max


@dataclass(frozen=True)
class _JacobiMomentum:
    a: float
    b: float

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        n, s = np.maximum(steps, 1).astype(np.float64), self.a + self.b
        later = n * (n + self.b) * (2.0 * n + s + 2.0) / ((n + s + 1.0) * (2.0 * n + s) * (n + self.a + 1.0))
        return np.where(steps == 0, 0.0, later)


def jacobi_heavy_ball(zeta: float, lambda_max: float, b: float = -0.5) -> ScheduledSGD:
    r"""Full-batch heavy ball that decays as n^(-2 zeta) where gradient descent decays as n^(-zeta).

    .. math:: w_n - w^* = q_n(H)\,(w_0 - w^*),\qquad
              q_n(\lambda) = \frac{P_n^{(a,b)}(1 - 2\lambda/\lambda_{max})}{P_n^{(a,b)}(1)},\qquad a = \zeta

    .. math:: \alpha_n = \frac{(2n+a+b+1)(2n+a+b+2)}{(n+a+b+1)(n+a+1)\lambda_{max}},\qquad
              \beta_n = \frac{n\,(n+b)(2n+a+b+2)}{(n+a+b+1)(2n+a+b)(n+a+1)}

    from the three-term recurrence of the Jacobi polynomials P^(a,b) (derived), as the momentum of the last move,
    beta_n (w_n - w_(n-1)): Keras' convention; torch's momentum for it is beta_n alpha_(n-1)/alpha_n. Signal near
    lambda = 0 gives n^(-2 zeta), the bulk n^(-2a-1), an eigenvalue at lambda_max n^(-2(a-b)).

    **Assumptions.** Full batches: with mini-batch noise a momentum that tends to 1 diverges in the end. The signal
    obeys sum of s_k over lambda_k < lambda ~ lambda^zeta; until about sqrt(lambda_max/lambda_min) steps in a finite
    spectrum. No eigenvalue exceeds lambda_max.

    Parameters
    ----------
    zeta : float
        Source exponent > 0, dimensionless.
    lambda_max : float
        Largest eigenvalue > 0, or an upper bound of it.
    b : float
        Second Jacobi parameter > -1, dimensionless; at most 0 keeps the rate where lambda_max itself has signal.

    Returns
    -------
    ScheduledSGD

    Raises
    ------
    ValueError
        If zeta <= 0, lambda_max <= 0 or b <= -1.

    References
    ----------
    arXiv 2202.00992 (heavy ball with Jacobi schedules under power laws); arXiv 2206.11124, section 5.

    Examples
    --------
    >>> s = jacobi_heavy_ball(zeta=0.5, lambda_max=1.0)
    >>> rates, momenta, _ = s.at([0, 1, 1000])
    >>> rates.round(3).tolist(), momenta.round(3).tolist()
    ([1.333, 2.4, 3.996], [0.0, 0.2, 0.998])
    """
    a = _check.positive("zeta", zeta)
    top = _check.positive("lambda_max", lambda_max, "pass problem.lambda_max")
    second = _check.number("b", b)
    if second <= -1.0:
        raise ValueError(f"b must be above -1, got {second!r}; -0.5 is the usual choice")
    return ScheduledSGD(_JacobiRate(a, second, top), _JacobiMomentum(a, second), convention="keras")
