"""A small network with minima of every sharpness: two layers of diagonal weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.data.linear import LinearData
from genfun.data.store import InMemory
from genfun.experiments.simulation.batches import step_by_step
from genfun.methods.sgd import SGD

LOST = 1e50
"""A run whose loss exceeds this has diverged."""


@dataclass(frozen=True, eq=False, repr=False)
class NetworkRuns:
    """What became of runs that started near a minimum.

    Attributes
    ----------
    loss : array, shape (runs, steps + 1)
        Full-data loss of every run; inf once it has run away.
    sharpness : array, shape (runs,)
        Largest eigenvalue of the Hessian of the minimum nearest to the last place (from its weights).

    Examples
    --------
    >>> NetworkRuns(np.array([[1.0, 2.0], [1.0, 4.0]]), np.array([3.0, 5.0]))
    NetworkRuns(2 runs, 1 steps, mean loss x 3, median sharpness 4)
    """

    loss: Float[Array, "runs t"]
    sharpness: Float[Array, " runs"]

    def __repr__(self) -> str:
        runs, length = self.loss.shape
        grown = self.loss[:, -1].mean() / self.loss[:, 0].mean()
        return (
            f"NetworkRuns({runs} runs, {length - 1} steps, mean loss x {grown:.4g}, "
            f"median sharpness {np.median(self.sharpness):.4g})"
        )


@dataclass(frozen=True)
class DiagonalNetwork:
    r"""A network of two layers of diagonal weights on whitened inputs.

    .. math:: f(x) = \sum_{j=1}^d u_j v_j x_j,\qquad y = \sum_j x_j,\qquad L = \tfrac1{2N}\sum_i (f(x_i) - y_i)^2

    Its minima u_j v_j = 1 are connected: u_j = 1/v_j = c has the curvatures c^2 + 1/c^2 across (d times) and 0 along.
    Inputs are the characters of (Z/2)^q, so that the linearised model has tau1 = tau2 = 1 exactly.

    Parameters
    ----------
    dimension : int
        d, inputs.
    n_samples : int
        N, a power of two of at least d.

    Examples
    --------
    >>> import genfun as gf
    >>> network = DiagonalNetwork(16, 32)
    >>> network.linearised(balance=2.0).problem
    LinearProblem(16 modes, lambda 4.25..4.25, initial loss 1..., n_samples=32)
    """

    dimension: int
    n_samples: int

    @property
    def inputs(self) -> Float[Array, "n d"]:
        """x_i, +1 or -1, with mean square 1 and no correlations."""
        from genfun.data.synthetic import translation_invariant

        ones = np.ones(_check.integer("dimension", self.dimension, 1))
        return translation_invariant(ones, ones, self.n_samples).eigenfeatures

    def linearised(self, balance: float) -> LinearData:
        """The data of the model linearised at the minimum u = balance, v = 1/balance, with loss 1 at the start.

        Parameters
        ----------
        balance : float
            c > 0.
        """
        c = _check.positive("balance", balance)
        sharpness = c**2 + c**-2
        lam = np.full(self.dimension, sharpness)
        coefficients = np.sqrt(2.0 / (self.dimension * lam))[:, None]
        phi = np.sqrt(sharpness) * self.inputs
        return LinearData(lam, coefficients, 0.0, self.n_samples, 0, "exact", (), InMemory(phi, phi @ coefficients))

    def run(
        self, method: SGD, balance: float, steps: int, runs: int = 100, displacement: float = 1e-6, seed: int = 0
    ) -> NetworkRuns:
        """SGD on both layers from a place beside the minimum u = balance, v = 1/balance.

        **Assumptions.** The displacement is across the valley, of equal size and random sign for every input; it is
        small, so that the run is linear until the loss has grown much.

        Parameters
        ----------
        method : SGD
            alpha, beta and b, without replacement.
        balance : float
            c > 0.
        steps : int
            Number of steps.
        runs : int
            Independent runs.
        displacement : float
            Of the product u v from 1.
        seed : int
            Of `numpy.random.SeedSequence`, with a child for each run.
        """
        _check.options(method, nesterov=False)
        c, x = _check.positive("balance", balance), self.inputs
        size = method.batch_size or self.n_samples
        # One child for each run's batches, and one for where the runs start.
        *children, first = np.random.SeedSequence(seed).spawn(_check.integer("runs", runs, 1) + 1)
        draws = step_by_step(children, self.n_samples, size, False, most=steps)
        signs = np.random.default_rng(first).choice([-1.0, 1.0], (runs, self.dimension))
        across = signs * _check.positive("displacement", displacement) / (c**2 + c**-2)
        u, v = c + across / c, 1.0 / c + across * c
        du, dv = np.zeros_like(u), np.zeros_like(v)
        loss = np.empty((runs, _check.integer("steps", steps, 1) + 1))
        loss[:, 0] = _loss(u, v)
        for t in range(1, steps + 1):
            if (lost := loss[:, t - 1] > LOST).any():
                # What has left for good is set down at rest, and its loss stays infinite.
                for weights, rest in ((u, 1.0), (v, 1.0), (du, 0.0), (dv, 0.0)):
                    weights[lost] = rest
            gradient = _gradient(x, u * v - 1.0, next(draws))
            du = method.momentum * du - method.learning_rate * v * gradient
            dv = method.momentum * dv - method.learning_rate * u * gradient
            u, v = u + du, v + dv
            loss[:, t] = np.where(lost, np.inf, _loss(u, v))
        return NetworkRuns(loss, np.where(loss[:, -1] > LOST, np.inf, (u * u + v * v).max(axis=1)))


def _loss(u: Float[Array, "runs d"], v: Float[Array, "runs d"]) -> Float[Array, " runs"]:
    """Inputs are white: half the squared error of the products."""
    return 0.5 * ((u * v - 1.0) ** 2).sum(axis=1)


def _gradient(
    x: Float[Array, "n d"], error: Float[Array, "runs d"], chosen: Int[Array, "runs b"]
) -> Float[Array, "runs d"]:
    """Of the batch loss in the products u_j v_j."""
    rows = x[chosen]
    return np.einsum("rbk,rb->rk", rows, np.einsum("rbk,rk->rb", rows, error)) / rows.shape[1]
