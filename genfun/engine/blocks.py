"""Many steps of the direct recursion by two matrix-vector products."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.recursion import Recursion
from genfun.scaled import Scaled

TABLE, LARGEST_TABLE = 1 << 18, 1 << 22
"""Numbers in each of the two matrices: 2 MiB, which the cache holds; and what short blocks do not exceed either."""
SHORTEST, SHORT, LONGEST = 8, 16, 128
"""Steps of a block: shorter ones gain nothing; as many as SHORT whatever the cache holds; longer ones cost more for the
steps within than for the modes."""
WORTH = 80
"""From so many steps on the matrices are worth building; a quarter of the steps is the longest block worth it."""
AMPLIFIED = 10.0
"""Growth of a mode within a block while the drive is kept: where a mode's own share of the drive holds it (tau2 and
large steps), rounding would grow by as much. So it would where terms of both signs cancel to that part of their sum."""
LEAST, GREATEST = 1e-200, 1e200
"""A block whose losses leave this range is stepped through, which checks the range more often."""


class Blocks:
    r"""Blocks of K steps of a recursion of one setting, whose modes share one drive.

    .. math:: S_j = e^T A^j X + \sum_{i<j} h_{j-1-i}\,d_i,\qquad d_i = \tau_1 S_i + \sigma^2,\qquad h_i = e^T A^i f

    .. math:: X' = A^K X + \sum_{i<K} A^{K-1-i} f\,d_i

    with S the sum over modes of the first moment. The noise couples the modes through S alone, so that the S of a
    block follow from the state at its start by one product with the rows e^T A^j and a triangular system of K
    unknowns, and the next state by a product with the columns A^i f. Rounding is that of the steps.

    A mode whose own noise is nearly all spared may alternate in sign without the drive, and decay more slowly than the
    loss does: the S_i are then small sums of large terms, and blocks become shorter once that shows.

    Parameters
    ----------
    run : Recursion
        Of a single setting; it is moved on.
    most : int
        K at most, a power of 2: halved until no mode grows much within a block; `length` is what is left, 1 if none is.
    """

    def __init__(self, run: Recursion, most: int) -> None:
        self._run = run
        A, force = run.map[:, :, 0], run.force[:, 0]
        m, n = force.shape
        rows, columns = np.zeros((most, m, n), A.dtype), np.zeros((most, m, n), A.dtype)
        rows[0, 0], columns[0] = 1.0, force
        power, done = A, 1
        while done < most:
            np.einsum("kjn,jin->kin", rows[:done], power, out=rows[done : 2 * done])
            np.einsum("ijn,kjn->kin", power, columns[:done], out=columns[done : 2 * done])
            if not np.abs(rows[done : 2 * done, 0]).max() < AMPLIFIED:
                break
            power = np.einsum("ijn,jkn->ikn", power, power)
            done *= 2
        self.length, rows, columns = done, rows[:done], columns[:done]
        self._power, response = power, columns[:, 0].sum(axis=-1)
        self._rows = rows.reshape(done, m * n)
        self._columns = np.ascontiguousarray(columns[::-1].reshape(done, m * n))
        self._from_label = np.concatenate(([0.0], np.cumsum(response)[:-1]))
        # (1 - tau1 H) S = e^T A^j X + ... is solved by the series of its inverse.
        series = np.zeros(done, A.dtype)
        series[0] = 1.0
        for j in range(1, done):
            series[j] = run.tau1 * (response[:j][::-1] @ series[:j])
        lag = np.subtract.outer(np.arange(done), np.arange(done))
        self._inverse = np.where(lag >= 0, series[np.abs(lag)], 0.0).astype(A.dtype)

    @classmethod
    def of(cls, run: Recursion, count: int) -> Blocks | None:
        """Blocks for so many steps to come; None where single steps serve as well."""
        size = run.state.size
        if count < WORTH or not run.coupled_by_the_loss or size * SHORT > LARGEST_TABLE:
            return None
        room = int(np.clip(TABLE // size, SHORT, max(min(LONGEST, count // 4), SHORT)))
        with np.errstate(all="ignore"):
            found = cls(run, 1 << int(np.log2(room)))
        return found if found.length >= SHORTEST else None

    def advance(self) -> Scaled:
        """The losses at the present step and at those after it in the block; the run moves on."""
        run = self._run
        state, label = run.state[:, 0], np.ldexp(run.noise_variance, -run.scale)[0]
        with np.errstate(all="ignore"):
            alone = _product(self._rows, state.ravel()) + label * self._from_label
            total = self._inverse @ alone
            if not (total.min() > LEAST and total.max() < GREATEST):
                return self._stepped()
            if (np.abs(self._inverse) @ np.abs(alone) > AMPLIFIED * total).any():
                if self.length < 2 * SHORTEST:
                    return self._stepped()
                vars(self).update(vars(Blocks(run, self.length // 2)))
                return self.advance()
            driven = _product(self._columns.T, run.tau1 * total + label).reshape(state.shape)
            losses = Scaled(0.5 * (total + label), np.repeat(run.scale, self.length))
            run.move_to(run.step + self.length, (np.einsum("ijn,jn->in", self._power, state) + driven)[:, None])
        return losses

    def _stepped(self) -> Scaled:
        found = []
        for _ in range(self.length):
            found.append(Scaled(*self._run.loss()))
            self._run.advance()
        return Scaled.join(found)


def _product(matrix: Array, vector: Array) -> Any:
    """As a product with two columns: BLAS spreads a matrix-vector product over threads long before it pays."""
    if matrix.dtype != np.float64:
        return np.einsum("ij,j->i", matrix, vector)
    pair = np.zeros((2, vector.size))
    pair[0] = vector
    return (matrix @ pair.T)[:, 0]
