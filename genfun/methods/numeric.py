"""Responses of methods with many states, by small solves in plain arithmetic: no formula is derived."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from genfun.methods.base import UpdateMatrices

Rows = list[list[Any]]
TINY = 1e-150


def is_zero(x: Any) -> bool:
    """Whether an entry is the number 0, which costs no arithmetic; arrays are never looked at."""
    return isinstance(x, (int, float)) and bool(x == 0)


def plus(x: Any, y: Any) -> Any:
    """x + y, where 0 costs nothing."""
    return y if is_zero(x) else x if is_zero(y) else x + y


def times(x: Any, y: Any) -> Any:
    """x y, where 0 costs nothing."""
    return 0 if is_zero(x) or is_zero(y) else x * y


def eliminated(matrix: Rows, sides: Rows) -> tuple[Any, list[Any], Any]:
    r"""Elimination of all unknowns but the first, from the last one up and without exchanges of rows.

    .. math:: \det M = P\,m,\qquad x_1 = r/m

    The first unknown, the mean square of w, is what moves slowly: its pivot m comes last, and nothing is divided by it.

    Parameters
    ----------
    matrix : list of rows of entries
        Numbers or arrays that broadcast; overwritten.
    sides : list of rows
        Right-hand sides; overwritten.

    Returns
    -------
    (entry, list of entries, entry)
        m, one r for each side, P.

    Examples
    --------
    >>> m, (r,), P = eliminated([[2.0, 1.0], [1.0, 4.0]], [[1.0], [0.0]])
    >>> m * P, r / m  # the determinant and the first unknown
    (7.0, 0.5714285714285714)
    """
    size = len(matrix)
    for p in range(size - 1, 0, -1):
        if p == 1:
            matrix[1][1] = _not_zero(matrix[1][1])
        inverse = 1 / matrix[p][p]
        for i in range(p):
            if is_zero(matrix[i][p]):
                continue
            factor = -(matrix[i][p] * inverse)
            for j in range(p):
                matrix[i][j] = plus(matrix[i][j], times(factor, matrix[p][j]))
            sides[i] = [plus(x, times(factor, y)) for x, y in zip(sides[i], sides[p], strict=True)]
    others = functools.reduce(operator.mul, (matrix[p][p] for p in range(1, size)), 1)
    return matrix[0][0], sides[0], others


def _not_zero(pivot: Any) -> Any:
    """The last pivot that is divided by: m and r have its inverse, which P cancels, so that a tiny one serves for 0."""
    if isinstance(pivot, np.ndarray | np.generic | float):
        return np.where(pivot == 0.0, TINY, pivot) if np.any(pivot == 0.0) else pivot
    return pivot


def moves(update: Callable[..., UpdateMatrices], a: Any, hyper: Sequence[Any]) -> tuple[Rows, list[Any]]:
    """T(a) - 1 and the kick, where T is linear in a: small a keep their digits.

    Parameters
    ----------
    update : callable
        That of a method.
    a : number or array
        Learning rate times eigenvalue.
    hyper : sequence of numbers or arrays
        What `update` takes after a.
    """
    (low, kick), (high, _) = update(0, *hyper), update(1, *hyper)
    size = range(len(kick))
    # Most entries do not depend on a, which may be a far larger array than they: these cost nothing.
    slopes = [[0 if np.all(high[i][j] == low[i][j]) else high[i][j] - low[i][j] for j in size] for i in size]
    return [[plus(low[i][j] - (i == j), times(slopes[i][j], a)) for j in size] for i in size], list(kick)


def mode_responses(update: Callable[..., UpdateMatrices], a: Any, q: Any, hyper: Sequence[Any]) -> tuple[Any, Any, Any]:
    r"""(d, n_u, n_v) of one mode, u_0 = n_u/d and v_0 = n_v/d, as `genfun.methods.base.Method.responses`.

    .. math:: (q - z(A - 1))\,x = \mathrm{vec}(kk^\top)\ \text{or}\ e_{ww},\qquad d = \det(1 - zA)

    with A the symmetric square of T(a). The factors of d that a formula would divide out are kept.

    Parameters
    ----------
    update : callable
        That of a method that uses the gradient once in a step.
    a, q : number or array
        Learning rate times eigenvalue, and 1 - z. They broadcast.
    hyper : sequence of numbers or arrays
    """
    step, kick = moves(update, a, hyper)
    pairs, z = list(combinations_with_replacement(range(len(kick)), 2)), 1 - q
    one = [[int(i == j) for j in range(len(kick))] for i in range(len(kick))]

    def moved(i: int, j: int, k: int, m: int) -> Any:
        both = plus(times(step[i][k], one[j][m]), times(one[i][k], step[j][m]))
        return plus(both, times(step[i][k], step[j][m]))

    matrix = [
        [
            plus(q if r == c else 0, times(-z, plus(moved(*r, *c), 0 if c[0] == c[1] else moved(*r, *c[::-1]))))
            for c in pairs
        ]
        for r in pairs
    ]
    sides: Rows = [[times(kick[i], kick[j]), int(i == j == 0)] for i, j in pairs]
    slow, (u, v), others = eliminated(matrix, sides)
    return others * slow, others * u, others * v


def pair_responses(
    update: Callable[..., UpdateMatrices], q: Any, a_j: Any, a_k: Any, hyper: Sequence[Any]
) -> tuple[Any, Any, Any]:
    r"""(u_0, v_0, det) of pairs of modes, det = det(1 - z T_j (x) T_k).

    Parameters
    ----------
    update : callable
        That of a method that uses the gradient once in a step.
    q, a_j, a_k : number or array
        1 - z, and learning rate times eigenvalue. They broadcast.
    hyper : sequence of numbers or arrays
    """
    (left, kick), (right, _) = moves(update, a_j, hyper), moves(update, a_k, hyper)
    size, z = len(kick), 1 - q
    # Pairs of velocities last: what they keep of each other is the same for all modes, and is eliminated first.
    pairs = sorted(((i, j) for i in range(size) for j in range(size)), key=lambda pair: (pair[0] > 0) + (pair[1] > 0))

    def moved(i: int, j: int, k: int, m: int) -> Any:
        both = plus(times(left[i][k], int(j == m)), times(int(i == k), right[j][m]))
        return plus(both, times(left[i][k], right[j][m]))

    matrix = [[plus(q if r == c else 0, times(-z, moved(*r, *c))) for c in pairs] for r in pairs]
    sides: Rows = [[times(kick[i], kick[j]), int(i == j == 0)] for i, j in pairs]
    slow, (u, v), others = eliminated(matrix, sides)
    return u / slow, v / slow, others * slow


def responses_at_rest(update: Callable[..., UpdateMatrices], q: Any, hyper: Sequence[Any]) -> tuple[Any, Any, Any]:
    r"""(m, r_k, r_w) of modes that no gradient moves, from which those of all modes follow.

    .. math:: e_w^\top (1 - zT_0)^{-1} k = r_k/m,\qquad e_w^\top (1 - zT_0)^{-1} e_w = r_w/m,\qquad
              e_w^\top (1 - zT(a))^{-1} k = \frac{r_k}{m + a z\,r_k},\qquad
              e_w^\top (1 - zT(a))^{-1} e_w = \frac{r_w}{m + a z\,r_k}

    the last two where the gradient is taken at w itself, T(a) = T_0 - a k e_w^T.

    Parameters
    ----------
    update : callable
        That of a method that uses the gradient once in a step.
    q : number or array
        1 - z.
    hyper : sequence of numbers or arrays
    """
    step, kick = moves(update, 0, hyper)
    size, z = range(len(kick)), 1 - q
    matrix = [[plus(q if i == j else 0, times(-z, step[i][j])) for j in size] for i in size]
    slow, (of_kick, of_start), _ = eliminated(matrix, [[kick[i], int(i == 0)] for i in size])
    return slow, of_kick, of_start


def mean_response(update: Callable[..., UpdateMatrices], q: Any, a: Any, hyper: Sequence[Any]) -> Any:
    """g~ = sum_t g_t z^t, the response of the mean of w to a unit initial error.

    Parameters
    ----------
    update : callable
        That of a method that uses the gradient once in a step.
    q, a : number or array
        1 - z, and learning rate times eigenvalue. They broadcast.
    hyper : sequence of numbers or arrays
    """
    step, kick = moves(update, a, hyper)
    size, z = range(len(kick)), 1 - q
    matrix = [[plus(q if i == j else 0, times(-z, step[i][j])) for j in size] for i in size]
    slow, (one,), _ = eliminated(matrix, [[int(i == 0)] for i in size])
    return one / slow
