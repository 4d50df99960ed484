"""The constants tau1, tau2 of the spectrally expressible noise, fitted to the fourth moments of the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genfun._typing import Array, Float
from genfun.data.store import Blocks
from genfun.noise import SpectrallyExpressible
from genfun.noise.expressible import fitted_constants

MAX_MODES = 1024
COVERED = 1.0 - 1e-4
STAGES = 32
REMAINING = 0.01


@dataclass(frozen=True)
class NoiseFit:
    r"""Spectrally expressible noise fitted to data, and how far the data are from it.

    .. math:: M_{jk} = \frac1N\sum_i \frac{\varphi_j(i)^2\varphi_k(i)^2}{\lambda_j\lambda_k}
              \approx \tau_1 + (1-\tau_2)\,\delta_{jk}

    **Assumptions.** The second moments stay diagonal in the eigenbasis. Pairs are weighted by lambda_j lambda_k, their
    share in the feedback of the noise on itself: at small rates noise of covariance H keeps a loss proportional to
    lambda_j in mode j, and noise that enters mode k adds its variance, lambda_k M_jk, to the sum of later losses. So
    the fit reproduces (unless tau1 or tau2 meets its bound), whatever the labels,

    .. math:: \frac1N\sum_i |\psi_i|^4 = \sum_{jk}\lambda_j\lambda_k M_{jk}
              = \tau_1 (\operatorname{Tr} H)^2 + (1-\tau_2)\operatorname{Tr} H^2,

    which sets the edge and the late loss. Weighted by the signal, tau2 would come from modes whose own noise hardly
    matters, and not from the first mode (of digits their mean, M_11 near 1), whose own noise does.

    Attributes
    ----------
    tau1 : float
        The fitted off-diagonal, dimensionless, >= 0.
    tau2 : float
        One plus tau1 minus the fitted diagonal, dimensionless; tau2 <= tau1 always, because M_kk >= 1.
    misfit : float
        Weighted rms of M minus its fit, relative to the weighted rms of M, over the modes of `coverage`.
    noise_misfit : float
        Largest relative error of the noise's contribution to the loss, sum lambda_k^2 s_j M_jk, while the signal
        decays as s_j exp(-2 lambda_j t) to 1 % of its sum.
    path_misfit : float
        The same for the noise at the points of that noiseless descent, the correlations between their modes
        included. This is what a diagonal description leaves out whatever its constants.
    label_noise_ratio : float
        Noise caused by the residuals at the optimum over the sigma^2 H assumed for it; 1.0 without residuals.
    coverage : float
        Share of the weight that the modes used for `misfit` carry (at most 1024 a side).

    Examples
    --------
    >>> from genfun.data import gaussian
    >>> fit = gaussian([1.0, 0.5], [1.0, 1.0], n_samples=10_000, seed=0).noise_fit
    >>> round(fit.tau1, 1), round(fit.tau2, 1)
    (1.0, -1.0)
    """

    tau1: float
    tau2: float
    misfit: float
    noise_misfit: float
    path_misfit: float
    label_noise_ratio: float
    coverage: float

    @property
    def noise(self) -> SpectrallyExpressible:
        """The fitted noise model."""
        return SpectrallyExpressible(self.tau1, self.tau2)


def _share(weights: Float[Array, " n"]) -> Float[Array, " n"]:
    return weights / weights.sum()


def _leading(weights: Float[Array, " n"]) -> Array:
    """The fewest modes, at most MAX_MODES, that carry the share COVERED of the weight."""
    order = np.argsort(-weights, kind="stable")
    needed = int(np.searchsorted(np.cumsum(weights[order]), COVERED)) + 1
    return np.sort(order[: min(needed, MAX_MODES)])


def _decay(lam: Float[Array, " n"], signal: Float[Array, " n"]) -> Float[Array, "n stages"]:
    """Factors exp(-lambda_k t) of gradient descent, in columns, at times from 0 until REMAINING of the signal."""
    times = np.append(0.0, np.geomspace(0.1 / lam[0], 3.0 / lam[-1], STAGES))
    factors = np.exp(-lam[:, None] * times)
    return factors[:, signal @ factors**2 >= REMAINING * signal.sum()]


def _largest_error(actual: Float[Array, " stages"], model: Float[Array, " stages"]) -> float:
    """Largest relative error of the model; 0.0 where there is no signal and so no noise."""
    positive = model > 0.0
    return float(np.max(np.abs(actual[positive] / model[positive] - 1.0), initial=0.0))


def fit_noise(
    blocks: Callable[[], Blocks],
    eigenvalues: Float[Array, " rank"],
    coefficients: Float[Array, "rank outputs"],
    noise_variance: float,
) -> NoiseFit:
    r"""Fit tau1 and tau2 in one pass over the samples, with memory for at most 1024 x 1024 moments.

    .. math:: \sum_{jk} a_j b_k M_{jk} = \frac1N\sum_i \Big(\sum_j a_j p_{ij}\Big)\Big(\sum_k b_k p_{ik}\Big),\qquad
              p_{ik} = \varphi_k(i)^2/\lambda_k

    **Assumptions.** Weighted least squares for M in tau1 + (1 - tau2) delta separates into the weighted mean of the
    off-diagonal and that of the diagonal; a = b = lambda. Where no off-diagonal carries weight (one mode), tau1 = 1.

    Parameters
    ----------
    blocks : callable
        Returns an iterator over (eigenfeatures, targets) blocks.
    eigenvalues : array, shape (rank,)
        lambda_k > 0, descending.
    coefficients : array, shape (rank, outputs)
        The optimum in the eigenbasis.
    noise_variance : float
        sigma^2 at the optimum.

    Returns
    -------
    NoiseFit
        The constants and the errors of the approximation.
    """
    lam = eigenvalues
    signal = lam * np.sum(coefficients**2, axis=1)
    share, b = _share(lam), _share((lam / lam[0]) ** 2)
    decay = _decay(lam, signal)
    stages = signal[:, None] * decay**2
    modes = _leading(share)

    n, total, diagonal, labels = 0, 0.0, 0.0, 0.0
    staged, path = np.zeros(stages.shape[1]), np.zeros(stages.shape[1])
    moments = np.zeros((modes.size, modes.size))
    for phi, y in blocks():
        p = phi**2 / lam
        felt = p @ b
        predictions = phi @ coefficients
        n += phi.shape[0]
        total += float(np.sum((p @ share) ** 2))
        diagonal += float(np.sum(p**2 @ share**2))
        staged += felt @ (p @ stages)
        for w in coefficients.T:
            path += felt @ (phi @ (w[:, None] * decay)) ** 2
        labels += float(np.sum((y - predictions) ** 2, axis=1) @ felt)
        moments += p[:, modes].T @ p[:, modes]
    total, diagonal, labels, staged, path = total / n, diagonal / n, labels / n, staged / n, path / n

    overlap = float(share @ share)
    noise = fitted_constants(total, diagonal, overlap)
    tau1, tau2 = noise.tau1, noise.tau2

    weights = np.outer(share[modes], share[modes])
    fitted = tau1 + (1.0 - tau2) * np.eye(modes.size)
    error, size = np.sum(weights * (moments / n - fitted) ** 2), np.sum(weights * (moments / n) ** 2)
    model = tau1 * stages.sum(axis=0) + (1.0 - tau2) * (b @ stages)
    return NoiseFit(
        tau1=tau1,
        tau2=tau2,
        misfit=float(np.sqrt(error / size)),
        noise_misfit=_largest_error(staged, model),
        path_misfit=_largest_error(path, model),
        label_noise_ratio=labels / noise_variance if noise_variance > 0.0 else 1.0,
        coverage=float(weights.sum()),
    )
