"""The generating function of the loss."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Bool, Shaped
from genfun.engine.conditioning import Conditioning, MomentMaps, coupled_rate
from genfun.engine.fine import fine_measures, is_short, turning_on
from genfun.engine.gain import resting_kernel
from genfun.engine.mode_sums import ModeSums, assemble, of_method
from genfun.engine.recorded_run import SingleRecursion
from genfun.engine.recursion import Recursion
from genfun.engine.transform import Measures, Transform, merged_below, still_below
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.problems.measure import BIN_WIDTH, SpectralMeasure
from genfun.problems.problem import Problem
from genfun.scaled import EPS

MOST_TURNED = 3_000.0
"""Radians up to which bins are narrowed."""


class GeneratingFunction(Transform):
    r"""The generating function of the mean loss, as a function of complex z.

    .. math:: \tilde L(z) = \sum_t L(t) z^t
        = \tfrac12\,\frac{\tilde V(z) + \frac{\sigma^2}{\tau_1}\frac{z \tilde U(z)}{1-z}}{1 - z\tilde U(z)}
        + \frac{\sigma^2/2}{1-z}

    .. math:: \tilde U(z) = \gamma\tau_1\alpha^2\sum_k\lambda_k^2\,u(\lambda_k, z),\qquad
              \tilde V(z) = \sum_k s_k\,v(\lambda_k, z)

    with u, v from the impulse responses of the method (`genfun.symbolic`).

    **Assumptions.** Spectrally expressible noise. The series converges for abs(z) < exp(-growth rate); beyond, this
    is its analytic continuation.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The two spectral measures.
    method : Method
        e.g. `SGD`.
    noise : SpectrallyExpressible
        (tau1, tau2).
    measures : (SpectralMeasure, SpectralMeasure), optional
        Capacity and signal measures to use instead of `problem.measures()`.

    Raises
    ------
    ValueError
        If the batch is larger than the training set.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2206.11124, theorem 1.

    Examples
    --------
    >>> import genfun as gf
    >>> G = gf.GeneratingFunction(gf.LinearProblem([1.0], [2.0]), gf.SGD(0.5, batch_size=1))
    >>> G(0.0)  # L(0)
    1.0
    >>> G.noise(1.0)
    0.25
    """

    extended = True
    by_roots = True
    records_the_loss = True
    """Whether what the recursion gives is the loss, or another mean of the modes."""

    def __init__(
        self,
        problem: Problem,
        method: Method,
        noise: SpectrallyExpressible = SpectrallyExpressible(),
        measures: Measures | None = None,
    ) -> None:
        _check.setting(problem, method, noise)
        self.problem, self.method, self.noise_model = problem, method, noise
        self.gamma = sampling_factor(method.batch_size, problem.n_samples, method.replacement)
        _check.rates(method.learning_rate, problem.lambda_max)
        self.capacity, self.signal_measure = problem.measures(BIN_WIDTH) if measures is None else measures
        self.most_turned = np.inf if is_short(problem) else MOST_TURNED
        self._usual = measures is None and type(self) is GeneratingFunction
        self._polynomials = of_method(method)
        largest = method.learning_rate * problem.lambda_max
        self._scale = float(2.0 ** np.clip(np.round(np.log2(largest)), -60, 0))

    @cached_property
    def _capacity_sums(self) -> ModeSums:
        """Sums of u, with those of v where both measures have the same nodes."""
        # Rounded only where the sums are: see `SpectralMeasure.squares`.
        factor = np.longdouble(self.gamma) * np.longdouble(self.method.learning_rate) ** 2
        columns: list[tuple[int, Array]] = [(1, factor * self.capacity.squares())]
        if self.signal_measure.nodes is self.capacity.nodes:
            columns.append((2, self.signal_measure.weights))
        return ModeSums(self._polynomials.degrees, self.capacity.nodes, columns)

    @cached_property
    def _signal_sums(self) -> ModeSums:
        """Sums of v."""
        signal = self.signal_measure
        if signal.nodes is self.capacity.nodes:
            return self._capacity_sums
        return ModeSums(self._polynomials.degrees, signal.nodes, [(2, signal.weights)])

    def __repr__(self) -> str:
        return f"GeneratingFunction({self.problem!r}, {self.method!r}, {self.noise_model!r})"

    def noise(self, z: Any) -> Any:
        r"""U~(z), the noise kernel; U~(1) is the noise gain.

        Parameters
        ----------
        z : complex, any shape
        """
        return self._shaped(z, lambda q: self.noise_model.tau1 * self.sums(q)[0])

    def signal(self, z: Any) -> Any:
        """V~(z), the noiseless decay of twice the excess loss.

        Parameters
        ----------
        z : complex, any shape
        """
        return self._shaped(z, lambda q: self.sums(q)[1])

    def __call__(self, z: Any) -> Any:
        """L~(z).

        Parameters
        ----------
        z : complex, any shape
        """
        return self._shaped(z, self.loss)

    def _shaped(self, z: Any, function: Any) -> Any:
        array = np.asarray(z)
        flat = array.ravel().astype(np.result_type(array.dtype, np.float64))
        result = function(1.0 - flat).reshape(array.shape)
        return result.item() if array.ndim == 0 else result

    def _arguments(self, q: Array) -> tuple[Any, Array, Any, float]:
        """What sums over modes take: coefficients, q, gamma tau2 in the precision of q, and the learning rate."""
        real = np.real(q).dtype.type
        hyper = tuple(real(h) for h in self.method.hyperparameters)
        table = self._polynomials.coefficients(q, hyper, self._scale)
        return table, q, real(self.gamma) * real(self.noise_model.tau2), self.method.learning_rate

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q; giving q loses nothing where z is close to 1.

        Parameters
        ----------
        q : complex array, shape (k,)
        """
        return assemble(*self.sums(q), q, self.noise_model.tau1, self.problem.noise_variance)

    @np.errstate(all="ignore")
    def sums(self, q: Shaped[Array, " k"]) -> tuple[Shaped[Array, " k"], Shaped[Array, " k"]]:
        """(U~/tau1, V~) at z = 1 - q.

        Parameters
        ----------
        q : complex array, shape (k,)
        """
        arguments = self._arguments(q)
        if self._signal_sums is self._capacity_sums:
            kernel, signal = self._capacity_sums(*arguments)
            return kernel, signal
        (signal,) = self._signal_sums(*arguments)
        return (self._capacity_sums(*arguments)[0] if self.gamma > 0.0 else np.zeros_like(q)), signal

    @np.errstate(all="ignore")
    def regular(self, p: Shaped[Array, " k"]) -> tuple[Bool[Array, " k"], Shaped[Array, " k"]]:
        """Whether p lies right of every singularity, judged at p alone, and the values z U~(z) at z = exp(-p).

        Parameters
        ----------
        p : array, shape (k,)
        """
        q = -np.expm1(-p)
        arguments = self._arguments(q)
        sums, least = self._capacity_sums.on_axis(*arguments)
        positive = least > 0.0
        if self._signal_sums is not self._capacity_sums:
            positive = positive & (self._signal_sums.least_denominator(*arguments) > 0.0)
        gain = np.where(positive, (1.0 - q) * self.noise_model.tau1 * sums[0], np.inf)
        return positive & (gain < 1.0), gain

    @property
    def turning(self) -> float:
        """By how much a mode's angle may change in a step, per change of log lambda: at most 1."""
        return turning_on(self.problem, self.method)[0]

    @cached_property
    def _moment_maps(self) -> MomentMaps:
        return MomentMaps.of_method(self.method, np.concatenate([measure.nodes for measure in self.measures]))

    @cached_property
    def conditioning(self) -> Conditioning:
        """How much the direct recursion amplifies rounding."""
        return self._conditioned(np.abs(self._moment_maps.of(self.gamma * self.noise_model.tau2)))

    @cached_property
    def sensitivity(self) -> Conditioning:
        """How much the loss depends on the rounding of what modes feed back to themselves of their noise."""
        return self._conditioned(0.0)

    def _conditioned(self, spared: Array | float) -> Conditioning:
        tau1, tau2 = self.noise_model.tau1, self.noise_model.tau2
        fed_back = self._moment_maps.fed_back(self.gamma * tau1)
        return Conditioning.of(self._moment_maps, self.gamma * (tau2 - tau1), spared + fed_back)

    def off_axis_rate(self, above: float) -> float:
        """log of the largest modulus of an eigenvalue off the positive real axis of the second moments.

        With the correction of a mode's own noise (tau2) alone, and with the noise that it feeds back to itself (tau1)
        as well: the singularities of the whole lie between. For large steps at batch size 1 they lie between -1.7 and
        0.1, say, and a bound that exceeds the rate of the loss says nothing: then the modes are coupled.

        Parameters
        ----------
        above : float
            From where on the bound by single modes is not good enough.
        """
        if self.gamma == 0.0:
            return -np.inf
        tau1, tau2 = self.noise_model.tau1, self.noise_model.tau2
        # Without a correction the moments' eigenvalues are products of the roots, which `singularity` has seen.
        own = tuple(self.gamma * each for each in (tau2, tau2 - tau1) if each != 0.0)
        bound = self._moment_maps.off_axis_rate(own) if own else -np.inf
        if bound <= above:
            return bound
        # As tau1 >= tau2, a step takes moments to moments: no eigenvalue exceeds the largest one on the positive axis.
        return min(coupled_rate(self.problem, self.method, self.noise_model, self.capacity), above)

    def excited(self) -> GeneratingFunction:
        """The same function without modes that never move: those without signal, where no noise reaches them."""
        moving = self.signal_measure.weights > 0.0
        reached = self.gamma > 0.0 and (self.noise_model.tau1 > 0.0 or self.problem.noise_variance > 0.0)
        if reached or moving.all() or not moving.any():
            return self
        signal = SpectralMeasure.trusted(self.signal_measure.nodes[moving], self.signal_measure.weights[moving])
        return self.on((signal, signal))

    def same(self) -> Any:
        """Method and noise, where the measures are those of the problem."""
        return (self.method, self.noise_model) if self._usual else None

    @property
    def measures(self) -> Measures:
        """Capacity and signal measures."""
        return self.capacity, self.signal_measure

    @np.errstate(all="ignore")
    def gain(self, real: Any = np.longdouble) -> Any:
        """U~(1)/tau1 of modes that have a stationary state, straight from the responses.

        Parameters
        ----------
        real : type
            np.float64 or np.longdouble.
        """
        rate, hyper = real(self.method.learning_rate), tuple(real(h) for h in self.method.hyperparameters)
        kind, tau2 = type(self.method), self.noise_model.tau2
        return resting_kernel(kind, self.capacity, rate, hyper, real(self.gamma), tau2)[()]

    def floor(self) -> float:
        """The excess loss that label noise leaves in the end, sigma^2 U~(1) / (2 tau1 (1 - U~(1)))."""
        return float(self._floor(np.longdouble))

    def _floor(self, real: Any) -> Any:
        kernel = self.gain(real)
        return 0.5 * self.problem.noise_variance * kernel / (1.0 - self.noise_model.tau1 * kernel)

    def floor_error(self) -> float:
        """The relative rounding error of the floor: that of weights and of gamma, and what double precision shows."""
        fine, rough = self._floor(np.longdouble), self._floor(np.float64)
        if not (np.isfinite(fine) and fine > 0.0):
            return 0.0
        distance = abs(1.0 - self.noise_model.tau1 * self.gain())
        return float(2.0 * EPS / distance + abs(rough / fine - 1.0) / 16.0)

    def on(self, measures: Measures) -> GeneratingFunction:
        """The same function of other measures.

        Parameters
        ----------
        measures : (SpectralMeasure, SpectralMeasure)
        """
        own = measures[0] is self.capacity and measures[1] is self.signal_measure
        if own and type(self) is GeneratingFunction:
            return self
        return GeneratingFunction(self.problem, self.method, self.noise_model, measures)

    def narrowed(self, step: float) -> GeneratingFunction:
        """The same function with modes that have hardly moved by `step` merged into three.

        Parameters
        ----------
        step : float
        """
        return self.on(self.lumped(self.measures, step))

    def resolved(self, turned: float, step: float) -> GeneratingFunction:
        """The same function of the full spectrum, or of narrow bins.

        Parameters
        ----------
        turned : float
            Radians by which modes have turned.
        step : float
        """
        return self.on(self.lumped(self.fine(turned), step))

    def lumped(self, measures: Measures, step: float) -> Measures:
        """Measures with the modes that have hardly moved by `step` merged.

        Parameters
        ----------
        measures : (SpectralMeasure, SpectralMeasure)
        step : float
        """
        return merged_below(measures, still_below(self.method, step))

    def fine(self, phase: float) -> Measures:
        """The full spectrum where it is short; else bins so narrow that modes turning by 2 * phase are resolved.

        Parameters
        ----------
        phase : float
        """
        return fine_measures(self.problem, phase)

    def stepper(self, phase: float, last: int) -> SingleRecursion:
        """The direct recursion of one setting.

        Parameters
        ----------
        phase : float
            See `fine`.
        last : int
            Largest step.
        """
        measures = fine_measures(self.problem, phase, turning_on(self.problem, self.method)[1])
        return SingleRecursion.precise(self.on(self.lumped(measures, float(max(last, 1)))), last, self.rounding(last))

    def rounding(self, last: int) -> float:
        """Estimated relative error of the recursion in doubles at a step, from what amplifies rounding.

        Parameters
        ----------
        last : int
            The step.
        """
        return 4.0 * EPS * float(self.conditioning.growth(np.array([last]))[0])

    def observed(self, run: Recursion) -> tuple[Array, Array]:
        """Mantissa and exponent of what the recursion gives at its present step: the loss.

        Parameters
        ----------
        run : Recursion
        """
        return run.loss()

    def quiet_signal(self, phase: float) -> tuple[SpectralMeasure, float, float]:
        """What the noiseless curve is made of: a measure, a constant, and the factor of both.

        Parameters
        ----------
        phase : float
            See `fine`.
        """
        return self.fine(phase)[1], self.problem.noise_variance, 0.5
