"""What the projection leaves out of the exact equations: residuals under products with the exact operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float, Shaped
from genfun.methods.base import Method
from genfun.sample_space.operator import SampleFeatures, SampleOperator, quadratic
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.projected_function import ProjectedFunction

if TYPE_CHECKING:
    from genfun.sample_space.measured import MeasuredNoise


@dataclass(frozen=True, eq=False)
class EdgeResidual:
    """The leading vector at the edge under the exact operator.

    Attributes
    ----------
    vector : array, shape (N,)
        A x - theta x, or the unit vector of a sample that the basis misses.
    error : float
        Estimated relative error of the edge.
    weights : array
        Packed weights of the operator there.
    """

    vector: Float[Array, " N"]
    error: float
    weights: Array


def edge_residual(
    features: SampleFeatures, noise: MeasuredNoise, method: Method, moments: Array | None = None
) -> EdgeResidual:
    r"""The leading vector at the edge, by one product and the diagonal.

    .. math:: e = \frac{(res/\theta)^2}{\max(1-\theta_2/\theta,\ res/\theta)},\qquad res = |A x - \theta x|

    No diagonal entry of A exceeds its largest eigenvalue: where one does, the basis misses an outlying sample, which is
    then the vector. Where the curvature binds, noise matters only if its gain could in truth be above 1: the error is
    then what it could be above 1.

    Parameters
    ----------
    features : SampleFeatures
    noise : MeasuredNoise
    method : Method
        Its learning rate is ignored; with gamma > 0.
    moments : array, shape (m, r (r + 1)/2), optional
        Q of the basis, if known: it saves half of the products.
    """
    edge, gamma = noise.leading(method), noise.sampling(method)
    # The very edge of the curvature is a pole of the responses.
    rate = edge.learning_rate * (1.0 - 1e-12)
    responses = PairResponses(replace(method, learning_rate=rate), gamma)  # pyright: ignore
    weights = features.weights(responses, 0.0)
    lifted = noise.basis @ edge.coordinates
    if moments is None:
        moment = features.moment(lifted)
    else:
        moment = features.put(edge.coordinates.astype(moments.dtype) @ moments)
    rest = quadratic(features, weights, moment) - edge.value * lifted
    size = float(np.linalg.norm(rest)) / edge.value
    error = size**2 / max(1.0 - edge.second / edge.value, size, 1e-300)
    diagonal = SampleOperator(features, responses).diagonal(0.0, weights)
    worst = int(np.argmax(diagonal))
    if diagonal[worst] > edge.value * (1.0 + error):
        error = float(diagonal[worst]) / edge.value - 1.0
        rest = np.where(np.arange(diagonal.size) == worst, 1.0, 0.0)
    if edge.curvature_binds:
        error = max(0.0, edge.value * (1.0 + error) - 1.0)
    return EdgeResidual(rest, error, weights)


def label_source(data: Any, responses: PairResponses, q: complex) -> Shaped[Array, " N"]:
    """What label noise adds to b~ of every sample.

    Parameters
    ----------
    data : Any
    responses : PairResponses
    q : float or complex
        1 - z.
    """
    if data.noise_variance == 0.0:
        return np.zeros(data.n_samples)
    mean = responses.mean(q, responses.method.learning_rate * data.eigenvalues)
    path = data.seen(data.coefficients * mean[:, None])
    return (2.0 * (data.residuals * path) + data.residuals**2 / q).sum(axis=1)


def packed_start(data: Any, features: SampleFeatures) -> Float[Array, " pairs"]:
    """w* w*^T as packed weights: off the diagonal twice.

    Parameters
    ----------
    data : Any
    features : SampleFeatures
    """
    first, second = features.pair_index
    return (data.coefficients @ data.coefficients.T)[first, second] * np.where(first == second, 1.0, 2.0)


def loss_residual(
    data: Any,
    features: SampleFeatures,
    noise: MeasuredNoise,
    method: Method,
    step: float,
    moments: Array | None = None,
    asked: Array | None = None,
) -> tuple[Float[Array, " N"], float]:
    r"""The residual of the projected solution, and an estimate of the relative error of the loss, about a step.

    .. math:: a^T(x_{exact} - Xx) = \rho^T (I - zA)^{-1} R,\qquad
              R = \tilde b + zAXx - Xx,\quad \rho = a + zAXw - Xw,\quad (I - zK)\,w = X^T a

    at the real point z = exp(-p_0 - 1/t), where L~ averages the losses up to about t. Both residuals are orthogonal to
    the basis, so that the error is of second order. a = 1 for the training loss; for tr(R Cov) it is
    :math:`a_i = \gamma\alpha^2\varphi_i^T(u\circ R)\varphi_i`. The estimate is :math:`\sum_i |\rho_i R_i|` over
    what is asked for, because errors at single steps have both signs where the average has one.

    Parameters
    ----------
    data : Any
    features : SampleFeatures
        Of the data.
    noise : MeasuredNoise
    method : Method
        With gamma > 0.
    step : float
        t > 0.
    moments : array, shape (m, r (r + 1)/2), optional
        Q of the basis, if known: it saves half of the products.
    asked : array, shape (r (r + 1)/2,), optional
        R, packed; the training loss is asked for otherwise.
    """
    F = ProjectedFunction(noise, data.problem, method, few=False)
    p = F.known_singularity().shift + 1.0 / step
    q, z = float(-np.expm1(-p)), float(np.exp(-p))
    kernel, source = (part[0] for part in F.parts(np.array([q])))
    unit = np.eye(kernel.shape[0])
    responses = PairResponses(method, F.gamma)
    weights = features.weights(responses, q)
    ones = np.full(noise.n_samples, noise.n_samples**-0.5)
    question = ones if asked is None else features.quadratic(weights * asked)
    sides = np.stack([source, noise.basis.T @ question], axis=1)
    x, w = np.linalg.solve(unit - z * kernel, sides).T

    def image(coordinates: Array, start: Array | float = 0.0) -> Float[Array, " N"]:
        """The quadratic forms of start + z U o Q(X c)."""
        known = features.put(coordinates @ moments) if moments is not None else None
        moment = features.moment(noise.basis @ coordinates) if known is None else known
        return features.quadratic(start + z * weights * moment)

    start = packed_start(data, features)
    path = features.pair_values(responses, q, 1) * features.put(start)
    primal = image(x, path) + label_source(data, responses, q) - noise.basis @ x
    dual = image(w) + question - noise.basis @ w
    total = float(x[0])
    if asked is not None:
        # Of tr(R C~) what noise has added: its part of the start's, and z/N of the product of question and moments.
        quiet = features.pair_values(replace(responses, gamma=0.0), q, 1) * features.put(start)
        total = float(features.fetch(path - quiet) @ asked) * noise.n_samples / z + float(question @ (noise.basis @ x))
    left = float(np.abs(primal) @ np.abs(dual))
    return primal, left / abs(total) if total != 0.0 else np.inf
