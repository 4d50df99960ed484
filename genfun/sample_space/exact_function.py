"""The exact generating function of the loss on given data."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Bool, Float, Int, Shaped
from genfun.engine.contour_curve import LossCurve
from genfun.engine.dispatch import transform
from genfun.engine.output_function import NEXT_TO_ONE
from genfun.engine.singularity import Singularity, alternating_rate, update_roots
from genfun.engine.tall_contour import SHARP
from genfun.engine.transform import Transform
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible
from genfun.sample_space.edge import starting_space
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.leading import judged, leading, unit_point
from genfun.sample_space.operator import SampleFeatures, parts, quadratic
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.resolvent import solve
from genfun.scaled import EPS

if TYPE_CHECKING:
    from genfun.sample_space.moments import MomentSteps

LEADING_TOLERANCE = 1e-12
ALTERNATING, LOOKED = 4, 6
"""Points on the negative axis at which a singularity is looked for, and vectors that each may add to the subspace."""
"""Relative error of the leading eigenvalue that is aimed at, and of the singular point."""
LARGEST, START, SOLUTIONS = 60, 8, 12
"""A larger subspace (than this, or sqrt(2 N)) costs more than it saves, and is reduced to its first vectors and those
of recent solutions."""
SOLVED = 1e-12
"""Relative error of the floor where the noise gain is far from 1."""
NEAREST = 1e-15
"""Closest approach to the slowest mode's own rate, relative to it."""


class ExactFunction(Transform):
    r"""The generating function of the mean loss of mini-batch training on given data, exactly.

    .. math:: \tilde L(z) = \frac1{2N}\sum_i \tilde p_i(z),\qquad (I - zA(z))\,\tilde p = \tilde b,\qquad
              \tilde b_i = \varphi_i^T (v\circ C_0)\varphi_i - 2\varepsilon_i\varphi_i^T\tilde m(z)
              + \frac{\varepsilon_i^2}{1-z},\qquad \tilde m_k = \tilde g_k(z)\,m_k(0)

    with p_i(t) the mean square of the residual at sample i, eps_i that at the optimum, C_0 = m(0) m(0)^T and A as in
    `SampleOperator`. Several outputs: sums over them.

    **Assumptions.** Batches drawn anew at every step; w_0 = 0. Nothing is assumed of the data. A point costs about
    ten products of 4 N r^2 operations, later points fewer: solutions are recycled in `space`.

    Parameters
    ----------
    data : Any
    method : Method
    features : SampleFeatures or None
        The data's, if they are at hand: on another device, in another precision.
    space : GalerkinSpace or None
        A subspace for these features to start from, such as that of another setting.

    Raises
    ------
    ValueError
        If the batch is larger than the training set.

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.LinearData.from_features([[1.0], [1.0], [-1.0]], [1.0, 0.5, -1.0])
    >>> G = ExactFunction(data, gf.SGD(0.5, batch_size=1))
    >>> loss = G.loss(np.array([1.0]))  # z = 0: the loss before training
    >>> round(float(loss[0]), 12)
    0.375
    """

    by_roots = True
    spacing = SHARP

    def __init__(
        self,
        data: Any,
        method: Method,
        features: SampleFeatures | None = None,
        space: GalerkinSpace | None = None,
    ) -> None:
        self.data, self.method, self.problem = data, method, data.problem
        self.mean_field: Any = transform(data.problem, method, SpectrallyExpressible())
        self.gamma = self.mean_field.gamma
        self.pairs = PairResponses(method, self.gamma)
        self.levels = not self.pairs.decays
        self.features = SampleFeatures(data.eigenfeatures, data.eigenvalues) if features is None else features
        if space is not None:
            self.space = space
        self.solver_error = 0.0

    def __repr__(self) -> str:
        return f"ExactFunction({self.data!r}, {self.method!r})"

    @cached_property
    def space(self) -> GalerkinSpace:
        """The subspace that all answers share and enlarge."""
        # Right of the slowest mode's own rate every pair is positive.
        right = max(self.slowest_rate, 0.0) * (1.0 + 1e-9)
        space = starting_space(self.features, self.pairs, float(-np.expm1(-right)))
        slow = self.features.fetch(self.features.phi[:, int(np.argmax(self._radii))])
        space.add(slow**2)
        return space

    @cached_property
    def _roots(self) -> Array:
        a = self.method.learning_rate * self.data.eigenvalues
        return update_roots(self.method.update(a, *self.method.hyperparameters)[0], a.shape)

    @cached_property
    def _radii(self) -> Float[Array, " r"]:
        return np.abs(self._roots).max(axis=1)

    @property
    def slowest_rate(self) -> float:
        """2 log rho(T) of the slowest mode, below which the loss cannot fall: E|dw|^2 >= |E dw|^2."""
        radius = float(self._radii.max())
        return 2.0 * float(np.log(radius)) if radius > 1e-300 else -700.0

    @cached_property
    def _start(self) -> tuple[Any, Array, Array, Array]:
        """C_0 packed with its halves, m(0), the residuals and their squares."""
        start = -np.asarray(self.data.coefficients, dtype=np.float64)
        j, k = self.features.pair_index
        moments = self.features.double(self.features.put((start @ start.T)[j, k] * (2.0 - (j == k))))
        noisy = self.problem.noise_variance > 0.0
        residuals = np.asarray(self.data.residuals) if noisy else np.zeros((self.features.size, start.shape[1]))
        return moments, start, residuals, (residuals**2).sum(axis=1)

    def source(self, q: complex) -> Shaped[Array, " N"]:
        """b~ at z = 1 - q.

        Parameters
        ----------
        q : float or complex
            1 - z.
        """
        f, (moments, start, residuals, squares) = self.features, self._start
        weights = f.pair_values(self.pairs, q, 1) * moments
        real, imaginary = parts(weights)
        result: Any = f.quadratic(real)
        if imaginary is not None:
            result = result + 1j * f.quadratic(imaginary)
        if squares.any():
            mean = self.pairs.mean(q, self.method.learning_rate * self.data.eigenvalues)[:, None] * start
            paths = [self.features.fetch(f.phi @ f.put(part)) for part in (np.real(mean), np.imag(mean))]
            path = paths[0] if not np.iscomplexobj(mean) else paths[0] + 1j * paths[1]
            result = result - 2.0 * (residuals * path).sum(axis=1) + squares / q
        extra = self.pairs.first_noise - 1.0
        return result if extra == 0.0 else result + extra * (1.0 - q) * self._first(q)

    def _first(self, q: complex) -> Shaped[Array, " N"]:
        """What the noise of the first step leaves of itself in the squared residuals."""
        f, (moments, start, residuals, _) = self.features, self._start
        j, k = f.pair_index
        power = ((f.fetch(f.phi @ f.put(start)) - residuals) ** 2).sum(axis=1)
        noise = f.moment(power) - f.put((f.lam[j] * f.lam[k]) / (2.0 - (j == k))) * moments
        return quadratic(f, f.weights(self.pairs, q), noise)

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q.

        Parameters
        ----------
        q : array, shape (k,)
            Real or complex.
        """
        flat = np.asarray(q).ravel()
        recent: list[Array] = []
        values = np.zeros(flat.size, dtype=np.result_type(flat, np.float64))
        for index in _spread(flat.size):
            # L~ is real on the real axis: one half plane is enough.
            below = np.iscomplexobj(flat) and np.imag(flat[index]) < 0.0
            point = flat[index].conjugate() if below else flat[index]
            value = self._loss_at(point.item(), recent)
            values[index] = np.conj(value) if below else value
        return values.reshape(np.shape(q))

    def _loss_at(self, q: complex, recent: list[Array]) -> complex:
        if self.gamma == 0.0:
            a = self.method.learning_rate * self.data.eigenvalues
            total = (self.pairs.dressed(q, a, a)[1] * self.data.signal).sum()
            return 0.5 * (total + (self.problem.noise_variance / q if self.problem.noise_variance > 0.0 else 0.0))
        weights = self.features.weights(self.pairs, q)
        found = solve(self.space.seen(weights), 1.0 - q, self.source(q))
        self.solver_error = max(self.solver_error, found.residual)
        self._recycle(found.coordinates, recent)
        total = found.total if isinstance(q, complex) else found.total.real
        return total / (2.0 * self.features.size)

    def _recycle(self, solution: Array, recent: list[Array]) -> None:
        """Keep a large subspace to what it started from and recent solutions, which span those of other points."""
        recent.append(solution)
        if len(self.space) <= max(LARGEST, np.sqrt(2.0 * self.features.size)):
            return
        size = len(self.space)
        columns = [np.eye(size)[:, : min(START, size)]]
        for known in recent[-SOLUTIONS:]:
            padded = np.zeros((size, 2))
            padded[: known.size, 0], padded[: known.size, 1] = np.real(known), np.imag(known)
            columns.append(padded)
        turn = self.space.keep(np.concatenate(columns, axis=1))
        recent[:] = [turn[: known.size].T @ known for known in recent[-SOLUTIONS:]]

    def known_curve(self, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
        """The mean loss at ascending steps, by `genfun.sample_space.curve.sample_curve`.

        Parameters
        ----------
        steps : array, shape (t,)
            Ascending, without repeats.
        singular : Singularity
        """
        from genfun.sample_space.curve import sample_curve

        return sample_curve(self, steps)

    def stepper(self, phase: float, last: int) -> MomentSteps:
        """The recursion of the full second moments, the slow reference.

        Parameters
        ----------
        phase : float
            Not needed: every pair is followed.
        last : int
            Largest step.
        """
        from genfun.sample_space.moments import MomentSteps

        return MomentSteps(self.data, self.method)

    def floor(self) -> float:
        """The excess loss in the end: what label noise leaves, and the bias of weight decay."""
        weights = self.features.weights(self.pairs, 0.0)
        left = self.source(NEXT_TO_ONE) * NEXT_TO_ONE if self.pairs.decays else self._start[3]
        found = solve(self.space.seen(weights), 1.0, left)
        return float(found.total.real / (2.0 * self.features.size)) - 0.5 * self.problem.noise_variance

    def floor_error(self) -> float:
        """Its relative error: that of the solver, and rounding next to the edge."""
        return SOLVED / max(1.0 - self._singularity.noise_gain, SOLVED)

    def settling_rate(self, singular: Singularity) -> float:
        """The rate at which the floor is approached: with label noise the mean path counts as itself, not squared.

        Parameters
        ----------
        singular : Singularity
        """
        return max(singular.rate, 0.5 * self.slowest_rate)

    def _operator_weights(self, p: float) -> Any:
        """z A(z) at z = exp(-p)."""
        return np.exp(-p) * self.features.weights(self.pairs, float(-np.expm1(-p)))

    def regular(self, p: Shaped[Array, " k"]) -> tuple[Bool[Array, " k"], Shaped[Array, " k"]]:
        """Whether p lies right of every singularity, and the leading eigenvalue of z A(z) at z = exp(-p).

        Parameters
        ----------
        p : array, shape (k,)
            Real.

        Returns
        -------
        (array, array)
            The eigenvalue is inf where a pair of modes has no stationary state.
        """
        found = [self.gain_at(float(x)) for x in p]
        return np.array([good for good, _ in found]), np.array([gain for _, gain in found])

    def gain_at(self, p: float) -> tuple[bool, float]:
        """As `regular`, at one point.

        Parameters
        ----------
        p : float
        """
        if self.gamma == 0.0:
            return bool(p > self.slowest_rate), 0.0
        if p < self.slowest_rate and not self.features.positive(self.pairs, float(-np.expm1(-p))):
            return False, np.inf
        gain = leading(self.space, self._operator_weights(p), LEADING_TOLERANCE).value
        return gain < 1.0, gain

    @cached_property
    def _singularity(self) -> Singularity:
        slowest = self.slowest_rate
        curvature = slowest >= 0.0 and bool((self._radii[self._moving] >= 1.0).any())
        gain = np.inf if curvature else self.gain_at(0.0)[1]
        stable = gain < 1.0
        rate, error = (slowest, 0.0) if self.gamma == 0.0 else self._rate(stable, gain)
        noisy = self.problem.noise_variance > 0.0 or self.pairs.decays
        return Singularity(
            rate=rate,
            shift=max(rate, 0.0) if noisy else rate,
            unresolved_rate=self._unresolved_rate(noisy, rate),
            rate_error=error,
            noise_gain=gain,
            stable=stable,
            curvature_binds=curvature,
        )

    def known_singularity(self) -> Singularity:
        """The dominant singular point: where the leading eigenvalue of z A(z) is 1.

        Poles of the responses cancel as in `dominant_singularity`, and p_0 >= 2 log rho(T) of every mode; where the
        two agree to rounding, the latter is returned.
        """
        return self._singularity

    @property
    def keeps(self) -> bool:
        """Whether label noise or the pull of weight decay never fades."""
        return self.problem.noise_variance > 0.0 or self.pairs.decays

    @property
    def _moving(self) -> Array:
        # A very small eigenvalue has spectral radius 1 to rounding; slow modes are stable.
        return self.method.learning_rate * self.data.eigenvalues > 1e-10

    def _rate(self, stable: bool, gain: float) -> tuple[float, float]:
        """p_0 = base + exp(s), with base the slowest mode's rate where p_0 < 0, else 0 (or that, beyond the curvature
        limit): the leading eigenvalue falls with s.
        """
        slowest = self.slowest_rate
        base = slowest if stable else max(slowest, 0.0)
        if stable and base >= 0.0:
            return 0.0, 0.0
        low, high = np.log(NEAREST * max(abs(slowest), 1e-300)), np.log(-base) if stable else np.log(690.0)
        if stable:
            # Far from a mode's own pole theta - 1 is about linear in p.
            start = np.log(-base * min(max(gain, 1e-3), 0.999))
        else:
            start = np.log(max(abs(slowest), 1e-12)) if np.isinf(gain) else np.log(abs(slowest) * gain + 1e-300)

        def weigh(s: float) -> Any:
            return self._operator_weights(base + float(np.exp(s)))

        found = unit_point(self.space, weigh, float(start), float(low), float(high), -1.0, LEADING_TOLERANCE)
        distance = float(np.exp(found.point))
        if not found.reached and found.point <= low + 1e-6:
            return base, EPS * abs(base)
        return base + distance, distance * found.error + EPS * (abs(base) + distance / abs(found.slope))

    def _unresolved_rate(self, noisy: bool, rate: float) -> float:
        """Pairs of modes off the positive real axis; with label noise also single ones, from the cross term."""
        roots = self._roots
        off = (np.abs(np.imag(roots)) > 1e-12 * np.abs(roots)) | (np.real(roots) < 0.0)
        largest = float(np.where(off, np.abs(roots), 0.0).max())
        partner = max(float(self._radii.max()), 1.0) if noisy else float(self._radii.max())
        outside = float(np.log(largest * partner)) if largest > 0.0 else -np.inf
        if self.gamma == 0.0:
            return outside
        return alternating_rate(lambda p: np.array([self._alternating(x) for x in p]), outside, rate, ALTERNATING)

    def _alternating(self, p: Any) -> float:
        """The largest eigenvalue of z A(z) at z = -exp(-p), or one above 1."""
        weights = -np.exp(-p) * self.features.weights(self.pairs, float(1.0 + np.exp(-p)))
        at, value = self.space.seen(weights), 0.0
        for _ in range(LOOKED):
            pair = at.leading()
            value = pair.value
            if value >= 1.0 or not self.space.add(judged(self.space, weights, pair)[0]):
                break
        return value


def _spread(count: int) -> Array:
    """0 .. count-1, far ones first: the first solutions should span the others."""
    order = np.arange(count)
    keys = np.array([int(format(i, f"0{max(count - 1, 1).bit_length()}b")[::-1], 2) for i in order], dtype=np.int64)
    return order[np.argsort(keys, kind="stable")]
