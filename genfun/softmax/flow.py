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
from genfun.softmax.krylov import small_space

SINGLE = 6
"""First steps, each with its own linearisation."""
SLOW, EDGE = 1e-8, 1e-5
"""Of what would matter in all steps, by which the slowest modes, and those at their own edge, are moved."""


class State(NamedTuple):
    """Gaussian weights and velocities.

    Attributes
    ----------
    mean : array, shape (2, m)
        Of the weights, and of what a step subtracts from them.
    covariance : array, shape (2, 2, blocks, size, size)
        Of both: one block of all weights, or one for each few features.
    """

    mean: Float[Array, "2 m"]
    covariance: Float[Array, "2 2 G s s"]

    @property
    def finite(self) -> bool:
        """Whether all of it is within the range of doubles."""
        return bool(np.isfinite(self.mean).all() and np.isfinite(self.covariance).all())


class Powers(NamedTuple):
    """n steps of every mode: A^n and sum_{s<n} A^s e, with e = (-1, 1)."""

    step: Float[Array, "2 2 G s"]
    pushed: Float[Array, "2 G s"]

    def then(self, first: Powers) -> Powers:
        """The steps of `first`, then these: no division, so that it is safe where an eigenvalue is 0."""
        step = np.einsum("pr...,rs...->ps...", self.step, first.step)
        return Powers(step, self.pushed + _one_side(self.step, first.pushed))

    def both(self, middle: Float[Array, "2 2 G s s"]) -> Float[Array, "2 2 G s s"]:
        """A_j M_jk A_k^T."""
        step, found = self.step, np.empty_like(middle)
        for p in (0, 1):
            left = [step[p, 0][..., None] * middle[0, r] + step[p, 1][..., None] * middle[1, r] for r in (0, 1)]
            for q in (0, 1):
                found[p, q] = left[0] * step[q, 0][..., None, :]
                found[p, q] += left[1] * step[q, 1][..., None, :]
        return found

    def moved(self, mean: Float[Array, "2 p"], force: Float[Array, " p"]) -> Float[Array, "2 p"]:
        """A x + U e f, of modes in a single block."""
        return _one_side(self.step[:, :, 0], mean) + self.pushed[:, 0] * force


def _one_side(step: Float[Array, "2 2 ..."], vector: Float[Array, "2 ..."]) -> Float[Array, "2 ..."]:
    return np.einsum("pr...,r...->p...", step, vector)


class Modes:
    """Steps of modes that go their own ways.

    Parameters
    ----------
    eigenvalues : array, shape (blocks, size)
    method : SGD
    """

    def __init__(self, eigenvalues: Float[Array, "G s"], method: SGD) -> None:
        self._a = a = method.learning_rate * (np.maximum(eigenvalues, 0.0) + method.weight_decay)
        self._beta = method.momentum
        self._doubled = _doubled(a, self._beta)

    def after(self, n: int) -> Powers:
        """n >= 1 steps.

        Parameters
        ----------
        n : int
        """
        return _power(self._doubled, n)

    def kicked(self, n: int) -> Float[Array, "2 2 G s s"]:
        r"""What n kicks of unit covariance between modes j and k leave, each moved by the steps after it.

        .. math:: U_{jk} = \sum_{s<n} A_j^s e e^T A_k^{sT},\qquad
                  U_{jk} - A_j U_{jk} A_k^T = R = ee^T - A_j^n ee^T A_k^{nT}

        Four equations for the four entries of U, solved by hand with sums and products of the a alone, so that slow
        modes lose nothing to 1 - r^2. Of the slowest, and of what is at its own edge, a is moved by a little of what
        would matter in n steps: that changes U by no more, and keeps what rounding leaves of R below it too.

        Parameters
        ----------
        n : int
        """
        beta, powers = self._beta, self.after(n)
        slowest, top, near = SLOW * (1.0 - beta) / n, 2.0 * (1.0 + beta), EDGE * (1.0 - beta) / n
        a = np.maximum(self._a, slowest)
        a = np.where(np.abs(a - top) < near, top - near, a)
        if (a != self._a).any():
            powers = _power(_doubled(a, beta), n)
        # A^n e - e, of which R consists: with it small where R is.
        w = -a * powers.pushed[0] - beta * powers.pushed[1]
        u = a * powers.pushed[0] - (1.0 - beta) * powers.pushed[1]
        wj, wk, uj, uk = w[..., :, None], w[..., None, :], u[..., :, None], u[..., None, :]
        wu = uk - wj - wj * uk
        uu = -uj - uk - uj * uk
        aj, ak = a[..., :, None], a[..., None, :]
        total = aj + ak
        part = aj * ak / total
        weights = (wj - beta * uj) + (wk - beta * uk) - (1.0 - beta) * wj * wk + beta * (wj * uk + uj * wk)
        side = aj * wu
        side = beta / (1.0 - beta) * (side + np.swapaxes(side, -1, -2)) + beta**2 * uu
        side += (1.0 + beta) / (1.0 - beta) * part * weights
        pivot = (1.0 - beta**2) + beta / (1.0 - beta) * total - (1.0 + beta) ** 2 / (1.0 - beta) * part
        inner = side / pivot
        found = np.empty((2, 2, *inner.shape))
        found[0, 0] = ((1.0 + beta) * inner + weights) / total
        found[0, 1] = (ak * found[0, 0] - inner + wu) / (1.0 - beta)
        found[1, 0] = np.swapaxes(found[0, 1], -1, -2)
        found[1, 1] = inner + uu
        return found


def _doubled(a: Float[Array, "G s"], beta: float) -> list[Powers]:
    """One step; `_power` appends two, four, ..."""
    both = np.full(a.shape, beta)
    pushed = np.broadcast_to(np.array([-1.0, 1.0])[:, None, None], (2, *a.shape))
    return [Powers(np.array([[1.0 - a, -both], [a, both]]), pushed)]


def _power(doubled: list[Powers], n: int) -> Powers:
    while 2 ** len(doubled) <= n:
        doubled.append(doubled[-1].then(doubled[-1]))
    total: Any = None
    for j, power in enumerate(doubled):
        if n >> j & 1:
            total = power if total is None else power.then(total)
    return total


class Stretch:
    r"""Consecutive steps under one linearisation.

    .. math:: \begin{pmatrix}w\\u\end{pmatrix} \to A\begin{pmatrix}w\\u\end{pmatrix} + \alpha (g + \rho w_0)
              \begin{pmatrix}-1\\1\end{pmatrix},\quad A = \begin{pmatrix}1-a & -\beta\\ a & \beta\end{pmatrix},\quad
              a = \alpha(\lambda + \rho),\quad
              C_{jk} \to A_j^n C_{jk} A_k^{nT} + \gamma\alpha^2 S_{jk}U_{jk}(n)

    from weights w about w_0, with weight decay rho. Where the covariance is in blocks, each has the modes of its own
    block of H; the mean has those of the whole of it, in the small space that it moves in.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    state : State
        At its first step.
    about : State
        Where to linearise.
    most : int
        Steps that will be asked for.
    """

    def __init__(self, data: SoftmaxData, method: SGD, state: State, about: State, most: int) -> None:
        near = linearise(data, about.mean[0], about.covariance[0, 0])
        if near.hessian.shape[1] == 1:
            lam, self._turn = near.hessian[:, :, 0], np.ones_like(near.hessian)
        else:
            lam, self._turn = np.linalg.eigh(near.hessian)
        back = np.swapaxes(self._turn, 1, 2)
        alpha = method.learning_rate
        gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
        self._modes = Modes(lam, method)
        self._covariance = back @ state.covariance @ self._turn
        self._noise = gamma * alpha**2 * (back @ near.noise @ self._turn)
        self._centre = np.stack([about.mean[0], np.zeros_like(about.mean[0])])
        mean, force = state.mean - self._centre, alpha * (near.gradient + method.weight_decay * about.mean[0])
        if lam.shape[0] == 1:
            self._space, self._mean_modes = self._turn[0], self._modes
        else:

            def moved(space: Float[Array, "m p"], value: Float[Array, " p"]) -> Float[Array, " m"]:
                inside = Modes(value[None], method).after(most).moved(mean @ space, force @ space)
                return space @ inside[0] - mean[0]

            self._space, value = small_space(near.product, np.column_stack((*mean, force)), moved, most)
            self._mean_modes = Modes(value[None], method)
        self._mean, self._force = mean @ self._space, force @ self._space

    def after(self, n: int) -> State:
        """The state n >= 1 steps on.

        Parameters
        ----------
        n : int
        """
        powers, turn = self._modes.after(n), self._turn
        covariance = powers.both(self._covariance)
        covariance += self._modes.kicked(n) * self._noise
        mean = self._mean_modes.after(n).moved(self._mean, self._force)
        return State(mean @ self._space.T + self._centre, turn @ covariance @ np.swapaxes(turn, 1, 2))


def start(data: SoftmaxData) -> State:
    """The initial weights, for certain. What they have in common to all classes changes no probability.

    Parameters
    ----------
    data : SoftmaxData
    """
    mean, (blocks, size) = np.zeros((2, data.n_weights)), data.blocks
    if data.initial is not None:
        mean[0] = (data.initial @ data.basis).ravel()
    return State(mean, np.zeros((2, 2, blocks, size, size)))


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
        middle, about = (end - first - 1) // 2, state
        if middle > 0:
            about = Stretch(data, method, state, state, middle).after(middle)
            if not about.finite:
                return
        stretch = Stretch(data, method, state, about, end - first)
        yield first, end, stretch
        state = stretch.after(end - first)
        if not state.finite:
            return
