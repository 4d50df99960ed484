"""Second moments kept diagonal, with the data's own fourth moments: one approximation less than (tau1, tau2)."""

from __future__ import annotations

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.engine.recursion import symmetric_square
from genfun.methods.base import Method
from genfun.noise import sampling_factor

MAX_RANK = 10_000


def diagonal_loss(data: LinearData, method: Method, steps: int) -> Float[Array, " t"]:
    r"""Mean loss at steps 0..steps when every second moment is cut down to its diagonal in the eigenbasis.

    .. math:: X_k' = A_k X_k + kk^T\, n_k,\qquad
              n_k = \gamma\alpha^2\Big[\sum_j M_{kj}\,c_j - \lambda_k^2 c_k + q_k - 2\sum_j T_{kj}\cdot m_j\Big]

    .. math:: M_{kj} = \tfrac1N\sum_i\varphi_k(i)^2\varphi_j(i)^2,\quad
              q_k = \tfrac1N\sum_i\varphi_k(i)^2|\epsilon_i|^2,\quad
              T_{kj} = \tfrac1N\sum_i\varphi_k(i)^2\varphi_j(i)\,\epsilon_i

    X_k holds the second moments of mode k: for heavy ball (c, j, p)_k, the diagonals of C = E[dw dw^T], J = E[dw v^T]
    and V = E[v v^T]; A_k is their noiseless map. *Derivation.* The noise of a batch of b has the covariance
    :math:`\gamma[\frac1N\sum_i E[r_i^2]\varphi_i\varphi_i^T - HCH]` with
    :math:`r_i = \langle\varphi_i, dw\rangle - \epsilon_i`, eps_i the residual at the optimum. Its diagonal needs

    .. math:: E[r_i^2] = \sum_{jl}\varphi_j(i)\varphi_l(i)\,C_{jl} - 2\,\epsilon_i\sum_j\varphi_j(i)\,m_j + \epsilon_i^2

    and only the first term asks for C_jl with j != l: they are dropped, here alone. The cross term takes m = E[dw],
    which obeys its own closed recursion (gradient descent). Spectrally expressible noise replaces M_kj by
    lambda_k lambda_j (tau1 + (1 - tau2) delta_kj), q_k by lambda_k sigma^2, and T by 0.

    **Assumptions.** The off-diagonal second moments do not feed the diagonal ones. Exact where every
    phi_k(i)^2 = lambda_k (translation-invariant data) and where each sample has one non-zero eigenfeature. Fresh
    batches, w_0 = 0, several outputs summed. Memory O(n rank), time O(n rank^2) once and O(rank^2) a step.

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
    lam = data.eigenvalues
    if lam.size > MAX_RANK:
        raise ValueError(f"the diagonal rung takes data of rank at most {MAX_RANK}, got {lam.size}; use gf.predict")
    alpha = method.learning_rate
    gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
    rows, kick = method.update(alpha * lam, *method.hyperparameters)
    square, kicks = symmetric_square((rows, kick), lam)
    moments = np.zeros_like(kicks)
    moments[0] = np.sum(data.coefficients**2, axis=1)
    transition = np.array([[np.broadcast_to(np.asarray(x, float), lam.shape) for x in row] for row in rows])
    mean = np.zeros((len(kick), *data.coefficients.shape))
    mean[0] = -data.coefficients
    fourth, labels, third = _moments(data) if gamma > 0.0 else (None, None, None)
    losses = np.empty(last + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(last + 1):
            losses[t] = 0.5 * (lam @ moments[0] + data.noise_variance)
            if t == last:
                break
            new = np.einsum("pqk,qk->pk", square, moments)
            if fourth is not None:
                noise = fourth @ moments[0] - lam**2 * moments[0]
                if third is not None:
                    noise += labels - 2.0 * np.einsum("kjo,jo->k", third, mean[0])
                new += kicks * (gamma * alpha**2 * noise)
            moments = new
            if third is not None:
                mean = np.einsum("abk,bko->ako", transition, mean)
    return np.where(np.isnan(losses), np.inf, losses)


def _moments(data: LinearData) -> tuple[Array, Array | None, Array | None]:
    """M, and q and T where there are residuals at the optimum."""
    phi, n = data.eigenfeatures, data.n_samples
    squares = phi**2
    fourth = squares.T @ squares / n
    if data.noise_variance == 0.0:
        return fourth, None, None
    residuals = data.residuals
    labels = squares.T @ np.sum(residuals**2, axis=1) / n
    third = np.stack([squares.T @ (phi * column[:, None]) / n for column in residuals.T], axis=2)
    return fourth, labels, third
