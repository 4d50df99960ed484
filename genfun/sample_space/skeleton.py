"""A few pairs of eigenvalues that stand for all: for curves, and for maps over many settings of heavy-ball SGD."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array
from genfun.engine.inversion import hyperbola
from genfun.sample_space.projection import PairMeasure
from genfun.sample_space.sketch import Places, sketched

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
BLOCK_TOLERANCE = 1e-11
"""The tolerance of blocks where all that follows has `TOLERANCE`."""
CLOSE_MOMENTUM, CLOSE_SETTINGS, CLOSE_SKETCH, CLOSE_TOLERANCE = 0.95, 1_600, 450, 3e-15
"""Largest momentum, settings, mixtures and tolerance where little beyond rounding is to be lost."""
CLOSE_BLOCK_SETTINGS, CLOSE_BLOCK_SKETCH = 440, 140
"""The same for blocks. Resonances are narrow: with three quarters of the settings they decided by chance."""
LATE_SETTINGS, BLOCK_LATE_SETTINGS = 300, 100
"""Settings at which late losses are looked at, for all pairs and for blocks."""
LATEST, SLOW = 1e16, 50.0
"""Latest step that settings look at; they do so to SLOW times the ratio of the fastest mode's rate to the slowest."""
SLOWEST = 4
"""Nodes whose pairs among themselves are kept as they are: their poles set the last rate of decay."""
CROWDED = 1.3
"""Columns for every row from which some are left out by elimination first."""


def random_settings(pairs: PairMeasure, count: int, rng: np.random.Generator, wide: bool = False) -> Places:
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
    p = _contour_points(count, high / low, rng)
    # Left of 0, but right of the slowest pair of modes.
    p = p - np.minimum(2.0 * rate * low / (1.0 - beta), 0.5) * rng.uniform(0.0, 0.9, count)
    p[: count // 4] = 0.0
    return -np.expm1(-p), beta, gamma, rate


def curve_settings(pairs: PairMeasure, count: int, rng: np.random.Generator) -> Places:
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
    p = _contour_points(count, high / low, rng)
    eighth = count // 8
    p[:eighth] = 0.0
    pole = np.minimum(2.0 * rate * low / (1.0 - beta), 0.5)
    p[eighth : 2 * eighth] = -(pole * (1.0 - np.exp(rng.uniform(np.log(1e-7), 0.0, count))))[eighth : 2 * eighth]
    around = slice(2 * eighth, 7 * eighth)
    inward = np.exp(rng.uniform(np.log(1e-4), np.log(0.3), count))
    angle = rng.uniform(0.0, np.pi, count)
    # Slow modes show near the real axis, the fast ones at the angle of one of their roots or of the product of two.
    angle[::2] *= np.exp(rng.uniform(np.log(1e-4), 0.0, angle[::2].size))
    turned = turn(beta, rate * high * rng.random(count)) * rng.integers(1, 3, count)
    angle[1::4] = folded(turned)[1::4]
    p[around] = (inward - 1.0j * angle)[around]
    return -np.expm1(-p), beta, gamma, rate


def _momenta(count: int, largest: float, rng: np.random.Generator) -> Array:
    size = 1.0 - np.exp(rng.uniform(np.log(1.0 - largest), 0.0, count))
    return size * np.where(rng.random(count) < 0.75, 1.0, -1.0)


def late_settings(pairs: PairMeasure, count: int, rng: np.random.Generator) -> Places:
    """(q, beta, gamma, rate) on the real axis, at all distances from the slowest pole.

    Parameters
    ----------
    pairs : PairMeasure
    count : int
    rng : numpy Generator
    """
    low, high = float(pairs.nodes[0]), float(pairs.nodes[-1])
    beta = _momenta(count, CLOSE_MOMENTUM, rng)
    rate = 2.0 * (1.0 + beta) / high * np.exp(np.log(1e-3) * rng.random(count))
    gamma = np.exp(rng.uniform(np.log(1e-3), 0.0, count))
    pole = np.minimum(2.0 * rate * low / (1.0 - beta), 0.5)
    p = np.exp(rng.uniform(np.log(0.1 * pole), np.log(0.3))) - 0.999 * pole
    return -np.expm1(-p), beta, gamma, rate


def _contour_points(count: int, spread: float, rng: np.random.Generator) -> Array:
    """p on the hyperbolas of random steps, until the slowest of modes that are spread so far apart has moved."""
    contour = hyperbola(16, 1.0).nodes
    time = np.exp(rng.uniform(np.log(20.0), np.log(np.clip(SLOW * spread, 1e6, LATEST)), count))
    p = contour[rng.integers(0, contour.size, count)] / time
    return np.where(np.abs(p.imag) < np.pi, p, 1.0j * rng.uniform(0.0, np.pi, count))


def turn(beta: Any, a: Any) -> Any:
    """The angle of the roots of a mode; 0 where they are real and positive.

    Parameters
    ----------
    beta, a : numbers or arrays that broadcast
        Momentum, and learning rate times eigenvalue.
    """
    half = 0.5 * (1.0 + np.asarray(beta) - a)
    return np.arccos(np.clip(half / np.sqrt(np.maximum(beta, 1e-300)), -1.0, 1.0))


def folded(angle: Array) -> Array:
    """An angle as one between 0 and pi, conjugates being one.

    Parameters
    ----------
    angle : array
        Radians.
    """
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
        pairs = _block_by_block(pairs, random_settings(pairs, BLOCK_SETTINGS, rng, wide), BLOCK_TOLERANCE)
    settings = random_settings(pairs, SETTINGS * (2 if wide else 1), rng, wide)
    return _thinned(pairs, settings, sketch, TOLERANCE, most - SLOWEST * (SLOWEST + 1) // 2)


@on_one_thread
def close_skeleton(pairs: PairMeasure, seed: int = 0) -> PairMeasure:
    r"""The same with as many pairs as it takes to lose little beyond rounding, for single curves.

    **Assumptions.** Heavy-ball SGD with abs(momentum) up to 0.95. Values are good to about 1e-12 up to momentum 0.5,
    and to 1e-7 at 0.9 near the resonances of fast modes: `genfun.sample_space.few_pairs.departure` tells for a setting.

    Parameters
    ----------
    pairs : PairMeasure
    seed : int
        Of the random settings.
    """
    if pairs.first.size <= CLOSE_SKETCH:
        return pairs
    rng = np.random.default_rng(seed)
    late = late_settings(pairs, BLOCK_LATE_SETTINGS, rng)
    places = curve_settings(pairs, CLOSE_BLOCK_SETTINGS, rng)
    some = _block_by_block(pairs, places, CLOSE_TOLERANCE, late, CLOSE_BLOCK_SKETCH)
    settings, late = curve_settings(pairs, CLOSE_SETTINGS, rng), late_settings(pairs, LATE_SETTINGS, rng)
    return _thinned(some, settings, CLOSE_SKETCH, CLOSE_TOLERANCE, some.first.size, late)


def _block_by_block(
    pairs: PairMeasure, settings: Places, tolerance: float, late: Places | None = None, sketch: int = BLOCK_SKETCH
) -> PairMeasure:
    """Each block of neighbours thinned by itself, nearly to rounding: a decomposition then chooses among far fewer.

    On a block all responses are smooth, so that few pairs stand for it and few settings tell which.
    """
    block = (pairs.first // BLOCK) * pairs.nodes.size + pairs.second // BLOCK
    table = sketched(pairs, settings, sketch, late)
    blocks = [np.flatnonzero(block == each) for each in np.unique(block)]
    return _moved(pairs, table, blocks, tolerance, table.shape[0])


def _thinned(
    pairs: PairMeasure,
    settings: Places,
    sketch: int,
    tolerance: float,
    most: int,
    late: Places | None = None,
) -> PairMeasure:
    return _moved(pairs, sketched(pairs, settings, sketch, late), [np.arange(pairs.first.size)], tolerance, most)


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
    """Indices of columns that are kept, those of the rest, and the rest as mixtures of the kept.

    Where columns are many more than rows, elimination first finds as many as there are rows, of which all are mixtures:
    it takes a part of the time of a decomposition that looks for the largest column at every step. Where fewer are to
    stay than tell all columns apart, that decomposition has to choose among all.
    """
    if columns.shape[1] < CROWDED * columns.shape[0] or most < columns.shape[0]:
        return _largest_first(columns, smallest, most)
    some, others, by_some = _eliminated(columns)
    kept, rest, by_kept = _largest_first(columns[:, some], smallest, most)
    mixture = np.concatenate([by_kept, by_some[kept] + by_kept @ by_some[rest]], axis=1)
    return some[kept], np.concatenate([some[rest], others]), mixture


def _largest_first(columns: Array, smallest: float, most: int) -> tuple[Array, Array, Array]:
    """The same by a QR decomposition with pivots, which ends where what is left of all columns is small."""
    from scipy.linalg import qr, solve_triangular

    factors: Any = qr(columns, mode="r", pivoting=True, overwrite_a=True, check_finite=False)
    triangle, order = factors
    sizes = np.abs(np.diag(triangle))
    # Modes that share no sample, as of categories, have nothing in common: of a block of such pairs none is kept.
    least = int(np.count_nonzero(sizes[:1] > 0.0))
    rank = min(max(int(np.count_nonzero(sizes > smallest)), least), most)
    mixture: Any = solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:])
    return order[:rank], order[rank:], mixture


def _eliminated(columns: Array) -> tuple[Array, Array, Array]:
    """The same by elimination with exchange of columns, as many of them kept as there are rows."""
    from scipy.linalg import get_lapack_funcs, solve_triangular

    rank, order = columns.shape[0], np.arange(columns.shape[1])
    eliminate: Any = get_lapack_funcs("getrf", (columns,))
    factors, exchanged, _ = eliminate(columns.T)
    for i, other in enumerate(exchanged.tolist()):
        order[[i, other]] = order[[other, i]]
    lower = factors[:rank]
    mixture: Any = solve_triangular(lower, factors[rank:].T, trans=1, lower=True, unit_diagonal=True)
    return order[:rank], order[rank:], mixture
