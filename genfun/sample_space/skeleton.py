"""A few pairs of eigenvalues that stand for all: for maps over many settings of heavy-ball SGD."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.inversion import hyperbola
from genfun.sample_space.fast_pairs import denominator_coefficients, pair_features
from genfun.sample_space.projection import PairMeasure

SETTINGS, SKETCH, MOST = 500, 110, 200
"""Random settings at which the pairs are compared, random mixtures of them, and pairs kept at most."""
TOLERANCE = 1e-9
"""Part of the largest column that a left-out pair may differ by from its interpolation."""
LARGEST_MOMENTUM = 0.9
WIDE_MOMENTUM, WIDE_MOST, WIDE_SKETCH = 0.9995, 420, 260
"""Largest momentum, pairs kept and mixtures of the skeleton for searches near momentum 1, which takes more pairs."""


def random_settings(
    pairs: PairMeasure, count: int, rng: np.random.Generator, wide: bool = False
) -> tuple[Array, Array, Array, Array]:
    """(q, beta, gamma, rate) as a map meets them: stable and unstable rates, the edge, and contours at all steps.

    Parameters
    ----------
    pairs : PairMeasure
    count : int
    rng : numpy Generator
    wide : bool
        Momenta up to `WIDE_MOMENTUM`, evenly in log(1 - abs(beta)), in place of up to `LARGEST_MOMENTUM`.
    """
    low, high = float(pairs.nodes[0]), float(pairs.nodes[-1])
    beta = rng.uniform(-LARGEST_MOMENTUM, LARGEST_MOMENTUM, count)
    if wide:
        beta = (1.0 - np.exp(rng.uniform(np.log(1.0 - WIDE_MOMENTUM), 0.0, count))) * np.where(
            rng.random(count) < 0.75, 1, -1
        )
    rate = 2.0 * (1.0 + beta) / high * np.exp(rng.uniform(np.log(1e-5), 0.0, count))
    gamma = np.exp(rng.uniform(np.log(1e-3), 0.0, count))
    contour = hyperbola(16, 1.0).nodes
    time = np.exp(rng.uniform(np.log(20.0), np.log(1e6), count))
    p = contour[rng.integers(0, contour.size, count)] / time
    p = np.where(np.abs(p.imag) < np.pi, p, 1.0j * rng.uniform(0.0, np.pi, count))
    # Left of 0, but right of the slowest pair of modes.
    p = p - np.minimum(2.0 * rate * low / (1.0 - beta), 0.5) * rng.uniform(0.0, 0.9, count)
    p[: count // 4] = 0.0
    return -np.expm1(-p), beta, gamma, rate


def skeleton(pairs: PairMeasure, seed: int = 0, wide: bool = False) -> PairMeasure:
    r"""Nearly the same sums from few pairs, by an interpolative decomposition.

    .. math:: \sum_P W_P\,u_P \approx \sum_{J} W'_J\,u_J,\qquad u_P \approx \sum_J u_J T_{JP}

    The pairs J are chosen by a pivoted QR decomposition of u and v at random settings, weighted as in the sums.

    **Assumptions.** Heavy-ball SGD with abs(momentum) up to 0.9; the noise gain is then good to about 1e-7, the loss
    to 1e-5.

    Parameters
    ----------
    pairs : PairMeasure
    seed : int
        Of the random settings.
    wide : bool
        For momenta up to `WIDE_MOMENTUM`, with about twice the pairs.
    """
    from scipy.linalg import qr, solve_triangular

    most, sketch = (WIDE_MOST, WIDE_SKETCH) if wide else (MOST, SKETCH)
    if pairs.first.size <= most:
        return pairs
    rng = np.random.default_rng(seed)
    q, beta, gamma, rate = random_settings(pairs, SETTINGS * (2 if wide else 1), rng, wide)
    inverse = 1.0 / (pair_features(pairs) @ denominator_coefficients(q, beta, gamma, rate)).T
    z = 1.0 - q
    forgets = 1.0 - beta * z
    u = (gamma * rate**2 * (1.0 - (beta * z) ** 2))[:, None] * inverse
    sums = pair_features(pairs)[:, 1]
    v = (forgets * forgets * (1.0 - beta**2 * z))[:, None] * inverse
    v = v + (forgets * beta * z * rate)[:, None] * (inverse * sums)
    kernel = np.linalg.norm(pairs.kernel, axis=0)
    source = np.linalg.norm(pairs.source, axis=0)
    columns = []
    for values, weights in ((u, kernel), (v, source)):
        rows = np.concatenate([values.real, values.imag[q.size // 4 :]]) * weights
        rows /= np.maximum(np.abs(rows).sum(axis=1, keepdims=True), 1e-300)
        columns.append(rng.standard_normal((sketch, rows.shape[0])) @ rows)
    factors: Any = qr(np.concatenate(columns), mode="economic", pivoting=True)
    _, triangle, order = factors
    size = np.abs(np.diag(triangle))
    rank = min(int(np.count_nonzero(size > TOLERANCE * size[0])), most)
    chosen, rest = order[:rank], order[rank:]
    mixture = np.zeros((rank, order.size))
    mixture[:, chosen] = np.eye(rank)
    mixture[:, rest] = solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:])

    def moved(weights: Array, size: Array) -> Array:
        relative = np.divide(weights, size, out=np.zeros_like(weights), where=size > 0.0)
        return (relative @ mixture.T) * size[chosen]

    return replace(
        pairs,
        first=pairs.first[chosen],
        second=pairs.second[chosen],
        kernel=moved(pairs.kernel, kernel),
        source=moved(pairs.source, source),
    )
