"""The spectrally expressible approximation of the noise covariance."""

from __future__ import annotations

from dataclasses import dataclass

from genfun import _check


@dataclass(frozen=True)
class SpectrallyExpressible:
    r"""Noise covariance that keeps the second moments diagonal in the eigenbasis.

    .. math:: \Sigma(C) = \gamma\,[\tau_1 \operatorname{Tr}(HC)\, H - \tau_2\, H C H + \sigma^2 H]

    **Assumptions.** The fourth moments of the features satisfy
    :math:`E[\phi_j^2\phi_k^2]/(\lambda_j\lambda_k) = \tau_1 + (1-\tau_2)\delta_{jk}`. Exact for translation-invariant
    data (tau1 = tau2 = 1) and for Gaussian features (tau1 = 1, tau2 = -1); an approximation otherwise.

    Parameters
    ----------
    tau1 : float
        Coupling of all modes through the loss, dimensionless, >= 0.
    tau2 : float
        Correction on a mode's own noise, dimensionless, <= tau1 (otherwise the noise variance could be negative).

    Raises
    ------
    ValueError
        If tau1 < 0 or tau2 > tau1, or either is not finite.

    References
    ----------
    arXiv 2206.11124, section 3 (SE approximation).

    Examples
    --------
    >>> SpectrallyExpressible()
    SpectrallyExpressible(tau1=1.0, tau2=1.0)
    """

    tau1: float = 1.0
    tau2: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau1", _check.nonnegative("tau1", self.tau1, "tau1=1 is the usual choice"))
        object.__setattr__(self, "tau2", _check.number("tau2", self.tau2, "choose tau2 in {1, 0, -1}"))
        if self.tau2 > self.tau1:
            raise ValueError(
                f"tau2 must be at most tau1={self.tau1!r} so that the noise variance stays positive, "
                f"got {self.tau2!r}; lower tau2 (1, 0 and -1 are usual with tau1=1)"
            )


NO_WEIGHT = 1e-6


def fitted_constants(total: float, diagonal: float, overlap: float) -> SpectrallyExpressible:
    r"""Weighted least squares for fourth moments M in tau1 + (1 - tau2) delta.

    .. math:: \tau_1 = \frac{\sum_{jk} a_ja_kM_{jk} - \sum_k a_k^2M_{kk}}{1 - \sum_k a_k^2},\qquad
              1 + \tau_1 - \tau_2 = \frac{\sum_k a_k^2M_{kk}}{\sum_k a_k^2},\qquad \sum_k a_k = 1

    **Assumptions.** Where nearly all the weight is on the diagonal (one mode), only tau1 - tau2 = M_kk - 1 can be seen,
    and tau1 = 1 is the usual choice.

    Parameters
    ----------
    total : float
        Mean of M with the weights a_j a_k.
    diagonal : float
        Part of the diagonal in it.
    overlap : float
        Weight of the diagonal.

    Returns
    -------
    SpectrallyExpressible

    Examples
    --------
    >>> fitted_constants(total=2.0, diagonal=1.5, overlap=0.5)
    SpectrallyExpressible(tau1=1.0, tau2=-1.0)
    """
    if 1.0 - overlap < NO_WEIGHT:
        return SpectrallyExpressible(1.0, min(2.0 - diagonal / overlap, 1.0))
    tau1 = max((total - diagonal) / (1.0 - overlap), 0.0)
    tau2 = 1.0 + tau1 - diagonal / overlap if overlap > 0.0 else tau1
    return SpectrallyExpressible(tau1, min(tau2, tau1))
