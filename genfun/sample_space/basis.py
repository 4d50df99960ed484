"""A few vectors of sample space on which the operator of the noise is nearly exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genfun._typing import Array, Float
from genfun.methods.sgd import SGD
from genfun.sample_space.galerkin import GalerkinSpace, Reduced
from genfun.sample_space.leading import judged
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.pairs import PairResponses

SETTINGS = ((0.5, 0.0), (0.9, -0.5), (0.02, 0.95), (0.3, 0.95))
"""(x, momentum) of the leading vectors in the basis, at learning rate x 2(1 + beta)/lambda_max."""
ROUGH, SPARING, FINE = 1e-2, 0.1, 1e-3
"""Residuals, relative to the eigenvalue, at which the search stops before gamma is chosen, the same where products take
long, and after it. Eigenvalues err by their squares."""
MOST = 60
"""Vectors added at most for one leading vector."""
STARTING_NOISE = 0.01
"""So that the search meets every direction."""


@dataclass(frozen=True, eq=False)
class SampleBasis:
    """Orthonormal vectors of sample space and their moments; see `sample_basis`.

    Attributes
    ----------
    vectors : array, shape (N, m)
        X; the first column is constant, 1/sqrt(N).
    moments : array, shape (m, r (r + 1)/2)
        Q(X_a), packed as in `SampleFeatures`; in single precision where the products were.
    coordinates : array, shape (k, m)
        In the subspace of the search.
    products : float
        Products with the features that it took, in products with the operator.
    first : array, shape (r,), or None
        The diagonal of the first moment, which has nothing else, in double precision where that was wanted.
    """

    vectors: Float[Array, "N m"]
    moments: Float[Array, "m pairs"]
    coordinates: Float[Array, "k m"]
    products: float
    first: Float[Array, " r"] | None = None


def at_share(x: float, beta: float, lambda_max: float) -> SGD:
    """Heavy-ball SGD with one sample a batch, at the share x of the largest rate that the curvature allows.

    Parameters
    ----------
    x, beta : float
        alpha = x 2(1 + beta)/lambda_max, and the momentum.
    lambda_max : float
    """
    return SGD(x * 2.0 * (1.0 + beta) / lambda_max, beta, 1)


def found_leading(at: Reduced, tolerance: float) -> tuple[Float[Array, " m"], float]:
    """Coordinates and value of the leading vector, the subspace growing by residuals until one is small.

    Parameters
    ----------
    at : Reduced
        The operator at real and positive weights.
    tolerance : float
        Of the residual relative to the value.
    """
    count = 0
    while True:
        pair = at.leading()
        rest, size, _ = judged(at.space, at.weights, pair)
        if size <= tolerance or count == MOST or not at.space.add(rest):
            return pair.coordinates, pair.value
        count += 1


def chosen(space: GalerkinSpace, columns: list[Float[Array, " _"]], double: bool = False) -> SampleBasis:
    """The orthonormal basis of the span of some vectors of a subspace, of which dependent ones are left out.

    Parameters
    ----------
    space : GalerkinSpace
        Its first vector is the constant one, positive.
    columns : list of array
        Coordinates, each as long as the subspace was when it was found; the first is that of the constant vector.
    double : bool
        Whether moments are wanted in double precision, where the subspace is searched in single: that of the constant
        vector is then exact, and with it the mean path; the others are made anew only where they would lose digits.
    """
    kept: list[Array] = []
    for column in columns:
        vector = np.zeros(len(space))
        vector[: column.size] = column / np.linalg.norm(column)
        for _ in range(2):
            for other in kept:
                vector = vector - (other @ vector) * other
        norm = float(np.linalg.norm(vector))
        if norm > 1e-8:
            kept.append(vector / norm)
    coordinates = np.stack(kept, axis=1)
    vectors, features = space.vectors.T @ coordinates, space.features.in_double()
    if double and features is not space.features:
        moments = features.empty(len(kept))
        for packed, vector in zip(moments, vectors.T, strict=True):
            packed[:] = features.moment(vector)
    else:
        moments = space.moment(coordinates.T)
        moments = moments if space.features.host else space.features.fetch(moments)
    first = features.lam / np.sqrt(features.size) if double and space.features.host else None
    return SampleBasis(vectors, moments, coordinates, 0.5 * space.halves, first)


def sample_basis(
    space: GalerkinSpace, late: bool = False, progress: Callable[[float, str], None] | None = None, seed: int = 0
) -> list[Float[Array, " _"]]:
    r"""Vectors on which the operator A of the noise is nearly exact, for every method, rate and batch size.

    .. math:: X = \operatorname{orth}\{1,\ (|\psi_i|^2)_i,\ p_L,\ s_1, \dots, s_4\}

    p_L is the leading vector of A at small rates, without momentum, where u = 1/(alpha (lambda_j + lambda_k)); the s
    are the leading vectors of A(1) at `SETTINGS`. An s is found roughly at gamma = 1, and then at the gamma at which
    the noise gain is 1, if that is smaller. All searches share one growing subspace.

    **Assumptions.** The search meets every direction: it starts with (|psi_i|^2)_i and 1 % of noise on it.

    Parameters
    ----------
    space : GalerkinSpace
        Empty; holds all vectors met on the way afterwards.
    late : bool
        Whether to add the square of the slowest mode's feature: without label noise it sets the last rate of decay.
    progress : callable or None
        Called with (fraction done, stage).
    seed : int
        Of the noise in the start.

    Returns
    -------
    list of array
        Coordinates in the subspace of 7 vectors (8 with `late`), for `chosen`.
    """
    say = progress or (lambda fraction, stage: None)
    stage = "leading vectors of the noise"
    features, lam = space.features, space.features.lam
    first, second = features.pair_index
    squares = features.quadratic(features.put(np.where(first == second, 1.0, 0.0)))
    noisy = squares * (1.0 + STARTING_NOISE * np.random.default_rng(seed).standard_normal(features.size))
    for vector in (np.ones(features.size), squares, noisy):
        space.add(vector)
    rough = SPARING if features.many else ROUGH
    columns = [np.array([1.0]), space.vectors @ squares]
    sums = lam[first] + lam[second]
    columns.append(found_leading(space.seen(features.put((2.0 - (first == second)) * sums[-1] / sums)), FINE)[0])
    for i, (x, beta) in enumerate(SETTINGS, start=1):
        say(i / (len(SETTINGS) + 1), stage)
        method = at_share(x, beta, float(lam.max()))
        at = space.seen(features.weights(PairResponses(method, 1.0), 0.0))
        _, gain = found_leading(at, rough)
        if gain > 1.0:
            at = space.seen(features.weights(PairResponses(method, 1.0 / gain), 0.0))
        columns.append(found_leading(at, FINE)[0])
    if late:
        slowest = features.column(int(np.argmin(lam))) ** 2
        space.add(slowest)
        columns.append(space.vectors @ slowest)
    say(1.0, stage)
    return columns


def orthonormal_basis(features: SampleFeatures, columns: list[Float[Array, " N"]]) -> SampleBasis:
    """A basis of given vectors, the first of them constant and positive.

    Parameters
    ----------
    features : SampleFeatures
    columns : list of array, shape (N,)
    """
    space = GalerkinSpace(features)
    for column in columns:
        space.add(column)
    return chosen(space, list(np.eye(len(space))))
