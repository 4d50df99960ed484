"""The generating function of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Shaped
from genfun.measure import BIN_WIDTH, SpectralMeasure
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.problem import Problem
from genfun.symbolic.arrays import responses

CHUNK = 16_384
"""Complex numbers in a working array: small enough for the second-level cache."""


class GeneratingFunction:
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

    def __init__(
        self,
        problem: Problem,
        method: Method,
        noise: SpectrallyExpressible = SpectrallyExpressible(),
        measures: tuple[SpectralMeasure, SpectralMeasure] | None = None,
    ) -> None:
        _check.setting(problem, method, noise)
        self.problem, self.method, self.noise_model = problem, method, noise
        self.gamma = sampling_factor(method.batch_size, problem.n_samples, method.replacement)
        if method.learning_rate * problem.lambda_max > 1e50:
            raise ValueError(
                f"learning_rate must be below 1e50/lambda_max={1e50 / problem.lambda_max:.3g}, "
                f"got {method.learning_rate!r}; stable rates are of the order of 1/lambda_max"
            )
        self.capacity, self.signal_measure = problem.measures(BIN_WIDTH) if measures is None else measures
        self._responses = responses(method)

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

    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q; giving q loses nothing where z is close to 1.

        Parameters
        ----------
        q : complex array, shape (k,)
        """
        kernel, signal = self.sums(q)
        z, sigma2 = 1.0 - q, self.problem.noise_variance
        result = signal / (1.0 - self.noise_model.tau1 * z * kernel)
        if sigma2 > 0.0:
            result = result + sigma2 / q * (1.0 + z * kernel / (1.0 - self.noise_model.tau1 * z * kernel))
        return 0.5 * result

    def sums(self, q: Shaped[Array, " k"]) -> tuple[Shaped[Array, " k"], Shaped[Array, " k"]]:
        """(U~/tau1, V~) at z = 1 - q.

        Parameters
        ----------
        q : complex array, shape (k,)
        """
        factor = self.gamma * self.method.learning_rate**2
        if self.signal_measure.nodes is self.capacity.nodes:
            weights = np.stack((factor * self.capacity.weights, self.signal_measure.weights), axis=1)
            both = self._integrate(self.capacity.nodes, weights, q, (0, 1))
            return both[0], both[1]
        kernel = np.zeros_like(q)
        if self.gamma > 0.0:
            kernel = self._integrate(self.capacity.nodes, factor * self.capacity.weights[:, None], q, (0,))[0]
        return kernel, self._integrate(self.signal_measure.nodes, self.signal_measure.weights[:, None], q, (1,))[0]

    def real_kernel(self, q: Float[Array, " k"]) -> tuple[Array, Float[Array, " k"]]:
        """On the real axis: whether S > 0 at every node of both measures, and U~/tau1.

        Parameters
        ----------
        q : array, shape (k,)
            1 - z.
        """
        factor = self.gamma * self.method.learning_rate**2
        positive, kernel = self._real(self.capacity.nodes, factor * self.capacity.weights, q)
        if self.signal_measure.nodes is not self.capacity.nodes:
            positive = positive & self._real(self.signal_measure.nodes, np.zeros_like(self.signal_measure.nodes), q)[0]
        return positive, kernel

    def _real(self, nodes: Array, weights: Array, q: Array) -> tuple[Array, Array]:
        denominator, kick, _ = self._denominator(self.method.learning_rate * nodes, q[:, None])
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return np.all(denominator > 0.0, axis=1), (kick / denominator) @ weights

    def _denominator(self, a: Array, q: Array) -> tuple[Array, Array, Array]:
        """(S, n_u, n_v) with S = d + gamma tau2 a^2 z n_u."""
        g = self.gamma * self.noise_model.tau2
        with np.errstate(over="ignore", invalid="ignore"):
            denominator, kick, begin = self._responses(a, q, *self.method.hyperparameters)
            if g != 0.0:
                denominator = denominator + (g * a * a) * ((1.0 - q) * kick)
        return denominator, kick, begin

    def _integrate(
        self, nodes: Float[Array, " n"], weights: Float[Array, "n c"], q: Shaped[Array, " k"], which: tuple[int, ...]
    ) -> Shaped[Array, "c k"]:
        """Integrals over the nodes of u (which = 0) and v (which = 1), a chunk of q at a time."""
        a = self.method.learning_rate * nodes
        result = np.empty((len(which), q.size), dtype=q.dtype)
        rows = max(1, CHUNK // nodes.size)
        for start in range(0, q.size, rows):
            denominator, kick, begin = self._denominator(a, q[start : start + rows, None])
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                for i, kind in enumerate(which):
                    values = (begin if kind else kick) / denominator
                    result[i, start : start + rows] = values @ weights[:, i]
        return result
