"""Second moments kept diagonal, with the data's own fourth moments: one approximation less than (tau1, tau2)."""

from __future__ import annotations

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.methods.base import Method
from genfun.mode_space.fourth_moments import FourthMoments


def diagonal_loss(data: LinearData, method: Method, steps: int) -> Float[Array, " t"]:
    r"""Mean loss at steps 0..steps when every second moment is cut down to its diagonal in the eigenbasis.

    .. math:: X_k' = A_k X_k + kk^T\, n_k,\qquad
              n_k = \gamma\alpha^2\Big[\sum_j M_{kj}\,c_j - \lambda_k^2 c_k + E_k - 2\sum_j T_{kj}\cdot m_j\Big]

    the recursion of the noise model `genfun.FourthMoments.of(data)`, which derives it, step by step. X_k holds the
    second moments of mode k: for heavy ball (c, j, p)_k, the diagonals of C = E[dw dw^T], J = E[dw v^T] and
    V = E[v v^T]; A_k is their noiseless map.

    **Assumptions.** Those of `genfun.FourthMoments`. Fresh batches, w_0 = 0, several outputs summed. Memory O(n rank),
    time O(n rank^2) once and O(rank^2) a step.

    Parameters
    ----------
    data : LinearData
        n samples, any number of outputs.
    method : Method
        Learning rate, batch size and update.
    steps : int
        Last step.

    Returns
    -------
    array, shape (steps + 1,)
        Mean loss; inf once it has overflowed.

    Raises
    ------
    ValueError
        If the rank is too large for it.

    References
    ----------
    arXiv 2206.11124, section 3 (between the full second moments and the spectrally expressible approximation).

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.data.translation_invariant([1.0, 0.5], [1.0, 1.0])
    >>> diagonal_loss(data, gf.SGD(0.5, batch_size=1), 2)
    array([1.        , 0.5625    , 0.33203125])
    """
    last = _check.integer("steps", steps, 0)
    losses = FourthMoments.of(data).transform(data.problem, method).stepper(0.0, last).losses(last).value()
    return np.where(np.isnan(losses), np.inf, losses)
