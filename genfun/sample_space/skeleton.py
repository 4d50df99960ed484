"""A few pairs of eigenvalues that stand for all: for curves, and for maps over many settings of heavy-ball SGD."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array
from genfun.engine.inversion import hyperbola
from genfun.methods.sgd import SGD
from genfun.sample_space.fast_pairs import denominator_coefficients
from genfun.sample_space.projection import PairMeasure

SETTINGS, SKETCH, MOST = 500, 110, 200
"""Random settings at which the pairs are compared, random mixtures of them, and pairs kept at most."""
TOLERANCE = 1e-9
"""Part of the largest column that a left-out pair may differ by from its interpolation."""
LARGEST_MOMENTUM = 0.9
WIDE_MOMENTUM, WIDE_MOST, WIDE_SKETCH = 0.9995, 420, 260
"""Largest momentum, pairs kept and mixtures of the skeleton for searches near momentum 1, which takes more pairs."""
BLOCK, BLOCK_SETTINGS, BLOCK_SKETCH, MANY = 20, 160, 120, 1_000
"""Nodes a side of the blocks of pairs that are thinned each by itself first, the settings and mixtures for that, and
pairs from which it pays."""
CLOSE_MOMENTUM, CLOSE_SETTINGS, CLOSE_SKETCH, CLOSE_TOLERANCE = 0.95, 1_200, 450, 1e-13
"""Largest momentum, settings, mixtures and tolerance where little beyond rounding is to be lost: twice the settings for
blocks, too, as resonances are narrow."""
SLOWEST = 4
"""Nodes whose pairs among themselves are kept as they are: their poles set the last rate of decay."""
CELLS = 16_384
"""Settings times pairs worked on together, so that all working arrays stay in the cache."""
TRUSTED = 1e-7
"""Departure up to which few pairs stand for all in a single curve."""


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
        beta = _momenta(count, WIDE_MOMENTUM, rng)
    rate = 2.0 * (1.0 + beta) / high * np.exp(rng.uniform(np.log(1e-5), 0.0, count))
    gamma = np.exp(rng.uniform(np.log(1e-3), 0.0, count))
    p = _contour_points(count, rng)
    # Left of 0, but right of the slowest pair of modes.
    p = p - np.minimum(2.0 * rate * low / (1.0 - beta), 0.5) * rng.uniform(0.0, 0.9, count)
    p[: count // 4] = 0.0
    return -np.expm1(-p), beta, gamma, rate


def curve_settings(pairs: PairMeasure, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """(q, beta, gamma, rate) as single curves meet them: circles about 0 as well, and points near the late rates.

    Parameters
    ----------
    pairs : PairMeasure
    count : int
    rng : numpy Generator
    """
    low, high = float(pairs.nodes[0]), float(pairs.nodes[-1])
    beta = _momenta(count, CLOSE_MOMENTUM, rng)
    least = np.where(np.arange(count) % 2 == 0, 3e-2, 1e-5)
    rate = 2.0 * (1.0 + beta) / high * np.exp(np.log(least) * rng.random(count))
    gamma = np.exp(rng.uniform(np.log(1e-3), 0.0, count))
    p = _contour_points(count, rng)
    eighth = count // 8
    p[:eighth] = 0.0
    pole = np.minimum(2.0 * rate * low / (1.0 - beta), 0.5)
    p[eighth : 2 * eighth] = -(pole * (1.0 - np.exp(rng.uniform(np.log(1e-7), 0.0, count))))[eighth : 2 * eighth]
    around = slice(2 * eighth, 7 * eighth)
    inward = np.exp(rng.uniform(np.log(1e-4), np.log(0.3), count))
    angle = rng.uniform(0.0, np.pi, count)
    # Slow modes show near the real axis, the fast ones at the angle of one of their roots or of the product of two.
    angle[::2] *= np.exp(rng.uniform(np.log(1e-4), 0.0, angle[::2].size))
    turn = _turn(beta, rate * high * rng.random(count)) * rng.integers(1, 3, count)
    angle[1::4] = _folded(turn)[1::4]
    p[around] = (inward - 1.0j * angle)[around]
    return -np.expm1(-p), beta, gamma, rate


def _momenta(count: int, largest: float, rng: np.random.Generator) -> Array:
    size = 1.0 - np.exp(rng.uniform(np.log(1.0 - largest), 0.0, count))
    return size * np.where(rng.random(count) < 0.75, 1.0, -1.0)


def _contour_points(count: int, rng: np.random.Generator) -> Array:
    """p on the hyperbolas of random steps."""
    contour = hyperbola(16, 1.0).nodes
    time = np.exp(rng.uniform(np.log(20.0), np.log(1e6), count))
    p = contour[rng.integers(0, contour.size, count)] / time
    return np.where(np.abs(p.imag) < np.pi, p, 1.0j * rng.uniform(0.0, np.pi, count))


def _turn(beta: Any, a: Any) -> Any:
    """The angle of the roots of a mode; 0 where they are real and positive."""
    half = 0.5 * (1.0 + np.asarray(beta) - a)
    return np.arccos(np.clip(half / np.sqrt(np.maximum(beta, 1e-300)), -1.0, 1.0))


def _folded(angle: Array) -> Array:
    """An angle as one between 0 and pi, conjugates being one."""
    return np.abs((angle + np.pi) % (2.0 * np.pi) - np.pi)


@on_one_thread
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
    most, sketch = (WIDE_MOST, WIDE_SKETCH) if wide else (MOST, SKETCH)
    if pairs.first.size <= most:
        return pairs
    rng = np.random.default_rng(seed)
    if pairs.first.size > MANY:
        pairs = _block_by_block(pairs, random_settings(pairs, BLOCK_SETTINGS, rng, wide))
    settings = random_settings(pairs, SETTINGS * (2 if wide else 1), rng, wide)
    return _thinned(pairs, settings, sketch, TOLERANCE, most - SLOWEST * (SLOWEST + 1) // 2)


@on_one_thread
def close_skeleton(pairs: PairMeasure, seed: int = 0) -> PairMeasure:
    r"""The same with as many pairs as it takes to lose little beyond rounding, for single curves.

    **Assumptions.** Heavy-ball SGD with abs(momentum) up to 0.95. Values are good to about 1e-12 up to momentum 0.5,
    and to 1e-7 at 0.9 near the resonances of fast modes: `departure` tells for a setting.

    Parameters
    ----------
    pairs : PairMeasure
    seed : int
        Of the random settings.
    """
    if pairs.first.size <= CLOSE_SKETCH:
        return pairs
    rng = np.random.default_rng(seed)
    some = _block_by_block(pairs, curve_settings(pairs, 2 * BLOCK_SETTINGS, rng))
    return _thinned(some, curve_settings(pairs, CLOSE_SETTINGS, rng), CLOSE_SKETCH, CLOSE_TOLERANCE, some.first.size)


@dataclass(frozen=True, eq=False)
class FewPairs:
    """Pairs for one setting, and how far their sums are from those of all.

    Parameters
    ----------
    pairs : PairMeasure
    real, circle : float
        From `departure`.
    """

    pairs: PairMeasure
    real: float = 0.0
    circle: float = 0.0


@on_one_thread
def departure(pairs: PairMeasure, few: PairMeasure, method: SGD, gamma: float) -> tuple[float, float]:
    """How far the sums over few pairs are from those over all for one setting, relative to their absolute terms.

    Parameters
    ----------
    pairs, few : PairMeasure
    method : SGD
        Heavy-ball SGD.
    gamma : float
        Sampling factor.

    Returns
    -------
    (float, float)
        The largest near the real axis, down to the slowest rate of decay; and elsewhere about the unit circle, where
        the resonances of the fastest modes are.
    """
    beta, rate = method.momentum, method.learning_rate
    fastest = float(_turn(beta, rate * pairs.nodes[-1]))
    angle = np.concatenate([[1e-3, 1e-2, 0.1], np.linspace(0.6, np.pi, 6), _folded(fastest * np.arange(1, 3))])
    pole = 2.0 * rate * pairs.nodes[0] / (1.0 - beta)
    real = -min(pole, 0.5) * np.array([0.0, 0.9, 0.999, 1.0 - 1e-6])
    p = np.concatenate([real, 1e-3 - 1.0j * angle])
    table = np.ascontiguousarray(denominator_coefficients(-np.expm1(-p), beta, gamma, rate))
    inverse, other = (np.reciprocal((each.features @ table.view(float)).view(complex)) for each in (pairs, few))
    sizes, worst = np.abs(inverse), np.zeros(p.size)
    for old, new, norms in ((pairs.kernel, few.kernel, pairs.sizes[0]), (pairs.source, few.source, pairs.sizes[1])):
        difference = (old @ inverse.view(float)).view(complex) - (new @ other.view(float)).view(complex)
        worst = np.maximum(worst, (np.abs(difference) / (norms @ sizes)).max(axis=0))
    near = real.size + 3
    return float(worst[:near].max()), float(worst[near:].max())


def _block_by_block(pairs: PairMeasure, settings: tuple[Array, Array, Array, Array]) -> PairMeasure:
    """Each block of neighbours thinned by itself, to rounding, so that a decomposition chooses among far fewer.

    On a block all responses are smooth, so that few pairs stand for it and few settings tell which.
    """
    block = (pairs.first // BLOCK) * pairs.nodes.size + pairs.second // BLOCK
    table = _sketched(pairs, settings, BLOCK_SKETCH)
    blocks = [np.flatnonzero(block == each) for each in np.unique(block)]
    return _moved(pairs, table, blocks, CLOSE_TOLERANCE, table.shape[0])


def _thinned(
    pairs: PairMeasure, settings: tuple[Array, Array, Array, Array], sketch: int, tolerance: float, most: int
) -> PairMeasure:
    return _moved(pairs, _sketched(pairs, settings, sketch), [np.arange(pairs.first.size)], tolerance, most)


def _sketched(pairs: PairMeasure, settings: tuple[Array, Array, Array, Array], sketch: int) -> Array:
    """Random mixtures of the responses at all settings: as many of u as of v."""
    rng = np.random.default_rng(settings[0].size)
    return np.concatenate([rng.standard_normal((sketch, rows.shape[0])) @ rows for rows in _responses(pairs, settings)])


def _responses(pairs: PairMeasure, settings: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
    """u and v of all pairs at every setting, real and imaginary parts apart, weighted as in the sums.

    Every row is relative to the sum of its absolute terms.
    """
    count, turned = settings[0].size, np.flatnonzero(np.imag(settings[0]) != 0.0)
    tables = [np.empty((count + turned.size, pairs.first.size)) for _ in range(2)]
    together = max(1, CELLS // pairs.first.size)
    for start in range(0, count, together):
        rows = slice(start, min(start + together, count))
        low, high = np.searchsorted(turned, (rows.start, rows.stop))
        q, beta, gamma, rate = (x[rows] for x in settings)
        inverse = np.reciprocal(denominator_coefficients(q, beta, gamma, rate).T @ pairs.features.T)
        z = 1.0 - q
        forgets = 1.0 - beta * z
        sums = (forgets * beta * z * rate)[:, None] * pairs.features[:, 1]
        sums += (forgets * forgets * (1.0 - beta**2 * z))[:, None]
        u = (gamma * rate**2 * (1.0 - (beta * z) ** 2))[:, None] * inverse
        for table, values, sizes in zip(tables, (u, sums * inverse), pairs.sizes, strict=True):
            for found, place in ((np.real(values), rows), (np.imag(values), slice(count + low, count + high))):
                found = found if place is rows else found[turned[low:high] - start]
                found = np.multiply(found, sizes, out=table[place])
                found /= np.maximum(np.abs(found).sum(axis=1, keepdims=True), 1e-300)
    return tables[0], tables[1]


def _moved(pairs: PairMeasure, table: Array, blocks: list[Array], tolerance: float, most: int) -> PairMeasure:
    """The weights of every block of pairs moved to the few of it from which the columns of a table follow."""
    largest = tolerance * float(np.linalg.norm(table, axis=0).max())
    kernel, source = pairs.sizes
    slow = np.flatnonzero(pairs.second < SLOWEST)
    kept, kernels, sources = [slow], [pairs.kernel[:, slow]], [pairs.source[:, slow]]
    for block in (block[pairs.second[block] >= SLOWEST] for block in blocks):
        some, rest, mixture = _interpolated(table[:, block], largest, most)
        some, rest = block[some], block[rest]
        kept.append(some)
        for moved, weights, size in ((kernels, pairs.kernel, kernel), (sources, pairs.source, source)):
            relative = weights[:, rest] / np.where(size[rest] > 0.0, size[rest], np.inf)
            moved.append(weights[:, some] + (relative @ mixture.T) * size[some])
    chosen = np.concatenate(kept)
    return replace(
        pairs,
        first=pairs.first[chosen],
        second=pairs.second[chosen],
        kernel=np.concatenate(kernels, axis=1),
        source=np.concatenate(sources, axis=1),
    )


def _interpolated(columns: Array, smallest: float, most: int) -> tuple[Array, Array, Array]:
    """Indices of columns that are kept, those of the rest, and the rest as mixtures of the kept."""
    from scipy.linalg import qr, solve_triangular

    factors: Any = qr(columns, mode="r", pivoting=True, overwrite_a=True, check_finite=False)
    triangle, order = factors
    sizes = np.abs(np.diag(triangle))
    # Modes that share no sample, as of categories, have nothing in common: of a block of such pairs none is kept.
    least = int(np.count_nonzero(sizes[:1] > 0.0))
    rank = min(max(int(np.count_nonzero(sizes > smallest)), least), most)
    mixture: Any = solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:])
    return order[:rank], order[rank:], mixture
