"""The generating function of the loss of data under their own noise, projected on a few vectors of sample space."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun import _check
from genfun._threads import on_one_thread
from genfun._typing import Array, Float, Int, Shaped
from genfun.engine.output_function import NEXT_TO_ONE
from genfun.engine.singularity import mean_rate
from genfun.engine.tall_contour import USUAL
from genfun.engine.transform import Measures, Transform, solved_limit_error
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem
from genfun.sample_space.elimination import first_solutions
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.few_pairs import FewPairs
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.projection import PairMeasure, symmetric, weighted

if TYPE_CHECKING:
    from genfun.engine.contour_curve import LossCurve
    from genfun.engine.singularity import Singularity
    from genfun.sample_space.measured import MeasuredNoise
    from genfun.sample_space.projected_curve import CurveSteps

CHUNK = 16_384
"""Points times pairs evaluated together where every pair is looked at, so that all working arrays stay in the cache."""

KEPT = 10_000
"""Points whose sums are kept, for the same function on fewer vectors."""

MOST_STEPS = 128
"""Steps of a curve that is kept, at most."""


class ProjectedFunction(Transform):
    r"""L~(z) with the noise of the data: everything projected on the vectors X of a `MeasuredNoise`.

    .. math:: \tilde L(z) = \frac{1}{2\sqrt N}\,x_1(z),\qquad (I - zK(z))\,x = X^T\tilde b(z),\qquad
              K = X^T A(z) X

    With the source S of the exact mean path, :math:`\tilde b = S - zW` and :math:`x = X^TS + y`,
    :math:`(I-zK)\,y = z\,(K X^TS - X^T W)`: since 1 is in X this is the loss of the exact mean path plus a noise part
    that only the projection approximates.

    **Assumptions.** Batches drawn anew at every step, w_0 = 0. The problem is that of the data the noise is of.

    Parameters
    ----------
    noise : MeasuredNoise
        The measured noise of the data.
    problem : Problem
        Of the same data.
    method : Method
        Learning rate, batch size and update.
    few : bool
        Whether sums may be taken over few pairs where those serve.

    Raises
    ------
    ValueError
        If the batch is larger than the training set, or the problem has another number of samples.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.sample_space.measured import measure_noise
    >>> d = gf.LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])
    >>> F = ProjectedFunction(measure_noise(d), d.problem, gf.SGD(0.1, batch_size=1))
    >>> round(F(0.0), 12)  # L(0)
    1.25
    """

    by_roots = True
    spacing = USUAL

    def __init__(self, noise: MeasuredNoise, problem: Problem, method: Method, few: bool = True) -> None:
        if problem.n_samples != noise.n_samples:
            raise ValueError(
                f"problem must be that of the data whose noise was measured, with n_samples={noise.n_samples}, "
                f"got {problem.n_samples}"
            )
        _check.rates(method.learning_rate, problem.lambda_max)
        self.noise, self.problem, self.method = noise, problem, method
        self.gamma = sampling_factor(method.batch_size, noise.n_samples, method.replacement)
        self.responses = PairResponses(method, self.gamma)
        # The bias of weight decay is approached more slowly than the floor of label noise.
        self.levels = not self.responses.decays
        self.setting = (self.responses.momentum, self.gamma, method.learning_rate)
        self._sum_over(noise.pairs_for(method) if few else FewPairs(noise.pairs))
        self._kept: dict[Any, tuple[Array, Array]] = {}
        self._larger: ProjectedFunction | None = None
        self._singular: Singularity | None = None
        self.reached = 0
        """Last step that the circle served, from which on the hyperbola does."""

    def _sum_over(self, few: FewPairs) -> None:
        self.few, self.pairs = few, few.pairs
        self._heavy = HeavyBallPairs(self.pairs) if self.responses.momentum is not None else None

    def on_all_pairs(self) -> ProjectedFunction:
        """The same function, its sums over all pairs of the noise."""
        whole = copy(self)
        vars(whole).pop("_rates", None)
        whole._sum_over(FewPairs(self.noise.pairs))
        if self._larger is not None:
            whole._larger = self._larger.on_all_pairs()
        return whole

    def on_first(self, noise: MeasuredNoise) -> Transform:
        """The same function on the first of its vectors: its sums are some of those that this one took, and kept.

        Parameters
        ----------
        noise : MeasuredNoise
            That on the first vectors.
        """
        smaller = ProjectedFunction(noise, self.problem, self.method, few=False)
        few = self.pairs if self.pairs is not self.noise.pairs else None
        smaller._sum_over(replace(self.few, pairs=few.on_first(noise.pairs.size)) if few else FewPairs(noise.pairs))
        smaller._larger, smaller.reached = self, self.reached
        return smaller

    def __repr__(self) -> str:
        return f"ProjectedFunction({self.noise!r}, {self.problem!r}, {self.method!r})"

    def known_singularity(self) -> Singularity:
        """The dominant singularity: the largest real p at which an eigenvalue of zK(z) is 1.

        On the first vectors alone that lies no further right than on all, which serves, at the same points.
        """
        from genfun.sample_space.projected_curve import projected_singularity

        if self._larger is not None:
            return self._larger.known_singularity()
        if self._singular is None:
            found: Singularity = self.noise.once(self._key, lambda: projected_singularity(self))
            self._singular = found
        return self._singular

    @property
    def _key(self) -> tuple[Any, ...]:
        """What the function depends on beside its noise."""
        return type(self), self.method, self.pairs is self.noise.pairs, self.problem.noise_variance

    def known_curve(self, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
        """Mean losses at ascending steps; see `genfun.sample_space.projected_curve`.

        Parameters
        ----------
        steps : array, shape (t,)
            Ascending, without repeats.
        singular : Singularity
        """
        from genfun.sample_space.projected_curve import projected_curve

        if self._larger is not None or self.gamma == 0.0 or singular is not self._singular or steps.size > MOST_STEPS:
            return projected_curve(self, steps, singular)
        # An answer in words, or a search that ends where another did, asks again for what was found.
        key = ("curve", *self._key, steps.tobytes())
        return self.noise.once(key, lambda: projected_curve(self, steps, singular))

    def stepper(self, phase: float, last: int) -> CurveSteps:
        """The losses one after the other.

        Parameters
        ----------
        phase : float
            Not needed: every pair is followed.
        last : int
            Not needed: the curve serves any step.
        """
        from genfun.sample_space.projected_curve import CurveSteps

        return CurveSteps(self)

    def floor(self) -> float:
        """The excess loss in the end: what label noise leaves, and the bias of weight decay."""
        q = np.full(1, NEXT_TO_ONE)
        kernel, source = self.parts(q)
        left = source[0] * q if self.responses.decays else self.noise.pairs.floor
        settled = np.linalg.solve(np.eye(kernel.shape[1]) - kernel[0], left)
        return float(settled[0] / (2.0 * np.sqrt(self.noise.n_samples))) - 0.5 * self.problem.noise_variance

    @property
    def decays(self) -> bool:
        """Whether weight decay leaves a bias in the end."""
        return self.responses.decays

    def settling_rate(self, singular: Singularity) -> float:
        """The rate at which the floor is approached: with label noise the mean path counts as itself, not squared.

        Parameters
        ----------
        singular : Singularity
        """
        return max(singular.rate, mean_rate(self))

    def floor_error(self) -> float:
        """Its relative rounding error."""
        return solved_limit_error(self)

    @cached_property
    def _nodes(self) -> SpectralMeasure:
        nodes = self.noise.pairs.nodes
        return SpectralMeasure.trusted(nodes.copy(), np.ones_like(nodes))

    @property
    def measures(self) -> Measures:
        """The nodes of the pairs, twice, for the search of singularities."""
        return self._nodes, self._nodes

    @property
    def keeps(self) -> bool:
        """Whether label noise or the pull of weight decay never fades."""
        return self.problem.noise_variance > 0.0 or self.decays

    @cached_property
    def _rates(self) -> tuple[Array, Array, Array]:
        pairs, alpha = self.pairs, self.method.learning_rate
        return alpha * pairs.nodes, alpha * pairs.nodes[pairs.first], alpha * pairs.nodes[pairs.second]

    def __call__(self, z: Any) -> Any:
        """L~(z).

        Parameters
        ----------
        z : complex, any shape
        """
        array = np.asarray(z)
        flat = array.ravel().astype(np.result_type(array.dtype, np.float64))
        result = self.loss(1.0 - flat).reshape(array.shape)
        return result.item() if array.ndim == 0 else result

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q; giving q loses nothing where z is close to 1.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        kernel, source = self._packed(q)
        return first_solutions(kernel, source, 1.0 - q) / (2.0 * np.sqrt(self.noise.n_samples))

    def residuals(self, q: Shaped[Array, " k"]) -> Shaped[Array, "k m"]:
        """x = X^T p~ at z = 1 - q, the squared residuals of the weights.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        kernel, source = self.parts(q)
        matrix = np.eye(kernel.shape[1]) - (1.0 - q)[:, None, None] * kernel
        return np.linalg.solve(matrix, source[:, :, None])[:, :, 0]

    @np.errstate(all="ignore")
    def parts(self, q: Shaped[Array, " k"]) -> tuple[Shaped[Array, "k m m"], Shaped[Array, "k m"]]:
        """K and X^T b at z = 1 - q.

        Parameters
        ----------
        q : real or complex array, shape (k,)
        """
        kernel, source = self._packed(q)
        return symmetric(kernel, self.pairs.size), source.T

    def _packed(self, q: Array) -> tuple[Array, Array]:
        """The same, K as upper triangles and the points along the last axis."""
        if self._larger is not None:
            kernel, source = self._larger._packed(q)
            return kernel[self._larger.pairs.among_first(self.pairs.size)], source[: self.pairs.size]
        key = (self.pairs is self.noise.pairs, q.tobytes())
        if key not in self._kept:
            if sum(kernel.shape[1] for kernel, _ in self._kept.values()) > KEPT:
                self._kept.clear()
            self._kept[key] = self._summed(q)
        return self._kept[key]

    @on_one_thread
    def _summed(self, q: Array) -> tuple[Array, Array]:
        if self._heavy is not None:
            sums, _ = self._heavy.sums(q, *self.setting)
            return self._heavy.kernel(sums, q, *self.setting), self._heavy.source(sums, q, *self.setting)
        pairs, (a, a_j, a_k) = self.pairs, self._rates
        kernel, source = [], []
        rows = max(1, CHUNK // pairs.first.size)
        for start in range(0, q.size, rows):
            some = q[start : start + rows]
            u, v = self.responses.dressed(some, a_j[:, None], a_k[:, None])
            sums = self._scale * weighted(pairs.kernel, u)
            kernel.append(sums)
            part = weighted(pairs.source, v)
            extra = self.responses.first_noise - 1.0
            if extra > 0.0:
                began = symmetric(sums, pairs.size) @ self._start
                spared = self.gamma * weighted(pairs.source, (a_j * a_k)[:, None] * u)
                part = part + extra * (1.0 - some) * (began.T - spared)
            if pairs.floor[0] > 0.0:
                part = part + pairs.modes @ self.responses.mean(some, a[:, None])
                part = part + np.multiply.outer(pairs.floor, 1.0 / some)
            source.append(part)
        return np.concatenate(kernel, axis=1), np.concatenate(source, axis=1)

    @on_one_thread
    def sums(self, measure: PairMeasure, q: Shaped[Array, " k"]) -> tuple[Array, Array]:
        """gamma alpha^2 u and v summed over all pairs with other weights.

        Parameters
        ----------
        measure : PairMeasure
            The weights, on the pairs of the noise.
        q : array, shape (k,)
            1 - z.
        """
        a_j, a_k = (
            self.method.learning_rate * measure.nodes[index][:, None] for index in (measure.first, measure.second)
        )
        u, v = self.responses.dressed(q, a_j, a_k)
        return self._scale * weighted(measure.kernel, u), weighted(measure.source, v)

    @cached_property
    def _start(self) -> Float[Array, " m"]:
        """X^T of the squared residuals at the start."""
        pairs = self.noise.pairs
        return pairs.source.sum(axis=1) + pairs.modes.sum(axis=1) + pairs.floor

    @property
    def _scale(self) -> float:
        return self.gamma * self.method.learning_rate**2

    @on_one_thread
    @np.errstate(all="ignore")
    def real_kernel(self, q: Float[Array, " k"]) -> tuple[Array, Float[Array, " k"]]:
        """On the real axis: whether S > 0 for every pair, and the largest eigenvalue of K.

        Parameters
        ----------
        q : array, shape (k,)
            1 - z.
        """
        if self._heavy is not None:
            sums, least = self._heavy.sums(q, *self.setting, source=False)
            positive, matrix = least > 0.0, self._heavy.kernel_matrix(sums, q, *self.setting)
        else:
            _, a_j, a_k = self._rates
            # Many q at once where pairs are few: a call on twenty numbers costs what one on a thousand does.
            width, columns, right = max(1, CHUNK // a_j.size), [], []
            for i in range(0, q.size, width):
                kick, good = self.responses.kick_and_sign(q[i : i + width], a_j[:, None], a_k[:, None])
                columns.append(self._scale * (self.pairs.kernel @ kick))
                right.append(good.all(axis=0))
            positive = np.concatenate(right)
            matrix = symmetric(np.concatenate(columns, axis=1), self.pairs.size)
        return positive, leading_eigenvalue(matrix)

    def regular(self, p: Shaped[Array, " k"]) -> tuple[Array, Shaped[Array, " k"]]:
        """Whether p lies right of every singularity, judged at p alone, and the largest eigenvalue of zK(z).

        Parameters
        ----------
        p : array, shape (k,)
            z = exp(-p).
        """
        q = -np.expm1(-p)
        positive, kernel = self.real_kernel(q)
        with np.errstate(invalid="ignore"):
            gain = np.where(positive, (1.0 - q) * kernel, np.inf)
        return positive & (gain < 1.0), gain


def leading_eigenvalue(matrix: Float[Array, "k m m"]) -> Float[Array, " k"]:
    """Largest eigenvalue of each symmetric matrix; inf where an entry is not finite."""
    finite = np.isfinite(matrix).all(axis=(1, 2))
    values = np.full(matrix.shape[0], np.inf)
    if finite.any():
        values[finite] = np.linalg.eigvalsh(matrix[finite])[:, -1]
    return values
