"""The noise of data, measured once for every method, rate and batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from genfun._typing import Array, Float
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor
from genfun.sample_space.basis import FINE, SampleBasis, chosen, found_leading, sample_basis
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.projected_edge import ProjectedEdge, projected_edge
from genfun.sample_space.projection import PairMeasure, label_moments, pair_measure

if TYPE_CHECKING:
    from genfun.data.linear import LinearData

TOLERANCE = 1e-3
"""Estimated relative error of an edge beyond which more vectors are taken."""
CHECKED = ((1, 0.0), (8, 0.9))
"""(batch size, momentum) of the edges by which `measure_noise` judges its vectors."""
ROUNDS = 4
"""Times that vectors are added at most."""


@dataclass(frozen=True, eq=False)
class MeasuredNoise:
    r"""The noise of mini-batches of given data: its operator in sample space on a few vectors.

    .. math:: A(z) \approx X K(z) X^T,\qquad K_{ab}(z) = \gamma\alpha^2\sum_P W^{ab}_P\,u_P(z)

    Made by `measure_noise`, once for a data set; it serves every method, learning rate, momentum and batch size.

    Parameters
    ----------
    pairs : PairMeasure
        W and the weights of the source.
    basis : array, shape (N, m)
        X.
    n_samples : int
        N.
    products : float
        Products with the operator that it took.
    error : float
        Largest estimated relative error of the stability edges that were checked (`CHECKED`), nan if none was.
    """

    pairs: PairMeasure
    basis: Float[Array, "N m"]
    n_samples: int
    products: float
    error: float

    def __repr__(self) -> str:
        return (
            f"MeasuredNoise(n_samples={self.n_samples}, vectors={self.pairs.size}, pairs={self.pairs.first.size}, "
            f"error={self.error:.2g})"
        )

    @property
    def sound(self) -> bool:
        """Whether the estimated error of the checked edges is within `TOLERANCE`."""
        return self.error <= TOLERANCE

    def sampling(self, method: Method) -> float:
        """gamma of a method on these data.

        Parameters
        ----------
        method : Method
        """
        return sampling_factor(method.batch_size, self.n_samples, method.replacement)

    def leading(self, method: Method) -> ProjectedEdge:
        """The stability edge of a method with the leading vector of the noise there.

        Parameters
        ----------
        method : Method
            Its learning rate is ignored.
        """
        return projected_edge(self.pairs, method, self.sampling(method))

    def edge(self, method: Method) -> float:
        """The largest stable learning rate of a method, its own learning rate ignored.

        Parameters
        ----------
        method : Method

        Examples
        --------
        >>> import genfun as gf
        >>> d = gf.LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])
        >>> round(measure_noise(d).edge(gf.SGD(1.0, batch_size=1)), 6)  # 2 mean(x^2)/mean(x^4)
        0.588235
        """
        return self.leading(method).learning_rate


def project(data: LinearData, basis: SampleBasis, error: float = np.nan) -> MeasuredNoise:
    """The noise of data on given vectors.

    Parameters
    ----------
    data : LinearData
    basis : SampleBasis
    error : float
        See `MeasuredNoise`.
    """
    labels = label_moments(data.blocks, basis.vectors, data.coefficients)
    pairs = pair_measure(basis.moments, labels, data.eigenvalues, data.coefficients, data.n_samples)
    return MeasuredNoise(pairs, basis.vectors, data.n_samples, basis.products, error)


def ritz_error(residual: float, value: float, second: float) -> float:
    r"""Estimated relative error of a leading eigenvalue from the residual of its vector.

    .. math:: e = \frac{(res/\theta)^2}{\max(1-\theta_2/\theta,\ res/\theta)}

    Parameters
    ----------
    residual : float
        Norm of A x - theta x.
    value, second : float
        theta and theta_2.
    """
    size = residual / value
    return size**2 / max(1.0 - second / value, size, 1e-300)


def measure_noise(
    data: LinearData, tolerance: float = TOLERANCE, progress: Callable[[float, str], None] | None = None
) -> MeasuredNoise:
    r"""Measure the noise of data: project its operator in sample space on the vectors of `sample_basis`.

    Two edges are checked (`CHECKED`), by the residual of the leading vector under the exact operator. Where the
    estimated error is above the tolerance, the leading vector itself is searched for and joins the basis, and the edges
    are checked again, up to `ROUNDS` times. `MeasuredNoise.error` says what is left.

    **Assumptions.** The eigenfeatures fit in memory. Time about 20 products of 4 N r^2 operations.

    Parameters
    ----------
    data : LinearData
    tolerance : float
        Relative, of an edge.
    progress : callable or None
        Called with (fraction done, stage).

    Returns
    -------
    MeasuredNoise

    References
    ----------
    The exact threshold of plain SGD is that of arXiv 2306.07850.

    Examples
    --------
    >>> import genfun as gf
    >>> d = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0)
    >>> noise = measure_noise(d)
    >>> noise.sound
    True
    """
    features = SampleFeatures(data.eigenfeatures, data.eigenvalues)
    space = GalerkinSpace(features)
    columns = sample_basis(space, late=data.noise_variance == 0.0, progress=progress)
    methods = [SGD(1.0, beta, min(b, data.n_samples)) for b, beta in CHECKED]
    for count in range(ROUNDS + 1):
        basis = chosen(space, columns)
        noise = project(data, basis, 0.0)
        errors = [0.0]
        for method in methods:
            gamma = noise.sampling(method)
            if gamma == 0.0:
                continue
            edge = noise.leading(method)
            weights = features.weights(PairResponses(replace(method, learning_rate=edge.learning_rate), gamma), 0.0)
            lifted = basis.coordinates @ edge.coordinates
            rest = space.apply(weights, lifted) - edge.value * (space.vectors.T @ lifted)
            errors.append(ritz_error(float(np.linalg.norm(rest)), edge.value, edge.second))
            if errors[-1] > tolerance and count < ROUNDS:
                space.add(rest)
                columns.append(found_leading(space, weights, FINE)[0])
        if max(errors) <= tolerance:
            break
    return MeasuredNoise(noise.pairs, noise.basis, noise.n_samples, 0.5 * space.halves, max(errors))
