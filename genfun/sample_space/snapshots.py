"""Vectors for losses: exact solutions in sample space at a few settings, of which the main directions join a basis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float, Shaped
from genfun.methods.sgd import SGD
from genfun.sample_space.basis import FINE, SampleBasis, chosen, found_leading
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.operator import SampleFeatures, quadratic
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.residuals import label_source, packed_start
from genfun.sample_space.resolvent import solve

if TYPE_CHECKING:
    from genfun.sample_space.measured import MeasuredNoise

PANEL = (
    (1, 0.0, 0.9, 30),
    (64, 0.9, 0.9, 30),
    (1, 0.0, 0.9, 0.3),
    (8, 0.5, 0.9, 10),
    (1, 0.0, 0.5, 300),
    (8, 0.95, 0.9, 100),
    (1, -0.6, 0.9, 3),
    (64, 0.0, 0.9, 300),
    (1, 0.9, 0.5, 30),
    (64, 0.9, 0.5, 1000),
    (1, 0.0, 0.2, 1000),
)
"""(batch size, momentum, share of the edge, step) of the solutions, the most telling first; a step below 1 looks at the
start."""
TURNED = 1.0 + 3.0j
"""t (p - p_0) of a second point at every setting, off the real axis: it sees what oscillates."""
RESIDUAL, ROUGH = 1e-5, 1e-2
"""Relative residual at which a solution is good enough to span others, and where few of them are kept."""
WORK, FEWEST = 1e8, 4
"""N r^2 times settings of the panel at most, and the settings at least."""
LEAST, LARGEST, ROOM = 6, 16, 3e5
"""Vectors that are added at least; vectors of a basis, and half its square times the pairs of nodes, at most."""
MOST, WIDER = 28, 3.0
"""Vectors at most where fewer are not sound, and the factor of the room then."""
SMALLEST = 1e-10
"""Singular value, relative to unit solutions, below which a direction is rounding."""


def supplemented(
    data: Any,
    features: SampleFeatures,
    space: GalerkinSpace,
    basis: SampleBasis,
    noise: MeasuredNoise,
    project: Callable[[SampleBasis], MeasuredNoise],
) -> MeasuredNoise:
    """The noise on more vectors, the main directions of exact solutions: as many as make it sound, if some do.

    Parameters
    ----------
    data : Any
    features : SampleFeatures
        Of the data.
    space : GalerkinSpace
        It grows.
    basis : SampleBasis
        In this subspace.
    noise : MeasuredNoise
        On this basis.
    project : callable
        From a basis to the noise on it, judged.
    """
    solved, known, found = solutions(data, features, space, noise.on_all_pairs()), basis.coordinates, noise
    for room, largest in ((ROOM, LARGEST), (WIDER * ROOM, MOST)):
        size = max(noise.pairs.size + LEAST, min(int(np.sqrt(2.0 * room / noise.pairs.first.size)), largest))
        if size > found.pairs.size:
            more = main_directions(len(space), known, solved, size - noise.pairs.size)
            found = project(chosen(space, [*known.T, *more], double=True))
        if found.sound or len(settings_for(_work(data))) == FEWEST:
            break
    return found


def settings_for(work: float) -> tuple[tuple[int, float, float, float], ...]:
    """The part of `PANEL` that data can afford.

    Parameters
    ----------
    work : float
        N r^2.

    Examples
    --------
    >>> len(settings_for(1e4)), len(settings_for(1e9))
    (11, 4)
    """
    return PANEL[: int(np.clip(WORK / work, FEWEST, len(PANEL)))]


def solutions(
    data: Any, features: SampleFeatures, space: GalerkinSpace, noise: MeasuredNoise
) -> list[Shaped[Array, " _"]]:
    r"""Coordinates of exact solutions at the settings of the panel, of the loss and of its sensitivities.

    .. math:: (I - zA)\,p = \tilde b,\qquad (I - zA)\,w = 1,\qquad z = e^{-p_0 - 1/t},\ e^{-p_0 - (1 + 3i)/t}

    The error of the projected loss is the product of what the basis misses of both. At every edge of the panel the
    leading vector is searched for, too. All solutions share a growing subspace.

    Parameters
    ----------
    data : Any
    features : SampleFeatures
        Of the data.
    space : GalerkinSpace
        It grows.
    noise : MeasuredNoise
        A first measurement, for edges and rates of decay.
    """
    panel = settings_for(_work(data))
    whole = len(panel) == len(PANEL)
    tolerance, turns = (RESIDUAL, (1.0, TURNED)) if whole else (ROUGH, (1.0,))
    ones, start = np.ones(features.size), features.put(packed_start(data, features))
    found: list[Array] = []
    for b, beta, share, step in panel:
        at = SGD(1.0, beta, b if b < noise.n_samples else max(1, noise.n_samples // 2))
        gamma, edge = noise.sampling(at), noise.leading(at).learning_rate
        method = replace(at, learning_rate=share * edge)
        responses = PairResponses(method, gamma)
        shift = noise.transform(data.problem, method).known_singularity().shift
        for turn in turns:
            q = (-np.expm1(-(shift + turn / step))).item()
            operator = space.seen(features.weights(responses, q))
            for source in (_source(data, features, responses, q, start), ones):
                found.append(solve(operator, 1.0 - q, source, tolerance).coordinates)
        at_edge = PairResponses(replace(at, learning_rate=edge * (1.0 - 1e-9)), gamma)
        found.append(found_leading(space.seen(features.weights(at_edge, 0.0)), max(tolerance, FINE))[0])
    return found


def _work(data: Any) -> float:
    return float(data.n_samples) * float(data.eigenvalues.size) ** 2


def _source(data: Any, features: SampleFeatures, responses: PairResponses, q: Any, start: Any) -> Shaped[Array, " N"]:
    """b~ at z = 1 - q."""
    path = quadratic(features, features.pair_values(responses, q, 1), start)
    return path + label_source(data, responses, q)


def main_directions(
    size: int, known: Float[Array, "n m"], found: list[Shaped[Array, " _"]], count: int
) -> list[Float[Array, " k"]]:
    """The directions in which unit solutions leave a basis most, at most `count` of them.

    Parameters
    ----------
    size : int
        Vectors of the subspace.
    known : array, shape (n, m)
        Orthonormal coordinates of the basis.
    found : list of array
        Coordinates, each as long as the subspace was when it was found, real or complex.
    count : int
    """
    known = _stacked(list(known.T), size)
    split = [(np.real(c), np.imag(c)) if np.iscomplexobj(c) else (c,) for c in found]
    parts = [part for pieces in split for part in pieces if part.any()]
    if not parts or count < 1:
        return []
    # By the largest first: the squares of those of tiny targets underflow.
    parts = [part / np.abs(part).max() for part in parts]
    unit = _stacked([part / np.linalg.norm(part) for part in parts], size)
    turned, left, _ = np.linalg.svd(unit - known @ (known.T @ unit), full_matrices=False)
    return [turned[:, i] for i in range(min(count, left.size)) if left[i] > SMALLEST]


def _stacked(columns: list[Array], length: int) -> Float[Array, "k n"]:
    result = np.zeros((length, len(columns)))
    for i, column in enumerate(columns):
        result[: column.size, i] = column
    return result
