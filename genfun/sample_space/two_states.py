"""Pairs of modes in closed form: SGD with torch's options and quasi-hyperbolic momentum, of two states each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun.methods.qhm import QHM
from genfun.methods.sgd import SGD


@dataclass(frozen=True)
class TwoStates:
    r"""All methods of the form

    .. math:: w' = w + \beta v - k_1(a + r)w,\qquad v' = \beta v - k_2(a + r)w

    in the fluctuations, with torch's undamped first step and what weight decay pulls to in the start. With
    b = a + r, kappa = k_1 + beta (k_2 - k_1), x = kappa b, delta = beta (1 + b (k_2 - k_1)), t = 1 + delta - x,
    K = 1 - z delta, P = delta_j delta_k,

    .. math:: \det(1 - zT_j\otimes T_k) = qK_jK_k(1-zP) + z\,[x_jA_{jk} + x_kA_{kj} + z\beta\kappa^2(b_j-b_k)^2
              - K_jK_kx_jx_k],\qquad A_{jk} = (1-\delta_k)(1-P) + q\,[2\delta_k(1-P) + qP(1+\delta_k)]

    and, as the products term by term of two series (c_0 + c_1 z)/(1 - t z + delta z^2), u^0 with c = (k_1, beta (k_2 -
    k_1)) and v^0 with c = (1, -beta),

    .. math:: \frac{s^2z(1-z^2P) + q\,[c_0^2K_jK_k + c_0sz(\delta_jK_k + \delta_kK_j)]
              - c_0c_1z\,(x_jK_k + x_kK_j)}{\det},\qquad s = c_0 + c_1

    whose terms do not cancel where beta is close to 1.

    A first step without the dampening d makes of g_t, with D = d/(1-d), g_t + D(g_t - g_{t-1}); weight decay makes of
    that B + (1 - B) times it, with B = r/(a + r) the part of the initial error that is left in the end.

    Attributes
    ----------
    beta : float
        Momentum.
    first, second : float
        k_1 and k_2.
    pull : float
        r, the learning rate times the weight decay.
    damped : float
        D.

    Examples
    --------
    >>> plain = TwoStates.of(SGD(0.1, 0.5, nesterov=True))
    >>> plain.first, plain.second
    (1.5, 0.5)
    """

    beta: float
    first: float
    second: float
    pull: float = 0.0
    damped: float = 0.0

    @classmethod
    def of(cls, method: Any) -> TwoStates | None:
        """Of a method that is of this form; None of any other.

        Parameters
        ----------
        method : Method
        """
        if isinstance(method, QHM):
            return cls(method.momentum, 1.0 - method.nu * method.momentum, method.nu * (1.0 - method.momentum))
        if not isinstance(method, SGD):
            return None
        beta, c, r = method.momentum, method.damping, method.learning_rate * method.weight_decay
        if method.nesterov:
            return cls(beta, 1.0 + beta, beta, r)
        return cls(beta, c, c, r, (1.0 - c) / c)

    @property
    def total(self) -> float:
        """kappa, the factor of a in a step that has been repeated for long."""
        return (1.0 - self.beta) * self.first + self.beta * self.second

    @property
    def first_noise(self) -> float:
        """Factor of the variance of the noise in the first step, which is not damped."""
        return (1.0 + self.damped) ** 2

    def moments(self, q: Any, a_j: Any, a_k: Any, start: bool = True) -> tuple[Any, Any, Any]:
        """(u0, v0, det); without `start` v0 is None.

        Parameters
        ----------
        q : float, complex or array
            1 - z.
        a_j, a_k : float or array
            Learning rate times eigenvalue, dimensionless.
        start : bool
        """
        beta, turned, z = self.beta, self.beta * (self.second - self.first), 1.0 - q
        total = self.total
        b_j, b_k = a_j + self.pull, a_k + self.pull
        x_j, x_k = b_j * total, b_k * total
        # delta and 1 - delta, which matters where beta is close to 1; of heavy ball they are numbers, and cost nothing.
        d_j, d_k = (beta + turned * b if turned != 0.0 else beta for b in (b_j, b_k))
        c_j, c_k = ((1.0 - beta) - turned * b if turned != 0.0 else 1.0 - beta for b in (b_j, b_k))
        both = d_j * d_k
        less = c_j + d_j * c_k  # 1 - delta_j delta_k
        keeps_j, keeps_k = c_j + q * d_j, c_k + q * d_k
        keeps, swapped = keeps_j * keeps_k, x_j * keeps_k + x_k * keeps_j
        slow = x_j * (c_k * less) + x_k * (c_j * less)
        slower = 2.0 * less * (x_j * d_k + x_k * d_j) + q * (both * (x_j * (1.0 + d_k) + x_k * (1.0 + d_j)))
        ridge = (beta * total * total) * (b_j - b_k) ** 2
        bottom = q * (keeps * (less + q * both) + z * slower) + z * (slow + z * ridge - keeps * (x_j * x_k))
        settled = z * (less + q * (1.0 + z) * both)  # z (1 - z^2 delta_j delta_k)
        crossed = z * (d_j * keeps_k + d_k * keeps_j)
        u0 = total * total * settled + q * self.first * (self.first * keeps + total * crossed)
        if turned != 0.0:
            u0 = u0 - (self.first * turned) * (z * swapped)
        u0 = u0 / bottom
        if not start:
            return u0, None, bottom
        kept = 1.0 - beta
        v0 = (kept * kept * settled + q * (keeps + kept * crossed) + beta * (z * swapped)) / bottom
        D = self.damped
        if D > 0.0:
            v0 = (1.0 + D * q) * v0 - D + (D * (1.0 + D)) * z * (b_j * b_k) * u0
        if self.pull > 0.0:
            (left_j, path_j), (left_k, path_k) = self._path(q, b_j), self._path(q, b_k)
            v0 = left_j * left_k / q + left_j * path_k + left_k * path_j + (1.0 - left_j) * (1.0 - left_k) * v0
        return u0, v0, bottom

    def mean(self, q: Any, a: Any) -> Any:
        """g~ = sum_t g_t z^t; arguments as in `moments`."""
        left, path = self._path(q, a + self.pull)
        return (left / q if self.pull > 0.0 else 0.0) + path

    def _path(self, q: Any, b: Any) -> tuple[Any, Any]:
        """B, and (1 - B) times the mean path of the fluctuations."""
        keeps = (1.0 - self.beta) + q * self.beta
        turned = self.beta * (self.second - self.first)
        delta, x = self.beta + turned * b, b * self.total
        path = keeps / (q * ((1.0 - self.beta) - turned * b + q * delta) + (1.0 - q) * x)
        path = (1.0 + self.damped * q) * path - self.damped
        left = self.pull / b if self.pull > 0.0 else np.zeros(np.shape(b))
        return left, (1.0 - left) * path
