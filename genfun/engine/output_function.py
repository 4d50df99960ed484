"""The generating function of a method with a start and an output of its own: averages, weight decay, dampening."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from genfun._typing import Array, Bool, Float, Shaped
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.output_recursion import OutputRecursion, second_moment_tables
from genfun.engine.singularity import Singularity, mean_rate, mode_roots, off_axis, searched_singularity, update_roots
from genfun.engine.transform import Measures, Transform, residue, solved_limit_error
from genfun.methods.system import System, system_of
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem

NEXT_TO_ONE = 1e-100
"""1 - z where the end is looked at: smaller than any decay, yet no pole."""
CHUNK = 30_000
"""Points times modes that are solved for at once."""


class OutputFunction(Transform):
    r"""L~(z) of a `System`, by one small solve a mode.

    .. math:: D = \frac{\tau_1 V + \sigma^2/(1-z)}{1 - \tau_1 z U},\qquad
              c_o = s\,v_o + z\gamma\,u_o\,(\alpha^2\lambda^2 c\,D - \tau_2 a^2 c_w),\qquad
              \tilde L = \tfrac12\textstyle\sum c_o + \frac{\sigma^2/2}{1-z}

    with c_w = (s v_0 + z gamma alpha^2 lambda^2 c u_0 D)/(1 + gamma tau2 a^2 z u_0), responses u to a unit kick and v
    to the start, of w (index 0) and of the output (o). A first step with f times the noise adds
    (f - 1)(tau1 sum s + sigma^2) to D and -(f - 1) z gamma tau2 a^2 u to every v.

    **Assumptions.** Spectrally expressible noise.

    Parameters
    ----------
    problem : Problem
    method : Method or Averaged
        Any whose `system_of` is known.
    noise : SpectrallyExpressible
    measures : (SpectralMeasure, SpectralMeasure), optional
        Capacity and signal measures to use instead of the problem's.
    label_noise : float, optional
        sigma^2 of the output; default that of the problem.

    Examples
    --------
    >>> import genfun as gf
    >>> method = gf.Averaged(gf.SGD(0.5), "ema", decay=0.5)
    >>> G = OutputFunction(gf.LinearProblem([1.0], [2.0]), method, gf.SpectrallyExpressible())
    >>> G.stepper(1.0, 2).losses(2).value()  # w = 1, 1/2, 1/4 times sqrt(2); the average 1, 3/4, 1/2
    array([1.    , 0.5625, 0.25  ])
    """

    by_roots = True

    def __init__(
        self,
        problem: Problem,
        method: Any,
        noise: SpectrallyExpressible,
        measures: Measures | None = None,
        label_noise: float | None = None,
    ) -> None:
        self.problem, self.method, self.noise_model = problem, method, noise
        self.system: System = system_of(method)
        self.inner = GeneratingFunction(problem, self.system.inner, noise, measures)
        self.gamma, self.most_turned = self.inner.gamma, self.inner.most_turned
        self.label_noise = problem.noise_variance if label_noise is None else label_noise
        # A sum of weights never settles; weight decay keeps one state, what it pulls to.
        self.levels = self.system.kept.count(1.0) == (self.system.decay > 0.0)
        self._tables = second_moment_tables(self.system)

    def __repr__(self) -> str:
        return f"OutputFunction({self.problem!r}, {self.method!r}, {self.noise_model!r})"

    @property
    def turning(self) -> float:
        """That of the weights themselves."""
        return self.inner.turning

    @property
    def measures(self) -> Measures:
        """Those of the fluctuations."""
        return self.inner.measures

    @property
    def memory(self) -> float:
        """1 - the largest modulus of what is remembered apart from w itself and what is kept for ever."""
        return min([self.inner.memory, *(1.0 - x for x in self.system.kept if x < 1.0)])

    def regular(self, p: Shaped[Array, " k"]) -> tuple[Bool[Array, " k"], Shaped[Array, " k"]]:
        """Those of the fluctuations: a pull and an average have no part in stability.

        Parameters
        ----------
        p : array, shape (k,)
            z = exp(-p).
        """
        return self.inner.regular(p)

    def known_singularity(self) -> Singularity:
        """That of the fluctuations; the contour stays right of what the further states keep."""
        found = searched_singularity(self.inner)
        kept = [2.0 * np.log(x) for x in self.system.kept if x > 0.0]
        a, _ = mode_roots(self.inner)
        outside = off_axis(update_roots(np.moveaxis(self.system.rows(a), 0, -1), a.shape)).max()
        unresolved = max(float(np.log(outside)) if outside > 0.0 else -np.inf, found.unresolved_rate)
        return replace(found, shift=max([found.shift, *kept]), unresolved_rate=unresolved)

    def floor(self) -> float:
        """The excess loss in the end: the bias of weight decay, and what label noise and the bias keep moving."""
        (capacity, signal), noise = self.measures, self.noise_model
        alpha, q = self.method.learning_rate, np.array([NEXT_TO_ONE])
        bias = signal.weights * self.system.bias(signal.nodes) ** 2
        a = alpha * signal.nodes
        u0, uo, _, _ = (x[0] for x in self.responses(q, a))
        spared = self.gamma * noise.tau2 * a * a
        start, output = bias @ (1.0 / (1.0 + spared * u0)), bias @ (1.0 - spared * uo / (1.0 + spared * u0))
        a = alpha * capacity.nodes
        u0, uo, _, _ = (x[0] for x in self.responses(q, a))
        weights = self.gamma * alpha * alpha * capacity.weights / (1.0 + self.gamma * noise.tau2 * a * a * u0)
        drive = (noise.tau1 * start + self.problem.noise_variance) / (1.0 - noise.tau1 * (weights @ u0))
        return 0.5 * float(output + (weights @ uo) * drive)

    def limit(self) -> float:
        """The loss in the end."""
        return residue(self)

    def floor_error(self) -> float:
        """The relative rounding error of the limit."""
        return solved_limit_error(self)

    @property
    def has_limit(self) -> bool:
        """Whether label noise or the bias of weight decay is left in the end."""
        return self.system.decay > 0.0 or (self.problem.noise_variance > 0.0 and self.gamma > 0.0)

    def settling_rate(self, singular: Singularity) -> float:
        """The slowest of the fluctuations, what an average keeps, and with a bias the mean path itself.

        Parameters
        ----------
        singular : Singularity
        """
        biased = self.system.decay > 0.0
        kept = [(1.0 if biased else 2.0) * np.log(x) for x in self.system.kept if 0.0 < x < 1.0]
        return max(singular.rate, *(float(x) for x in kept), *([mean_rate(self.inner)] if biased else []), -np.inf)

    def narrowed(self, step: float) -> OutputFunction:
        """The same function with modes that have hardly moved by `step` merged.

        Parameters
        ----------
        step : float
        """
        return self.on(self.inner.lumped(self.measures, step))

    @property
    def keeps(self) -> bool:
        """Whether label noise, or what a further state keeps, outlasts the modes."""
        return self.problem.noise_variance > 0.0 or bool(self.system.kept)

    def resolved(self, turned: float, step: float) -> OutputFunction:
        """The same function of the full spectrum, or of narrow bins.

        Parameters
        ----------
        turned : float
            Radians by which modes have turned.
        step : float
        """
        return self.on(self.inner.lumped(self.inner.fine(turned), step))

    def on(self, measures: Measures) -> OutputFunction:
        """The same function of other measures.

        Parameters
        ----------
        measures : (SpectralMeasure, SpectralMeasure)
        """
        return OutputFunction(self.problem, self.method, self.noise_model, measures, self.label_noise)

    def stepper(self, phase: float, last: int) -> OutputRecursion:
        """The direct recursion.

        Parameters
        ----------
        phase : float
            See `GeneratingFunction.fine`.
        last : int
        """
        measures = self.inner.lumped(self.inner.fine(phase), float(max(last, 1)))
        return OutputRecursion(self.system, self.inner.on(measures), self.label_noise)

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        rows = max(1, CHUNK // max(x.nodes.size for x in self.measures))
        return np.concatenate([self._chunk(q[i : i + rows]) for i in range(0, q.size, rows)])

    def _chunk(self, q: Array) -> Array:
        (capacity, signal), z = self.measures, 1.0 - q
        alpha, noise, sigma2 = self.method.learning_rate, self.noise_model, self.problem.noise_variance
        extra = self.system.first_noise - 1.0
        a = alpha * signal.nodes
        u0, uo, v0, vo = self.responses(q, a)
        spared = (self.gamma * noise.tau2) * z[:, None] * (a * a)
        dressed = (v0 - extra * spared * u0) / (1.0 + spared * u0)
        V = dressed @ signal.weights
        output = (vo - spared * uo * (dressed + extra)) @ signal.weights
        if self.gamma > 0.0:
            if capacity.nodes is not signal.nodes:
                a = alpha * capacity.nodes
                u0, uo, _, _ = self.responses(q, a)
                spared = (self.gamma * noise.tau2) * z[:, None] * (a * a)
            weights, scale = capacity.weights, self.gamma * alpha * alpha * z
            U, Uo = (scale * ((u / (1.0 + spared * u0)) @ weights) for u in (u0, uo))
            first = extra * (noise.tau1 * self.problem.signal_total + sigma2)
            V = V + U * first
            drive = (noise.tau1 * V + sigma2 / q) / (1.0 - noise.tau1 * U)
            output = output + Uo * (drive + first)
        return 0.5 * (output + self.label_noise / q)

    def driven(
        self,
        q: Shaped[Array, " k"],
        nodes: Float[Array, " n"],
        signal: Float[Array, " n"],
        power: Shaped[Array, "k n"],
        first: Float[Array, " n"],
    ) -> Shaped[Array, " k"]:
        r"""L~ where the noise that every mode receives is known, as of data: modes are then not coupled.

        .. math:: \tilde L = \tfrac12\sum_k\Big\{s_k\,[v_o - z\gamma a_k^2u_o\,v_w/D]
                  + z\gamma\alpha^2\,\lambda_kQ_{kk}\,u_o/D\Big\} + \frac{\sigma^2/2}{1-z},\qquad
                  D = 1 + z\gamma a_k^2u_w

        Parameters
        ----------
        q : array, shape (k,)
            1 - z.
        nodes, signal : array, shape (n,)
            Eigenvalues and their signal.
        power : array, shape (k, n)
            lambda_k Q_kk, with Q_kk the mean over samples of phi_k^2 times the squared residual.
        first : array, shape (n,)
            The same at the start.
        """
        a, alpha = self.method.learning_rate * nodes, self.method.learning_rate
        u, uo, v, vo = self.responses(q, a)
        z = (1.0 - q)[:, None]
        spared, extra = self.gamma * z * (a * a), self.system.first_noise - 1.0
        began = (v - extra * spared * u) / (1.0 + spared * u)
        total = (vo - spared * uo * (began + extra)) @ signal
        kicked = (self.gamma * alpha**2) * (z * (power + extra * first) * uo / (1.0 + spared * u)).sum(axis=1)
        return 0.5 * (total + kicked + self.label_noise / q)

    def responses(self, q: Array, a: Array) -> tuple[Array, ...]:
        """(u_0, u_o, v_0, v_o), each of shape (points, modes).

        Parameters
        ----------
        q : array, shape (points,)
            1 - z.
        a : array, shape (modes,)
            Learning rate times eigenvalue, dimensionless.
        """
        table, kick, start, places = self._tables
        size, z = kick.size, (1.0 - q)[:, None]
        powers = [np.ones_like(a), a, a * a]

        def polynomial(coefficients: Array) -> Any:
            return sum(c * x for c, x in zip(coefficients, powers, strict=True)) if coefficients.any() else None

        M: list[list[Any]] = [[polynomial(table[:, i, j]) for j in range(size)] for i in range(size)]
        for i in range(size):
            for j in range(size):
                M[i][j] = None if M[i][j] is None else z * M[i][j]
            M[i][i] = q[:, None] + (0.0 if M[i][i] is None else M[i][i])
        sides: list[list[Any]] = [[kick[i], polynomial(start[:, i])] for i in range(size)]
        # From the last state up: an average acts on nothing else, and what is slow, w, becomes the last pivot.
        for p in range(size - 1, 0, -1):
            for i in range(p):
                if M[i][p] is None:
                    continue
                factor = M[i][p] / M[p][p]
                for j in range(p):
                    if M[p][j] is not None:
                        M[i][j] = (0.0 if M[i][j] is None else M[i][j]) - factor * M[p][j]
                sides[i] = [
                    (0.0 if x is None else x) - factor * (0.0 if y is None else y)
                    for x, y in zip(sides[i], sides[p], strict=True)
                ]
        found: list[list[Any]] = []
        for p in range(size):
            total = [0.0 if x is None else x for x in sides[p]]
            for j in range(p):
                if M[p][j] is not None:
                    total = [x - M[p][j] * y for x, y in zip(total, found[j], strict=True)]
            found.append([x / M[p][p] for x in total])
        shape, w, o = (q.size, a.size), *places
        parts = (found[w][0], found[o][0], found[w][1], found[o][1])
        return tuple(np.broadcast_to(x, shape) for x in parts)
