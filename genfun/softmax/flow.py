"""Mean and covariance of the weights over many steps, re-linearised at log-spaced steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from genfun._typing import Array, Float
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.softmax.averages import linearise
from genfun.softmax.data import SoftmaxData

SINGLE = 6
"""First steps, each with its own linearisation."""


class State(NamedTuple):
    """Gaussian weights and velocities.

    Attributes
    ----------
    mean : array, shape (2, m)
        Of the weights, and of what a step subtracts from them.
    covariance : array, shape (2, 2, m, m)
        Of both.
    """

    mean: Float[Array, "2 m"]
    covariance: Float[Array, "2 2 m m"]


class Powers(NamedTuple):
    """n steps of every mode: A^n, sum_{s<n} A^s e, and sum_{s<n} A_j^s e e^T A_k^sT, with e = (-1, 1)."""

    step: Float[Array, "2 2 m"]
    pushed: Float[Array, "2 m"]
    kicked: Float[Array, "2 2 m m"]

    def then(self, first: Powers) -> Powers:
        """The steps of `first`, then these: no division, so that it is safe where an eigenvalue is 0."""
        step = np.einsum("prm,rsm->psm", self.step, first.step)
        pushed = self.pushed + np.einsum("prm,rm->pm", self.step, first.pushed)
        return Powers(step, pushed, self.kicked + _both_sides(self.step, first.kicked))


def _both_sides(step: Float[Array, "2 2 m"], middle: Float[Array, "2 2 m m"]) -> Float[Array, "2 2 m m"]:
    """A_j M_jk A_k^T."""
    left = np.stack([step[p, 0][:, None] * middle[0] + step[p, 1][:, None] * middle[1] for p in (0, 1)])
    return np.stack([left[:, 0] * step[q, 0] + left[:, 1] * step[q, 1] for q in (0, 1)], axis=1)


class Stretch:
    r"""Consecutive steps under one linearisation.

    .. math:: \begin{pmatrix}w\\u\end{pmatrix} \to A\begin{pmatrix}w\\u\end{pmatrix} + \alpha (g + \rho w_0)
              \begin{pmatrix}-1\\1\end{pmatrix},\quad A = \begin{pmatrix}1-a & -\beta\\ a & \beta\end{pmatrix},\quad
              a = \alpha(\lambda + \rho),\quad
              C_{jk} \to A_j^n C_{jk} A_k^{nT} + \gamma\alpha^2 S_{jk}U_{jk}(n)

    from weights w about w_0, with weight decay rho.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    state : State
        At its first step.
    about : State
        Where to linearise.
    """

    def __init__(self, data: SoftmaxData, method: SGD, state: State, about: State) -> None:
        near = linearise(data, about.mean[0], about.covariance[0, 0])
        lam, self._turn = np.linalg.eigh(near.hessian)
        turn, alpha, decay = self._turn, method.learning_rate, method.weight_decay
        gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
        self._centre = about.mean[0]
        self._mean = np.stack([turn.T @ (state.mean[0] - self._centre), turn.T @ state.mean[1]])
        self._covariance = turn.T @ state.covariance @ turn
        self._force = alpha * (turn.T @ (near.gradient + decay * self._centre))
        self._noise = gamma * alpha**2 * (turn.T @ near.noise @ turn)
        a, beta = alpha * (np.maximum(lam, 0.0) + decay), np.full(lam.size, method.momentum)
        kick = np.array([-1.0, 1.0])
        one = Powers(
            step=np.array([[1.0 - a, -beta], [a, beta]]),
            pushed=np.repeat(kick[:, None], lam.size, axis=1),
            kicked=np.broadcast_to(np.outer(kick, kick)[:, :, None, None], (2, 2, lam.size, lam.size)),
        )
        self._doubled = [one]

    def after(self, n: int) -> State:
        """The state n >= 1 steps on.

        Parameters
        ----------
        n : int
        """
        while 2 ** len(self._doubled) <= n:
            self._doubled.append(self._doubled[-1].then(self._doubled[-1]))
        total: Any = None
        for j, power in enumerate(self._doubled):
            if n >> j & 1:
                total = power if total is None else power.then(total)
        mean = np.einsum("prm,rm->pm", total.step, self._mean) + total.pushed * self._force
        covariance = _both_sides(total.step, self._covariance) + total.kicked * self._noise
        turn = self._turn
        centre = np.stack([self._centre, np.zeros_like(self._centre)])
        return State(mean @ turn.T + centre, turn @ covariance @ turn.T)


def start(data: SoftmaxData) -> State:
    """The initial weights, for certain. What they have in common to all classes changes no probability.

    Parameters
    ----------
    data : SoftmaxData
    """
    m = data.n_weights
    mean = np.zeros((2, m))
    if data.initial is not None:
        mean[0] = (data.initial @ data.basis).ravel()
    return State(mean, np.zeros((2, 2, m, m)))


def boundaries(per_doubling: int, last: int) -> list[int]:
    """Steps at which stretches begin and end: 0, 1, ..., then log-spaced, of odd lengths, up to at least the last.

    Parameters
    ----------
    per_doubling : int
    last : int
    """
    steps = [0]
    while steps[-1] < last:
        t = steps[-1]
        length = 1 if t < SINGLE else max(1, int(t * (2.0 ** (1.0 / per_doubling) - 1.0)))
        # The middle of an odd number of gradients is at one of them.
        steps.append(t + length - (1 - length % 2))
    return steps


def stretches(data: SoftmaxData, method: SGD, per_doubling: int, last: int) -> Iterator[tuple[int, int, Stretch]]:
    """(first step, last step, stretch) in turn, until `last` is covered or the state is no longer finite.

    Each is linearised about its middle, which the linearisation about its beginning finds.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    per_doubling : int
        Linearisations while the step number doubles.
    last : int
    """
    steps, state = boundaries(per_doubling, last), start(data)
    for first, end in pairwise(steps):
        stretch = Stretch(data, method, state, state)
        middle = (end - first - 1) // 2
        if middle > 0:
            about = stretch.after(middle)
            if not (np.isfinite(about.mean).all() and np.isfinite(about.covariance).all()):
                return
            stretch = Stretch(data, method, state, about)
        yield first, end, stretch
        state = stretch.after(end - first)
        if not (np.isfinite(state.mean).all() and np.isfinite(state.covariance).all()):
            return
