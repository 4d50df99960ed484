"""Bins on the spectrum, and the Gauss rules that replace the many modes in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from genfun._heap import keep_freed_memory
from genfun._typing import Array, Float, Int

# Every problem comes by here before the first array is large.
keep_freed_memory()

TOGETHER = 24_000
"""Points whose rules are made together."""
MANY = 30_000
"""From so many points on, in bins of the usual width, a first pass into narrow bins costs less than rules of many nodes
at once."""
NARROW = 192.0
"""How much narrower the bins of a first pass are. A rule of 3 nodes in a bin of width h errs by (omega h)^6 / 2e6 on
what turns by omega h in it, and by 0.09 h^6 where the nearest singularity is 0.4 away: in bins of which a wide one
holds 192, and turns by 8 at most, by 3e-15 and less."""
LEAST_SPREAD = 1e-3
"""Recurrence coefficients, in units of the half width, below which moments do not tell the nodes of a bin apart: few
distinct points, or one that outweighs the others. Of evenly spread weights they are 1/3 and 4/15."""


def bin_edges(
    least: float, greatest: float, gaps: tuple[float, float], width: float, at_top: float | None = None
) -> Float[Array, " e"]:
    r"""Edges of bins, geometric towards both ends of the spectrum.

    .. math:: y(\lambda) = \log\frac{\lambda-\lambda_{min}}{\lambda_{max}-\lambda}

    is divided evenly. Away from the ends y is log(lambda) up to a constant; close to the ends the bins shrink with the
    distance, because at late times (and near the stability edge) the integrands have their poles just outside
    [lambda_min, lambda_max].

    Parameters
    ----------
    least, greatest : float
        lambda_min, lambda_max.
    gaps : (float, float)
        Distance from each end to its nearest neighbour: where the bins may stop shrinking.
    width : float
        Width of a bin in y.
    at_top : float, optional
        Width at lambda_max, if less: 1/width then grows with the root of lambda, as the rate does at which modes turn.
    """
    span = greatest - least
    low = np.log(max(gaps[0] / span, 1e-300))
    high = -np.log(max(gaps[1] / span, 1e-17))

    def at(y: Array) -> Array:
        # lambda - lambda_min = span / (1 + exp(-y)), free of cancellation at the lower end.
        return least + span / (1.0 + np.exp(-y))

    if at_top is None:
        return at(np.linspace(low, high, max(2, int(np.ceil((high - low) / width)) + 1)))
    y = np.linspace(low, high, 2_000)
    per_bin = 1.0 / width + (1.0 / at_top - 1.0 / width) * np.sqrt(at(y) / greatest)
    count = np.append(0.0, np.cumsum(0.5 * np.diff(y) * (per_bin[1:] + per_bin[:-1])))
    return at(np.interp(np.linspace(0.0, count[-1], max(2, int(np.ceil(count[-1])) + 1)), count, y))


def gauss_rules(
    x: Float[Array, " n"], w: Float[Array, " n"], starts: Int[Array, " bins"], nodes: int
) -> tuple[Float[Array, "bins m"], Float[Array, "bins m"]]:
    """Gauss rules of many discrete measures at once.

    Bin i holds the consecutive points x[starts[i]:starts[i+1]]. Discretised Stieltjes procedure, all bins in step,
    then the eigenvalues of the Jacobi matrices (Golub and Welsch). Each rule integrates polynomials of degree
    2 * nodes - 1 exactly against its bin.
    """
    counts = np.diff(np.append(starts, x.size))
    centre, half = _frames(x, starts, counts)

    def spread(values: Array) -> Array:
        return np.repeat(values, counts)

    s = (x - spread(centre)) / spread(half)
    total = np.add.reduceat(w, starts)
    diagonal, offdiagonal = np.zeros((starts.size, nodes)), np.zeros((starts.size, nodes - 1))
    previous, current, norm = np.zeros_like(s), np.ones_like(s), total
    ratio, weighted = np.zeros(starts.size), w
    for j in range(nodes):
        alpha = np.divide(np.add.reduceat(weighted * s, starts), norm, out=np.zeros_like(norm), where=norm > 0.0)
        diagonal[:, j] = alpha
        if j == nodes - 1:
            break
        previous, current = current, (s - spread(alpha)) * current - spread(ratio) * previous
        weighted = w * current * current
        new = np.add.reduceat(weighted, starts)
        # A bin with fewer distinct points than nodes ends with norm 0: the remaining nodes get weight 0.
        ratio = np.divide(new, norm, out=np.zeros_like(norm), where=norm > 0.0)
        offdiagonal[:, j] = np.sqrt(ratio)
        norm = new
    jacobi, index = np.zeros((starts.size, nodes, nodes)), np.arange(nodes)
    jacobi[:, index, index] = diagonal
    jacobi[:, index[1:], index[:-1]] = offdiagonal
    jacobi[:, index[:-1], index[1:]] = offdiagonal
    roots, vectors = np.linalg.eigh(jacobi)
    return centre[:, None] + half[:, None] * roots, total[:, None] * vectors[:, 0, :] ** 2


def _frames(x: Array, starts: Array, counts: Array) -> tuple[Array, Array]:
    """Centre and half width of the points of each bin."""
    first, last = x[starts], x[starts + counts - 1]
    return (first + last) / 2.0, np.maximum((last - first) / 2.0, np.finfo(float).tiny)


def rules_of_three(moments: Float[Array, "6 bins"]) -> tuple[Float[Array, "bins 3"], Float[Array, "bins 3"]]:
    r"""Nodes, and their shares of the weight, of the Gauss rules of 3 nodes in closed form; nan where it is not sound.

    .. math:: \mu_j = \sum_k w_k s_k^j,\quad s\in[-1, 1];\qquad
              \pi_1 = s - \alpha_0,\quad \pi_2 = (s - \alpha_1)\pi_1 - \beta_1

    The nodes are the eigenvalues of the Jacobi matrix by Cardano's formula, the shares 1/(p_0^2 + p_1^2 + p_2^2) there,
    with p_j of norm 1. What rounding does to the j-th moment is multiplied by the j-th power of the width of a bin.

    Parameters
    ----------
    moments : array, shape (6, bins)
        mu_0..mu_5.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        m1, m2, m3, m4, m5 = moments[1:] / moments[0]
        # About the mean: a1 and a2 are the alphas less a_0.
        b1 = m2 - m1 * m1
        c3 = m3 - m1 * (3.0 * m2 - 2.0 * m1 * m1)
        c4 = m4 - m1 * (4.0 * m3 - m1 * (6.0 * m2 - 3.0 * m1 * m1))
        c5 = m5 - m1 * (5.0 * m4 - m1 * (10.0 * m3 - m1 * (10.0 * m2 - 4.0 * m1 * m1)))
        a1 = c3 / b1
        b2 = (c4 - a1 * c3) / b1 - b1
        # The sum of w t pi_2^2 over that of w pi_2^2, with pi_2 = t^2 - a1 t - b1.
        a2 = (c5 - 2.0 * a1 * c4 + (a1 * a1 - 2.0 * b1) * c3 + 2.0 * a1 * b1 * b1) / (b1 * b2)
        clear = (b1 > LEAST_SPREAD) & (b2 > LEAST_SPREAD)
        b1, b2 = np.where(clear, b1, np.nan), np.where(clear, b2, np.nan)
        middle = (a1 + a2) / 3.0
        d0, d1, d2 = -middle, a1 - middle, a2 - middle
        size = np.sqrt((d0 * d0 + d1 * d1 + d2 * d2 + 2.0 * (b1 + b2)) / 6.0)
        cosine = (d0 * (d1 * d2 - b2) - b1 * d2) / (2.0 * size**3)
        angle = np.arccos(np.clip(cosine, -1.0, 1.0)) / 3.0
        t = middle + 2.0 * size * np.cos(angle + np.array([[2.0], [4.0], [0.0]]) * (np.pi / 3.0))
        share = 1.0 / (1.0 + t * t / b1 + ((t - a1) * t - b1) ** 2 / (b1 * b2))
        return (m1 + t).T, (share / share.sum(axis=0)).T


def into_narrow_bins(
    x: Float[Array, " n"], weights: Sequence[Float[Array, " n"]], width: float, at_top: float | None = None
) -> list[tuple[Float[Array, " m"], Float[Array, " m"]]]:
    """The nodes and weights of one or more measures on common points, of 3 nodes in each narrow bin of many points.

    Parameters
    ----------
    x : array, shape (n,)
        Ascending.
    weights : sequence of arrays, shape (n,)
        Of each measure.
    width, at_top : float
        Of the wide bins to which the result will be compressed, as in `bin_edges`: those here are `NARROW` times less.
    """
    bins = Bins.of(x, width / NARROW, 3, None if at_top is None else at_top / NARROW)
    if bins.starts.size == 0:
        return [(x, w) for w in weights]
    moments: list[list[Array]] = [[] for _ in weights]
    for s, parts, starts in bins.parts(x, weights):
        counts = np.diff(np.append(starts, s.size))
        centre, half = _frames(s, starts, counts)
        s = (s - np.repeat(centre, counts)) / np.repeat(half, counts)
        for w, found in zip(parts, moments, strict=True):
            sums = np.empty((6, starts.size))
            np.add.reduceat(w, starts, out=sums[0])
            power = w * s
            for row in sums[1:-1]:
                np.add.reduceat(power, starts, out=row)
                power *= s
            np.add.reduceat(power, starts, out=sums[-1])
            found.append(sums)
    centre, half = _frames(x, bins.starts, bins.ends - bins.starts)
    result = []
    for w, found in zip(weights, moments, strict=True):
        sums = np.concatenate(found, axis=1)
        nodes, share = rules_of_three(sums)
        nodes, share = centre[:, None] + half[:, None] * nodes, sums[0, :, None] * share
        unclear = np.isnan(nodes[:, 0])
        if unclear.any():
            nodes[unclear], share[unclear] = _gauss_rules(x, w, Bins(bins.starts[unclear], bins.ends[unclear]), 3)
        result.append(bins.joined(x, w, nodes, share))
    return result


def compress_sorted(
    x: Float[Array, " n"], w: Float[Array, " n"], width: float, nodes: int
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Gauss nodes per bin; bins of at most 2 * nodes points, and both end points, are kept as they are.

    Parameters
    ----------
    x, w : array, shape (n,)
        Points, ascending, and their weights.
    width : float
    nodes : int
    """
    bins = Bins.of(x, width, nodes)
    return bins.joined(x, w, *_gauss_rules(x, w, bins, nodes)) if bins.starts.size else (x, w)


def _gauss_rules(x: Array, w: Array, bins: Bins, nodes: int) -> tuple[Array, Array]:
    found = [gauss_rules(own, parts[0], starts, nodes) for own, parts, starts in bins.parts(x, [w])]
    rule_x, rule_w = zip(*found, strict=True)
    return np.concatenate(rule_x), np.concatenate(rule_w)


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of ascending points that hold enough of them to be replaced by rules.

    Parameters
    ----------
    starts, ends : array, shape (bins,)
        Places of their points.
    """

    starts: Int[Array, " bins"]
    ends: Int[Array, " bins"]

    @classmethod
    def of(cls, x: Float[Array, " n"], width: float, nodes: int, at_top: float | None = None) -> Bins:
        """Those of more than 2 * nodes points; none holds an end point.

        Parameters
        ----------
        x : array, shape (n,)
        width, at_top : float
            As in `bin_edges`.
        nodes : int
        """
        low, high = int(np.searchsorted(x, x[0], side="right")), int(np.searchsorted(x, x[-1], side="left"))
        if low == x.size or x.size <= 2 * nodes:
            return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        gaps = (float(x[low] - x[0]), float(x[-1] - x[high - 1]))
        edges = bin_edges(float(x[0]), float(x[-1]), gaps, width, at_top)
        inner = np.searchsorted(x, edges, side="right")
        starts = np.unique(np.concatenate(([0, low], inner[(inner > low) & (inner < high)], [high])))
        starts = starts[starts < x.size]
        ends = np.append(starts[1:], x.size)
        busy = ends - starts > 2 * nodes
        return cls(starts[busy], ends[busy])

    def parts(self, x: Array, weights: Sequence[Array]) -> Iterator[tuple[Array, list[Array], Array]]:
        """Some thousand points at a time, which the cache holds: points, weights of each measure, and starts of bins.

        Parameters
        ----------
        x : array, shape (n,)
        weights : sequence of arrays, shape (n,)
        """
        counts = self.ends - self.starts
        before = np.cumsum(counts) - counts
        groups = np.unique(np.searchsorted(before, np.arange(0, counts.sum(), TOGETHER)))
        # A last bin of many points holds several of those places.
        groups = groups[groups < counts.size]
        for first, last in zip(groups, [*groups[1:], counts.size], strict=True):
            own = slice(int(self.starts[first]), int(self.ends[last - 1]))
            starts = before[first:last] - before[first]
            held = [each[own] for each in (x, *weights)]
            if own.stop - own.start > counts[first:last].sum():
                between = self.starts[first + 1 : last] - self.ends[first : last - 1]
                turns = np.ravel([counts[first:last], np.append(between, 0)], order="F")
                inside = np.repeat(np.arange(turns.size) % 2 == 0, turns)
                held = [each[inside] for each in held]
            yield held[0], held[1:], starts

    def joined(self, x: Array, w: Array, nodes: Array, weights: Array) -> tuple[Array, Array]:
        """The points outside all bins and the rules of the bins, ascending, without those of weight 0.

        Parameters
        ----------
        x, w : array, shape (n,)
        nodes, weights : array, shape (bins, m)
        """
        first, counts = np.append(0, self.ends), np.append(self.starts, x.size) - np.append(0, self.ends)
        kept = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        x, w = np.concatenate((x[kept], nodes.ravel())), np.concatenate((w[kept], weights.ravel()))
        order = np.argsort(x, kind="stable")
        x, w = x[order], w[order]
        heavy = w > 0.0
        return x[heavy], w[heavy]
