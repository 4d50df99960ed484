"""Sums over pairs of eigenvalues for any method, many settings and points at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array, Shaped
from genfun.methods import numeric
from genfun.methods.qhm import QHM
from genfun.sample_space.projection import PairMeasure, symmetric, weighted
from genfun.sample_space.two_states import TwoStates

CHUNK = 16_384
"""Pairs times points in a working array, small enough for the cache."""


MOST_LOST = 1e4
"""How far the parts of a mode's response may exceed their sum, before pairs are eliminated instead."""

WORTH_ROOTS = 8
"""Points of a setting from which the roots of its modes are found first."""


def serves(kind: type[Any], hyper: tuple[float, ...]) -> bool:
    """Whether a step of the class uses the gradient once, so that T is linear in a.

    Parameters
    ----------
    kind : type
        Class of the method.
    hyper : tuple of float
        What its update takes after a.
    """
    rows = [np.array(kind.update(x, *hyper)[0], dtype=np.float64) for x in (0.0, 1.0, 2.0)]
    return np.allclose(rows[2] - rows[1], rows[1] - rows[0], rtol=1e-12, atol=1e-14)


def _at_weights(kind: type[Any], hyper: tuple[float, ...]) -> bool:
    """Whether the gradient is taken at the weights themselves: T(a) = T_0 - a k e_w^T; no closed form is known then."""
    at_rest, moved = (np.array(kind.update(x, *hyper)[0], dtype=np.float64) for x in (0.0, 1.0))
    return kind is not QHM and np.array_equal(at_rest[:, 1:], moved[:, 1:])


def partial_fractions(update: Any, hyper: tuple[Array, ...], a: Array) -> tuple[Array, Array, Array]:
    r"""The responses of single modes to a kick and to the start, as sums of powers.

    .. math:: e_w^\top T^t k = \sum_m g_m (1 + e_m)^t,\qquad e_w^\top T^t e_w = \sum_m h_m (1 + e_m)^t

    Parameters
    ----------
    update : callable
        That of a method that uses the gradient once in a step.
    hyper : tuple of arrays, each of shape (S,)
        What it takes after a, of S settings.
    a : array, shape (S, r)
        Learning rate times eigenvalue.

    Returns
    -------
    (array, array, array), each of shape (S, r, n)
        e, g and h; g and h are nan where eigenvalues coalesce.
    """
    rows, kick = numeric.moves(update, a, [h[:, None] for h in hyper])
    step = np.stack([np.stack([np.broadcast_to(x, a.shape) for x in row], axis=-1) for row in rows], axis=-2)
    moves, right = np.linalg.eig(step)
    sides = np.zeros((*a.shape, len(kick), 2))
    sides[..., 0], sides[..., 0, 1] = np.stack([np.broadcast_to(x, a.shape) for x in kick], axis=-1), 1.0
    defective = np.linalg.det(right) == 0.0
    left = np.linalg.solve(np.where(defective[..., None, None], np.eye(len(kick)), right), sides)
    left[defective] = np.nan
    return moves, right[..., 0, :] * left[..., 0], right[..., 0, :] * left[..., 1]


@dataclass(frozen=True, eq=False)
class AnyPairs:
    r"""What `genfun.sample_space.fast_pairs.HeavyBallPairs` is to heavy ball, for another class of methods.

    .. math:: u = u^0/D,\qquad v = v^0/D,\qquad D = 1 + \gamma a_j a_k z u^0

    by the closed form of quasi-hyperbolic momentum, and by elimination for others.

    Attributes
    ----------
    measure : PairMeasure
        Nodes, pairs and weights.
    kind : type
        Class of the method.
    """

    measure: PairMeasure
    kind: type[Any]

    def _moments(self, q: Array, hyper: list[Array], rate: Array) -> tuple[Any, Any, Any]:
        """(u, v, det) of all pairs without noise."""
        pairs = self.measure
        a_j, a_k = (pairs.nodes[of][:, None] * rate for of in (pairs.first, pairs.second))
        if self.kind is QHM:
            return _quasi(*hyper).moments(q, a_j, a_k)
        return numeric.pair_responses(self.kind.update, q, a_j, a_k, hyper)

    def _of_powers(self, q: Array, hyper: list[Array], rate: Array, powers: tuple[Array, ...]) -> tuple[Array, Array]:
        r"""(u, v) of all pairs without noise at the points of one setting: one mode of each pair in its powers.

        .. math:: u_{jk} = \sum_m \frac{g_{jm}}{m(z_m)/r_k(z_m) + a_k z_m},\qquad z_m = (1 + e_{jm}) z
        """
        (e, g, h, lost), pairs, z = powers, self.measure, 1.0 - q
        other = lost[pairs.first] > lost[pairs.second]
        lead, a = np.where(other, pairs.second, pairs.first), np.where(other, pairs.first, pairs.second)
        a, numbers = rate[0] * pairs.nodes[a], [float(x[0]) for x in hyper]
        u, v, part, more = np.zeros((4, lead.size, q.size), dtype=np.complex128)
        slow, kick, start = numeric.responses_at_rest(self.kind.update, q - e[..., None] * z, numbers)
        at_rest, begun = slow / kick, h[..., None] * (start / kick)
        for m in range(e.shape[1]):
            np.multiply((a * (1.0 + e[lead, m]))[:, None], z, out=part)
            part += at_rest[lead, m]
            np.reciprocal(part, out=part)
            u += np.multiply(g[lead, m, None], part, out=more)
            part *= begun[lead, m]
            v += part
        return u, v

    def _groups(self, q: Array, rate: Array, hyper: list[Array]) -> Iterator[tuple[slice, tuple[Array, ...] | None]]:
        """Points that are worked on together, few enough for the cache; with the powers of modes where that is quicker.

        It is where a setting has many complex points; and where eigenvalues nearly coalesce, digits are lost.
        """
        width, ends, powers = max(1, CHUNK // self.measure.first.size), [0, q.size], [None]
        if np.iscomplexobj(q) and _at_weights(self.kind, tuple(float(x[0]) for x in hyper)):
            moved = np.any([x[1:] != x[:-1] for x in (rate, *hyper)], axis=0)
            own = np.concatenate(([0], np.flatnonzero(moved) + 1))
            if q.size >= WORTH_ROOTS * own.size:
                ends = [*own.tolist(), q.size]
                a = rate[own][:, None] * self.measure.nodes
                e, g, h = partial_fractions(self.kind.update, tuple(x[own] for x in hyper), a)
                lost = np.max([np.abs(x).sum(axis=2) / np.abs(x.sum(axis=2)) for x in (g, h)], axis=0)
                lost = np.where(np.isnan(lost), np.inf, lost)
                powers = [(e[i], g[i], h[i], lost[i]) if lost[i].max() < MOST_LOST else None for i in range(own.size)]
        for (first, last), one in zip(pairwise(ends), powers, strict=True):
            for start in range(first, last, width):
                yield slice(start, min(start + width, last)), one

    @on_one_thread
    def sums(
        self, q: Shaped[Array, " k"], hyper: tuple[Any, ...], g: Any, rate: Any, source: bool = True
    ) -> tuple[Shaped[Array, "rows k"], Array]:
        """K and the source of the pairs, packed below each other, and on the real axis the smallest S of each point.

        Parameters
        ----------
        q : array, shape (k,)
            1 - z, real or complex.
        hyper : tuple of numbers or arrays of shape (k,)
            What the method's update takes after a.
        g, rate : numbers or arrays of shape (k,)
            gamma and learning rate of each point.
        source : bool
            Whether the rows of the source are wanted.
        """
        pairs = self.measure
        columns = [np.broadcast_to(x, q.shape) for x in (g, rate, *hyper)]
        both = (pairs.nodes[pairs.first] * pairs.nodes[pairs.second])[:, None]
        found, least = [], np.full(q.size, np.nan)
        for part, powers in self._groups(q, columns[1], columns[2:]):
            some, (gamma, alpha, *others) = q[part], [x[part] for x in columns]
            if powers is not None:
                u, v, det = *self._of_powers(some, others, alpha, powers), 1.0
            else:
                u, v, det = self._moments(some, others, alpha)
            D = 1.0 + (gamma * alpha**2 * (1.0 - some)) * (both * u)
            if not np.iscomplexobj(D):
                least[part] = np.broadcast_to(np.sign(det) * D, D.shape).min(axis=0)
            rows = (gamma * alpha**2) * weighted(pairs.kernel, u / D)
            found.append(np.concatenate([rows, weighted(pairs.source, v / D)]) if source else rows)
        return np.concatenate(found, axis=1), least

    def kernel(self, sums: Array, q: Any, hyper: tuple[Any, ...], g: Any, rate: Any) -> Shaped[Array, "mm k"]:
        """K(z) at every point, packed, from the first rows of `sums`; the other arguments as there."""
        m = self.measure.size
        return sums[: m * (m + 1) // 2]

    def kernel_matrix(self, sums: Array, q: Any, hyper: tuple[Any, ...], g: Any, rate: Any) -> Shaped[Array, "k m m"]:
        """K(z) at every point as matrices; arguments as for `kernel`."""
        return symmetric(self.kernel(sums, q, hyper, g, rate), self.measure.size)

    def source(self, sums: Array, q: Any, hyper: tuple[Any, ...], g: Any, rate: Any) -> Shaped[Array, "m k"]:
        """X^T b at every point, label noise included; arguments as for `kernel`."""
        pairs = self.measure
        result = sums[-pairs.size :]
        if pairs.floor[0] > 0.0:
            rate, *others = (np.broadcast_to(x, q.shape) for x in (rate, *hyper))
            a = pairs.nodes[:, None] * rate
            quasi = _quasi(*others).mean(q, a) if self.kind is QHM else None
            mean = numeric.mean_response(self.kind.update, q, a, others) if quasi is None else quasi
            result = result + weighted(pairs.modes, mean) + np.multiply.outer(pairs.floor, 1.0 / q)
        return result


def _quasi(beta: Any, nu: Any) -> TwoStates:
    return TwoStates(beta, 1.0 - nu * beta, nu * (1.0 - beta))
