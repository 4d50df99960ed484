"""Sums of u and v over modes, as matrix products: the inner loop of every fast answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._loops import read_only
from genfun._typing import Array, Shaped
from genfun.engine.fused import loaded, sums_at_points
from genfun.methods.base import Method
from genfun.symbolic.arrays import responses

MAX_DEGREE = 8
CHUNK = 8_192
"""Complex numbers in a working array: 128 KiB, small enough for the cache and to be taken from the heap every time."""


def assemble(kernel: Any, signal: Any, q: Any, tau1: float, noise_variance: float) -> Any:
    """L~ from U~/tau1 and V~ at z = 1 - q, any shapes that broadcast."""
    z = 1.0 - q
    result = signal / (1.0 - tau1 * z * kernel)
    if noise_variance > 0.0:
        result = result + noise_variance / q * (1.0 + z * kernel / (1.0 - tau1 * z * kernel))
    return 0.5 * result


@dataclass(frozen=True)
class Polynomials:
    r"""d, n_u and n_v of a class of methods as polynomials in a = learning rate * lambda, at given q = 1 - z.

    A step uses the gradient once, so all three are polynomials in a of low degree. Their coefficients follow from
    the values at a = 0, 1, -1, 2, ...; that at a = 0, the only one that is small near z = 1, is taken as it is, so
    that sums over powers of a keep their relative accuracy for slow modes.

    Parameters
    ----------
    evaluate : callable
        (a, q, \*hyperparameters) -> (d, n_u, n_v).
    degrees : (int, int, int)
        Of d, n_u and n_v.
    """

    evaluate: Callable[..., tuple[Any, Any, Any]]
    degrees: tuple[int, int, int]

    def coefficients(self, q: Array, hyper: tuple[Any, ...], scale: float = 1.0) -> list[Shaped[Array, "powers ..."]]:
        """Coefficients of d, n_u and n_v, each of shape (degree + 1, *q.shape).

        Their rounding is relative to the values at a = scale: with negative momentum all a are of the order of
        1 + beta, and at a = 1 the values would be larger than those by 1/(1 + beta)^2.

        Parameters
        ----------
        q : array, any shape
            1 - z.
        hyper : tuple
            Hyperparameters that broadcast against q.
        scale : float
            A power of two, of the order of the largest a.
        """
        points, _ = _interpolation(max(self.degrees))
        values = [self.evaluate(a * scale, q, *hyper) for a in points.tolist()]
        tables = []
        for part, degree in enumerate(self.degrees):
            table = np.empty((degree + 1, *q.shape), dtype=q.dtype)
            table[0] = values[0][part]
            rises = [values[i][part] - values[0][part] for i in range(1, degree + 1)]
            for j, row in enumerate(_interpolation(degree)[1].tolist()[:degree], start=1):
                table[j] = sum(factor * rise for factor, rise in zip(row, rises, strict=True)) / scale**j
            tables.append(table)
        return tables


@functools.cache
def _interpolation(degree: int) -> tuple[Array, Array]:
    """Points 0, 1, -1, 2, ... and the matrix from values (less that at 0) to the coefficients of a, a^2, ..."""
    points = np.array([0, *[sign * k for k in range(1, degree + 1) for sign in (1, -1)][:degree]], dtype=float)
    return points, np.linalg.inv(points[1:, None] ** np.arange(1, degree + 1))


@functools.cache
def polynomials(kind: type[Any], hyperparameters: int) -> Polynomials:
    """The polynomials of a class of methods; the degrees are the smallest that reproduce its responses.

    Parameters
    ----------
    kind : type
        Class of the method.
    hyperparameters : int
        How many it takes after a.

    Raises
    ------
    ValueError
        If the responses are no polynomials in a of degree at most 8.
    """
    evaluate = responses(kind)
    q, hyper = np.array([0.3 + 0.4j, 0.9 - 0.2j]), tuple(0.37 / (i + 1) for i in range(hyperparameters))
    probe = np.array([0.61, 1.73, -2.9])[:, None]
    exact = [np.broadcast_to(part, (3, 2)) for part in evaluate(probe, q, *hyper)]
    degrees = []
    for part in range(3):
        for degree in range(MAX_DEGREE + 1):
            table = Polynomials(evaluate, (degree, degree, degree)).coefficients(q, hyper)[part]
            if np.allclose(probe ** np.arange(degree + 1) @ table, exact[part], rtol=1e-11, atol=1e-13):
                degrees.append(degree)
                break
        else:
            raise ValueError(f"{kind.__name__}.responses must be polynomials in a of degree at most {MAX_DEGREE}")
    return Polynomials(evaluate, (degrees[0], degrees[1], degrees[2]))


def of_method(method: Method) -> Polynomials:
    """The polynomials of a method's class.

    Parameters
    ----------
    method : Method
    """
    return polynomials(type(method), len(method.hyperparameters))


class ModeSums:
    r"""Sums over modes of u (part 1) or v (part 2), at many points at once.

    .. math:: \sum_k w_k\,\frac{n(a_k)}{S(a_k)} = \sum_j n_j \sum_k \frac{1}{S(a_k)}\,w_k a_k^j,\qquad
              S = d + g a^2 z\, n_u

    Parameters
    ----------
    degrees : (int, int, int)
        Of d, n_u and n_v in a.
    nodes : array, shape (n,)
        lambda_k.
    columns : sequence of (part, weights)
        What is to be summed: 1 for u, 2 for v, and its weights (n,).
    """

    def __init__(self, degrees: tuple[int, int, int], nodes: Array, columns: Sequence[tuple[int, Array]]) -> None:
        self._degrees, self._parts = degrees, [part for part, _ in columns]
        self.size = nodes.size
        self._nodes, self._columns = read_only(nodes), columns
        self._powers, self._weights = self._table(np.float64)
        self._extended: tuple[Array, Array] | None = None

    def _table(self, real: Any) -> tuple[Array, Array]:
        """Powers of the nodes, and what they are multiplied with, in a precision."""
        degrees, nodes = self._degrees, self._nodes.astype(real)
        powers = np.empty((nodes.size, max(degrees[0], degrees[1] + 2, *degrees) + 1), dtype=real)
        powers[:, 0] = 1.0
        for j in range(1, powers.shape[1]):
            powers[:, j] = powers[:, j - 1] * nodes
        blocks = [weights.astype(real) * powers[:, : degrees[part] + 1].T for part, weights in self._columns]
        # Never a single row: BLAS spreads a matrix-vector product over threads long before it pays.
        return powers, np.concatenate([*blocks, np.zeros((1, nodes.size), dtype=real)], axis=0)

    @property
    def rows(self) -> tuple[Array, Array]:
        """Eigenvalues, and the weights times their powers, shape (rows, n), one row after the other."""
        return self._nodes, np.ascontiguousarray(self._weights[:-1])

    def _in(self, real: Any) -> tuple[Array, Array]:
        if real == np.float64:
            return self._powers, self._weights
        if self._extended is None:
            self._extended = self._table(real)
        return self._extended

    def denominator(self, table: list[Array], q: Array, g: Any, rate: Any) -> Array:
        """Coefficients of S in powers of lambda, shape (powers, points), with g = gamma tau2.

        Parameters
        ----------
        table : list of three arrays
            From `Polynomials.coefficients`.
        q : array, any shape
            1 - z.
        g, rate : float or array that broadcasts against q
            gamma tau2, and the learning rate.
        """
        full = np.zeros((self._powers.shape[1], *q.shape), dtype=table[0].dtype)
        full[: table[0].shape[0]] = table[0]
        full[2 : 2 + table[1].shape[0]] += g * (1.0 - q) * table[1]
        rate = _like(rate, q)
        for j in range(1, full.shape[0]):
            full[j] *= rate**j
        return full.reshape(full.shape[0], -1)

    def __call__(self, table: list[Array], q: Array, g: Any, rate: Any) -> list[Array]:
        """One sum per column, each of the shape of q; arguments as for `denominator`."""
        flat = self.denominator(table, q, g, rate)
        quick = loaded(sums_at_points) if flat.dtype == np.complex128 and flat.shape[0] > 2 else None
        if quick is None:
            return self._columned(self._moments(flat, None), table, q, rate)
        moments = np.empty((self._weights.shape[0] - 1, 2 * flat.shape[1]))
        quick(flat.view(np.float64), self._nodes, self._weights[:-1], moments)
        return self._columned(moments.view(np.complex128), table, q, rate)

    def on_axis(self, table: list[Array], q: Array, g: Any, rate: Any) -> tuple[list[Array], Array]:
        """The sums, and the smallest S over the modes, at real q; arguments as for `denominator`."""
        least = np.empty(q.size, dtype=q.dtype)
        moments = self._moments(self.denominator(table, q, g, rate), least)
        return self._columned(moments, table, q, rate), least.reshape(q.shape)

    def _moments(self, flat: Array, least: Array | None) -> Array:
        """Sums of weights over S, shape (rows, points); `least` receives the smallest S."""
        # Powers and weights are real, so that a complex row is two real ones: real products, and no casts.
        real = np.real(flat).dtype
        powers, weights = self._in(real)
        moments = np.empty((weights.shape[0], flat.shape[1]), dtype=flat.dtype)
        rows = max(1, CHUNK // self.size)
        for start in range(0, flat.shape[1], rows):
            chunk = np.ascontiguousarray(flat[:, start : start + rows])
            inverse = (powers @ chunk.view(real)).view(flat.dtype)
            if least is not None:
                inverse.min(axis=0, out=least[start : start + rows])
            np.reciprocal(inverse, out=inverse)
            moments[:, start : start + rows] = (weights @ inverse.view(real)).view(flat.dtype)
        return moments

    def _columned(self, moments: Array, table: list[Array], q: Array, rate: Any) -> list[Array]:
        """One sum per column."""
        sums, first, rate = [], 0, _like(rate, q)
        for part in self._parts:
            order = self._degrees[part] + 1
            terms = moments[first : first + order].reshape(order, *q.shape)
            sums.append(sum(table[part][j] * rate**j * terms[j] for j in range(order)))
            first += order
        return sums

    def least_denominator(self, table: list[Array], q: Array, g: Any, rate: Any) -> Array:
        """The smallest S over the modes, on the real axis; arguments as for `denominator`."""
        flat = self.denominator(table, q, g, rate)
        powers, least = self._in(flat.dtype)[0], np.empty(flat.shape[1])
        rows = max(1, CHUNK // self.size)
        for start in range(0, least.size, rows):
            least[start : start + rows] = (powers @ flat[:, start : start + rows]).min(axis=0)
        return least.reshape(q.shape)


def _like(rate: Any, q: Array) -> Any:
    """The learning rate in the precision of q, so that its powers are."""
    return np.asarray(rate).astype(np.real(q).dtype) if np.real(q).dtype != np.float64 else rate
