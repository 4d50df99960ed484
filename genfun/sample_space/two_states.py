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
    x = (a + r)(k_1 + beta (k_2 - k_1)), delta = beta (1 + (a + r)(k_2 - k_1)), t = 1 + delta - x,

    .. math:: \det(1 - zT_j\otimes T_k) = q(1-z\delta_j)(1-z\delta_k)(1-z\delta_j\delta_k)
              + z\,[x_jA_{jk} + x_kA_{kj} + z\delta_kx_j^2 + z\delta_jx_k^2 - (1+z^2\delta_j\delta_k)x_jx_k],

    .. math:: A_{jk} = (1-\delta_k)(1-\delta_j\delta_k) + q\,[2\delta_k(1+\delta_j) - \delta_j\delta_k(1+\delta_k)(1+z)]

    and, as the products term by term of two series (c_0 + c_1 z)/(1 - t z + delta z^2), u^0 with c = (k_1, beta (k_2 -
    k_1)) and v^0 with c = (1, -beta),

    .. math:: \frac{(c_0^2 + c_1^2z)(1-z^2\delta_j\delta_k) + c_0c_1z\,[t_j + t_k - z(\delta_jt_k + \delta_kt_j)]}
              {\det}

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
        b_j, b_k = a_j + self.pull, a_k + self.pull
        x_j, x_k = (b * (self.first + turned) for b in (b_j, b_k))
        # delta and 1 - delta, which matters where beta is close to 1; of heavy ball they are numbers, and cost nothing.
        d_j, d_k = (beta + turned * b if turned != 0.0 else beta for b in (b_j, b_k))
        c_j, c_k = ((1.0 - beta) - turned * b if turned != 0.0 else 1.0 - beta for b in (b_j, b_k))
        both = d_j * d_k
        less = c_j + d_j * c_k  # 1 - delta_j delta_k
        keeps_j, keeps_k, keeps = c_j + q * d_j, c_k + q * d_k, less + q * both
        slow_j = c_k * less + q * (2.0 * d_k * (1.0 + d_j) - both * (1.0 + d_k) * (1.0 + z))
        slow_k = c_j * less + q * (2.0 * d_j * (1.0 + d_k) - both * (1.0 + d_j) * (1.0 + z))
        bent = z * (d_k * x_j * x_j + d_j * x_k * x_k) - (1.0 + z * z * both) * (x_j * x_k)
        bottom = q * keeps_j * keeps_k * keeps + z * (x_j * slow_j + x_k * slow_k + bent)
        square = less + q * (1.0 + z) * both  # 1 - z^2 delta_j delta_k
        crossed = z * ((1.0 + d_j - x_j) * keeps_k + (1.0 + d_k - x_k) * keeps_j)
        u0 = ((self.first**2 + turned**2 * z) * square + (self.first * turned) * crossed) / bottom
        if not start:
            return u0, None, bottom
        v0 = ((1.0 + beta**2 * z) * square - beta * crossed) / bottom
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
        delta, x = self.beta + turned * b, b * (self.first + turned)
        path = keeps / (q * ((1.0 - delta) + q * delta) + (1.0 - q) * x)
        path = (1.0 + self.damped * q) * path - self.damped
        left = self.pull / b if self.pull > 0.0 else np.zeros(np.shape(b))
        return left, (1.0 - left) * path
