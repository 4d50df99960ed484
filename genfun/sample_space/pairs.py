"""The response of a method to noise and to its start, for pairs of modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.methods.base import Method
from genfun.methods.numeric import pair_responses
from genfun.sample_space.two_states import TwoStates
from genfun.scaled import EPS

SMALL_STEP = 1e-30
"""Imaginary part of a complex step: the derivative of an analytic function without any subtraction."""
CHUNK = 16_384
"""Pairs that are solved for at once."""


@dataclass(frozen=True)
class PairResponses:
    r"""Second moments of pairs of modes, from the impulse responses of the method.

    .. math:: u^0_{jk} = \sum_t h_t(\lambda_j) h_t(\lambda_k) z^t,\qquad
              v^0_{jk} = \sum_t g_t(\lambda_j) g_t(\lambda_k) z^t,\qquad
              D_{jk} = 1 + \gamma a_j a_k z\,u^0_{jk},\qquad u = u^0/D,\quad v = v^0/D

    with h_t the response of w to a unit kick and g_t that to a unit initial error, a = learning rate * eigenvalue and
    q = 1 - z, so that nothing is lost near z = 1. Heavy ball (whatever its class) in closed form,

    .. math:: S_{jk} = (1-\beta z)^2\,[q(1-\beta^2 z) + z((1+\beta)(a_j+a_k) - a_j a_k)]
              + \beta z^2 (a_j-a_k)^2 + \gamma a_j a_k z\,(1-\beta^2z^2),\qquad u = (1-\beta^2z^2)/S

    SGD with torch's options and quasi-hyperbolic momentum too (`TwoStates`), with the start that weight decay and the
    undamped first step amount to; and any other method by one small solve a pair, (I - z T_j (x) T_k) x = k (x) k.

    **Assumptions.** Constant hyperparameters. All arguments broadcast against each other; q real or complex. In closed
    form a_j and a_k may be arrays of any library whose numbers do arithmetic (torch), with a plain number for q.

    Parameters
    ----------
    method : Method
        Its update and hyperparameters; its learning rate enters only through a.
    gamma : float
        Sampling factor, dimensionless, >= 0; 0 means the full batch.

    References
    ----------
    The diagonal j = k is theorem 1 of arXiv 2206.11124, with tau2 = 1.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> pairs = PairResponses(SGD(0.1, momentum=0.5), gamma=0.0)
    >>> round(float(pairs.kick(1.0 - 1e-9, 0.3, 0.1)), 6)  # only h_0 = 1 counts at z = 0
    1.0
    """

    method: Method
    gamma: float

    @property
    def momentum(self) -> float | None:
        """beta, if the method is heavy ball; else None."""
        hyper = self.method.hyperparameters
        if len(hyper) != 1 or not -1.0 < hyper[0] < 1.0:
            return None
        beta = float(hyper[0])
        for a in (0.0, 0.7, -1.3):
            rows, kick = self.method.update(a, beta)
            if tuple(map(tuple, rows)) != ((1 - a, beta), (-a, beta)) or tuple(kick) != (1, 1):
                return None
        return beta

    @cached_property
    def closed(self) -> TwoStates | None:
        """The closed form of SGD with torch's options and of quasi-hyperbolic momentum; None of any other method."""
        return TwoStates.of(self.method) if self.momentum is None else None

    @property
    def first_noise(self) -> float:
        """Factor of the variance of the noise in the first step: above 1 with dampening, which spares that step."""
        return 1.0 if self.closed is None else self.closed.first_noise

    @property
    def decays(self) -> bool:
        """Whether weight decay leaves a bias in the end."""
        return self.closed is not None and self.closed.pull > 0.0

    def raw(self, q: Any, a_j: Any, a_k: Any) -> tuple[Any, Any]:
        """(u0, v0), without the noise that a mode is spared.

        Parameters
        ----------
        q : float, complex or array
            1 - z.
        a_j, a_k : float or array
            Learning rate times eigenvalue, dimensionless.
        """
        beta = self.momentum
        if beta is None:
            u0, v0, _ = self._solved(q, a_j, a_k)
            return u0, v0
        top, start, bottom = _heavy_ball(beta, 0.0, q, a_j, a_k)
        return top / bottom, start / bottom

    def dressed(self, q: Any, a_j: Any, a_k: Any) -> tuple[Any, Any]:
        """(u, v); arguments as for `raw`."""
        beta = self.momentum
        if beta is None:
            u0, v0, _ = self._solved(q, a_j, a_k)
            D = self._dressing(q, a_j, a_k, u0)
            return u0 / D, v0 / D
        top, start, bottom = _heavy_ball(beta, self.gamma, q, a_j, a_k)
        return top / bottom, start / bottom

    def _dressing(self, q: Any, a_j: Any, a_k: Any, u0: Any) -> Any:
        return 1.0 + self.gamma * (1.0 - q) * (a_j * a_k) * u0

    def kick(self, q: Any, a_j: Any, a_k: Any) -> Any:
        """u alone; arguments as for `raw`."""
        if self.closed is None:
            return self.dressed(q, a_j, a_k)[0]
        u0 = self.closed.moments(q, a_j, a_k, start=False)[0]
        return u0 / self._dressing(q, a_j, a_k, u0)

    def kick_and_sign(self, q: Any, a_j: Any, a_k: Any) -> tuple[Any, Any]:
        """`kick` and `positive`, by one evaluation where the pairs have a closed form; arguments as for `positive`."""
        if self.closed is None or self.momentum is not None:
            return self.kick(q, a_j, a_k), self.positive(q, a_j, a_k)
        u0, _, sign = self.closed.moments(q, a_j, a_k, start=False)
        D = self._dressing(q, a_j, a_k, u0)
        return u0 / D, sign * D > 0.0

    def kick_slopes(self, q: float, a_j: Any, a_k: Any) -> tuple[Any, Any, Any]:
        """u, d log u / dq and d log u / d log(learning rate), on the real axis.

        Parameters
        ----------
        q : float
            1 - z.
        a_j, a_k : float or array
            Learning rate times eigenvalue, dimensionless.
        """
        beta = self.momentum
        if beta is not None:
            return _heavy_ball_slopes(beta, self.gamma, q, a_j, a_k)
        u = self.kick(q, a_j, a_k)
        by_q = np.imag(self.kick(q + 1j * SMALL_STEP, a_j, a_k)) / SMALL_STEP
        turn = 1.0 + 1j * SMALL_STEP
        by_rate = np.imag(self.kick(q, a_j * turn, a_k * turn)) / SMALL_STEP
        return u, by_q / u, by_rate / u

    def mean(self, q: Any, a: Any) -> Any:
        r"""g~ = sum_t g_t(lambda) z^t, the response of the mean to a unit initial error.

        Parameters
        ----------
        q : float, complex or array
            1 - z.
        a : float or array
            Learning rate times eigenvalue, dimensionless.
        """
        beta = self.momentum
        if beta is not None:
            forgets = (1.0 - beta) + beta * q
            return forgets / (q * forgets + (1.0 - q) * a)
        if self.closed is not None:
            return self.closed.mean(q, a)
        q, a = np.broadcast_arrays(q, a)
        step, _ = self._steps(a)
        size = step.shape[-1]
        matrix = q[..., None, None] * np.eye(size) - (1.0 - q)[..., None, None] * step
        unit = np.zeros((*q.shape, size, 1), dtype=matrix.dtype)
        unit[..., 0, 0] = 1.0
        return _solve(matrix, unit)[0][..., 0, 0][()]

    def positive(self, q: Any, a_j: Any, a_k: Any) -> Any:
        r"""S > 0 for every pair: on the real axis, whether q lies right of the poles of the pairs.

        .. math:: S_{jk} = \det(1 - z\,T_j\otimes T_k)\,D_{jk}

        Parameters
        ----------
        q : float or array
            1 - z, real.
        a_j, a_k : float or array
            Learning rate times eigenvalue, dimensionless.
        """
        beta = self.momentum
        if beta is not None:
            return _heavy_ball(beta, self.gamma, q, a_j, a_k)[2] > 0.0
        if self.closed is not None:
            u0, _, sign = self.closed.moments(q, a_j, a_k, start=False)
        else:
            u0, _, sign = self._solved(q, a_j, a_k)
        return sign * self._dressing(q, a_j, a_k, u0) > 0.0

    def _steps(self, a: Array) -> tuple[Array, Array]:
        """T(a) - 1 and k. T is linear in a where a step uses the gradient once; small a then keep their digits."""
        hyper = self.method.hyperparameters
        ends = [self.method.update(x, *hyper) for x in (0.0, 1.0, 2.0)]
        at = [np.array(rows, dtype=np.float64) for rows, _ in ends]
        size = at[0].shape[0]
        kicks = [np.broadcast_to(np.asarray(x), a.shape) for x in self.method.update(a, *hyper)[1]]
        kick = np.stack(kicks, axis=-1)
        slope = at[1] - at[0]
        if np.allclose(at[2] - at[1], slope, rtol=1e-12, atol=1e-14):
            return (at[0] - np.eye(size)) + a[..., None, None] * slope, kick
        rows = self.method.update(a, *hyper)[0]
        full = np.stack([np.stack([np.broadcast_to(x, a.shape) for x in row], axis=-1) for row in rows], axis=-2)
        return full - np.eye(size), kick

    def _solved(self, q: Any, a_j: Any, a_k: Any) -> tuple[Any, Any, Any]:
        """u0, v0 and the sign of det(1 - z T_j (x) T_k) (of its real part, where q is complex), pair by pair."""
        if self.closed is not None:
            return self.closed.moments(q, a_j, a_k)
        q, a_j, a_k = np.broadcast_arrays(q, a_j, a_k)
        shape = q.shape
        flat = [x.ravel() for x in (q, a_j, a_k)]
        solve = self._eliminated if self._by_elimination else self._solve_chunk
        parts = [solve(*(x[i : i + CHUNK] for x in flat)) for i in range(0, flat[0].size, CHUNK)]
        u0, v0, sign = (np.concatenate(column).reshape(shape)[()] for column in zip(*parts, strict=True))
        return u0, v0, sign

    @cached_property
    def _by_elimination(self) -> bool:
        """Whether T is linear in a and has three states or more, so that elimination entry by entry serves."""
        ends = [np.array(self.method.update(x, *self.method.hyperparameters)[0], dtype=float) for x in (0.0, 1.0, 2.0)]
        # The solve rounds less where pairs of large steps are next to singular, and of two states it is as quick.
        return len(ends[0]) > 2 and np.allclose(ends[2] - ends[1], ends[1] - ends[0], rtol=1e-12, atol=1e-14)

    def _eliminated(self, q: Array, a_j: Array, a_k: Array) -> tuple[Array, Array, Array]:
        u0, v0, det = pair_responses(self.method.update, q, a_j, a_k, self.method.hyperparameters)
        return u0, v0, np.sign(np.real(det))

    def _solve_chunk(self, q: Array, a_j: Array, a_k: Array) -> tuple[Array, Array, Array]:
        (step_j, kick_j), (step_k, kick_k) = self._steps(a_j), self._steps(a_k)
        n, size = q.size, step_j.shape[-1]
        unit = np.eye(size)
        # T (x) T' - 1 = E (x) 1 + 1 (x) E' + E (x) E' with E = T - 1, so that no 1 is subtracted from a near 1.
        moved = (
            np.einsum("nij,kl->nikjl", step_j, unit)
            + np.einsum("ij,nkl->nikjl", unit, step_k)
            + np.einsum("nij,nkl->nikjl", step_j, step_k)
        ).reshape(n, size**2, size**2)
        matrix = q[:, None, None] * np.eye(size**2) - (1.0 - q)[:, None, None] * moved
        sides = np.zeros((n, size**2, 2), dtype=np.result_type(matrix, kick_j, kick_k))
        sides[:, :, 0] = np.einsum("ni,nk->nik", kick_j, kick_k).reshape(n, -1)
        sides[:, 0, 1] = 1.0
        found, sign = _solve(matrix, sides)
        return found[:, 0, 0], found[:, 0, 1], np.sign(np.real(sign))


def _solve(matrix: Array, sides: Array) -> tuple[Array, Array]:
    """Solutions of linear systems, and the signs of their determinants; what rounding makes singular is moved by it."""
    sign = np.linalg.slogdet(matrix)[0]
    lost = sign == 0.0
    if lost.any():
        size = np.abs(matrix).max(axis=(-2, -1), keepdims=True)
        moved = np.where(size > 0.0, EPS * size, 1.0) * np.eye(matrix.shape[-1])
        matrix = np.where(lost[..., None, None], matrix + moved, matrix)
    return np.linalg.solve(matrix, sides), sign


def _heavy_ball(beta: float, gamma: float, q: Any, a_j: Any, a_k: Any) -> tuple[Any, Any, Any]:
    """(1 - beta^2 z^2, the numerator of v, S): u = top/S, v = start/S."""
    z = 1.0 - q
    forgets = (1.0 - beta) + beta * q  # 1 - beta z
    squared = (1.0 - beta) * (1.0 + beta) + beta * beta * q  # 1 - beta^2 z
    top = forgets * ((1.0 + beta) - beta * q)
    s, p, d = a_j + a_k, a_j * a_k, a_j - a_k
    bottom = forgets * forgets * (q * squared + z * ((1.0 + beta) * s - p)) + beta * z * z * (d * d)
    if gamma > 0.0:
        bottom = bottom + gamma * z * top * p
    return top, forgets * (forgets * squared + beta * z * s), bottom


def _heavy_ball_slopes(beta: float, gamma: float, q: Any, a_j: Any, a_k: Any) -> tuple[Any, Any, Any]:
    """u and its logarithmic derivatives by q and by the logarithm of the learning rate."""
    z = 1.0 - q
    forgets = (1.0 - beta) + beta * q
    squared = (1.0 - beta) * (1.0 + beta) + beta * beta * q
    other = (1.0 + beta) - beta * q  # 1 + beta z
    top, top_slope = forgets * other, beta * (other - forgets)
    s, p, d = a_j + a_k, a_j * a_k, a_j - a_k
    inner, d = (1.0 + beta) * s - p, beta * (d * d)
    bottom = forgets * forgets * (q * squared + z * inner) + z * z * d + (gamma * z * top) * p
    by_q = (
        2.0 * beta * forgets * (q * squared + z * inner)
        + forgets * forgets * (squared + beta * beta * q - inner)
        - 2.0 * z * d
        + gamma * (z * top_slope - top) * p
    )
    by_rate = forgets * forgets * z * (inner - p) + 2.0 * z * z * d + (2.0 * gamma * z * top) * p
    return top / bottom, top_slope / top - by_q / bottom, -by_rate / bottom
