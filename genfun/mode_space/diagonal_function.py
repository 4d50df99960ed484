"""The generating function of the loss under given fourth moments: a linear system of one unknown a mode."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Bool, Float, Shaped
from genfun.engine.singularity import Singularity, mean_rate, mode_roots, searched_singularity
from genfun.engine.transform import Measures, Transform, solved_limit_error
from genfun.methods.base import Method
from genfun.mode_space.coupling import Coupling
from genfun.mode_space.diagonal_recursion import DiagonalRun
from genfun.noise import sampling_factor
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem
from genfun.sample_space.pairs import PairResponses

ENTRIES = 2_000_000
"""Of the matrices that are solved together."""


class DiagonalFunction(Transform):
    r"""The generating function of the mean loss under the diagonal of given fourth moments.

    .. math:: (I - zK)\,\tilde y = v\,s + z w\Big(\frac{E/\lambda}{1-z} - 2\,\frac{C\tilde g}{\lambda}\Big),\qquad
              K_{kl} = w_k\,\mu_{kl},\quad w_k = \gamma a_k^2 u_k,\qquad
              \tilde L = \tfrac12\Big(\sum_k\tilde y_k + \frac{\sigma^2}{1-z}\Big)

    with y_k = lambda_k E[dw_k^2], mu_kl = M_kl/(lambda_k lambda_l), and u, v the responses of a mode that is spared
    (1 - delta_k) of its own noise; delta_k is what the diagonal of mu has beyond its row (see `Coupling`), so that
    spectrally expressible moments give its noise gain.

    **Assumptions.** Those of `FourthMoments`.

    Parameters
    ----------
    noise : FourthMoments
    problem : Problem
        Of the modes of the noise.
    method : Method

    Examples
    --------
    >>> import genfun as gf
    >>> import numpy as np
    >>> G = gf.FourthMoments([[1.0]]).transform(gf.LinearProblem([1.0], [2.0]), gf.SGD(0.5, batch_size=1))
    >>> float(G.loss(np.ones(1))[0])  # z = 0: the loss before training
    1.0
    """

    def __init__(self, noise: Any, problem: Problem, method: Method) -> None:
        self.noise, self.problem, self.method = noise, problem, method
        self.gamma = sampling_factor(method.batch_size, problem.n_samples, method.replacement)
        self.coupling = Coupling.of(noise, problem)
        self._mean = PairResponses(method, 0.0)

    def __repr__(self) -> str:
        return f"DiagonalFunction({self.noise!r}, {self.problem!r}, {self.method!r})"

    @cached_property
    def _a(self) -> Float[Array, " n"]:
        return self.method.learning_rate * self.coupling.eigenvalues

    @property
    def measures(self) -> Measures:
        """Capacity and signal on every mode."""
        lam = self.coupling.eigenvalues
        nodes = SpectralMeasure.trusted(lam, lam**2)
        return nodes, nodes

    def _responses(self, q: Array) -> tuple[Array, Array, Array]:
        """w, v and S, shape (k, n)."""
        return self.coupling.responses(type(self.method), self._a, q[:, None], self.method.hyperparameters, self.gamma)

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q.

        Parameters
        ----------
        q : complex array, shape (k,)
            Extended precision is not kept.
        """
        flat = np.asarray(q)
        flat = flat.astype(np.complex128 if np.iscomplexobj(flat) else np.float64)
        rows, parts = max(1, ENTRIES // self._a.size**2), []
        for start in range(0, flat.size, rows):
            some = flat[start : start + rows]
            w, v, _ = self._responses(some)
            mean = self._mean.mean(some[:, None], self._a) if self.coupling.cross is not None else None
            parts.append(self.coupling.loss(some, w, v, mean))
        return np.concatenate(parts)

    @np.errstate(all="ignore")
    def regular(self, p: Shaped[Array, " k"]) -> tuple[Bool[Array, " k"], Shaped[Array, " k"]]:
        """Whether p lies right of every singularity, judged at p alone, and the largest eigenvalue of z K(z).

        Parameters
        ----------
        p : array, shape (k,)
            z = exp(-p).
        """
        q = -np.expm1(-p)
        w, _, S = self._responses(q)
        positive = (S > 0.0).all(axis=1)
        gain = np.full(p.size, np.inf)
        gain[positive] = self.coupling.leading((1.0 - q[positive, None]) * w[positive])
        return positive & (gain < 1.0), gain

    def known_singularity(self) -> Singularity:
        """As by values on the real axis; the mean, which label noise couples to, adds the roots of single modes."""
        found = searched_singularity(self)
        if self.coupling.cross is None or self.gamma == 0.0:
            return found
        _, roots = mode_roots(self)
        off = (np.abs(np.imag(roots)) > 1e-12 * np.abs(roots)) | (np.real(roots) < 0.0)
        largest = float(np.where(off, np.abs(roots), 0.0).max())
        single = float(np.log(largest)) if largest > 0.0 else -np.inf
        return replace(found, unresolved_rate=max(found.unresolved_rate, single))

    def floor(self) -> float:
        """The excess loss that label noise leaves in the end."""
        w, _, _ = self._responses(np.zeros(1))
        settled = self.coupling.solve(np.ones(1), w, w * self.coupling.label)
        return float(0.5 * settled.sum())

    def floor_error(self) -> float:
        """Its relative rounding error."""
        return solved_limit_error(self)

    def settling_rate(self, singular: Singularity) -> float:
        """The rate at which the floor is approached; where label noise couples to the mean, that counts as itself.

        Parameters
        ----------
        singular : Singularity
        """
        return singular.rate if self.coupling.cross is None else max(singular.rate, mean_rate(self))

    def stepper(self, phase: float, last: int) -> DiagonalRun:
        """The direct recursion.

        Parameters
        ----------
        phase : float
            Not needed: every mode is followed.
        last : int
            Largest step.
        """
        return DiagonalRun(self.coupling, self.problem, self.method)
