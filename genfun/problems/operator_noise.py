"""The constants of the noise of an operator: from the gradients of single samples and its leading eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.noise.expressible import SpectrallyExpressible, fitted_constants

TRACES_APART = 5.0
"""Times that Tr K/N by the blocks may be that by random probes, or the other way: probes are rough, a lost N is not."""
MOST_OUTPUTS = 32
"""Outputs of a sample beyond which its gradients, one an output, would take far longer than all products."""

COUPLED = 1e-5
"""Of the blocks of samples (Frobenius), what outside multiples of the identity is rounding."""


@dataclass(frozen=True)
class SampleMoments:
    r"""What the gradients of single samples say: exact sums, for which no product is needed.

    .. math:: \operatorname{Tr}H = \frac1{No}\sum_i\operatorname{tr}K_{ii},\qquad
              m_4 = \frac1{No}\sum_i|K_{ii}|_F^2

    with one o x o block of the kernel a sample, o outputs; with one output m_4 is the mean of |psi_i|^4.

    Parameters
    ----------
    trace : float
        Tr H, a mean over outputs.
    fourth : float
        m_4.
    share : float
        Of the capacity that one mode has: 1/o where the kernel couples the outputs; 1 where all have one kernel apart,
        and every eigenvalue is there o times.
    """

    trace: float
    fourth: float
    share: float = 1.0

    @classmethod
    def of(cls, operator: Any, n: int, outputs: int) -> SampleMoments | None:
        """Those of an operator that has `sample_blocks`; None for others, and for more than MOST_OUTPUTS outputs.

        Parameters
        ----------
        operator : object
            Its `sample_blocks()` gives the blocks K_ii / N, shape (n, outputs, outputs).
        n, outputs : int
            How many samples, and rows of the operator for each.

        Raises
        ------
        ValueError
            If the blocks have another shape, are not finite or all zero.
        """
        if outputs > MOST_OUTPUTS or not callable(getattr(operator, "sample_blocks", None)):
            return None
        blocks = np.asarray(_check.plain("operator.sample_blocks()", operator.sample_blocks()))
        if blocks.shape != (n, outputs, outputs):
            raise ValueError(
                f"operator.sample_blocks() must have shape ({n}, {outputs}, {outputs}), the blocks K_ii/N on the "
                f"diagonal, got {blocks.shape}"
            )
        _check.reals("operator.sample_blocks()", blocks)
        blocks = blocks.astype(np.float64)
        trace = float(np.einsum("iaa->", blocks)) / outputs
        if not np.isfinite(blocks).all() or not trace > 0.0:
            raise ValueError(
                "operator.sample_blocks() must be finite with a positive trace; look for overflow, or outputs that "
                "depend on no trained parameter"
            )
        apart = blocks - np.trace(blocks, axis1=1, axis2=2)[:, None, None] / outputs * np.eye(outputs)
        coupled = np.linalg.norm(apart) > COUPLED * np.linalg.norm(blocks)
        return cls(trace, n * float(np.sum(blocks**2)) / outputs, 1.0 / outputs if coupled else 1.0)

    def check_trace(self, outputs: int, estimate: float) -> None:
        """Refuse blocks whose trace is far from that of the products, as of K_ii in place of K_ii/N.

        Parameters
        ----------
        outputs : int
            Rows of the operator for each sample.
        estimate : float
            tr K/N by products.

        Raises
        ------
        ValueError
            If one is more than `TRACES_APART` times the other.
        """
        found = outputs * self.trace
        if not estimate / TRACES_APART <= found <= estimate * TRACES_APART:
            raise ValueError(
                f"operator.sample_blocks() have the trace {found:.3g} in all, and products with the operator find "
                f"{estimate:.3g}; give blocks K_ii/N of the operator K/N, in its units"
            )

    def noise(
        self, capacity: float, values: Float[Array, " m"], vectors: Float[Array, "m size"], n: int
    ) -> SpectrallyExpressible:
        r"""tau1 and tau2 that keep m_4 and the noise of the leading modes in themselves, as `NoiseFit` does.

        .. math:: m_4 = \tau_1 (\operatorname{Tr} H)^2 + (1-\tau_2)\operatorname{Tr} H^2,\qquad
                  1 + \tau_1 - \tau_2 = \frac{\sum_k\lambda_k^2 M_{kk}}{\sum_k\lambda_k^2},\quad
                  M_{kk} = N\sum_i\Big(\sum_o u_k(io)^2\Big)^2

        **Assumptions.** The second mean is over Ritz vectors: the leading ones, which are eigenvectors, have almost all
        of Tr H^2. Where the kernel couples o outputs each mode has 1/o of the capacity: tau1 is then that of the same
        two equations, and tau2 that of the second with tau1/o in it. With a larger one the noise of a mode in itself,
        and at large momentum the loss, would be negative; with this one the noise is rather too high there.

        Parameters
        ----------
        capacity : float
            Tr H^2, a mean over outputs.
        values : array, shape (m,)
            Ritz values of a Lanczos run.
        vectors : array, shape (m, size)
            Their vectors u, outputs fastest.
        n : int
            N.

        Returns
        -------
        SpectrallyExpressible
        """
        own = n * np.sum(np.sum(vectors.reshape(values.size, n, -1) ** 2, axis=2) ** 2, axis=1)
        mean = float(values**2 @ own / np.sum(values**2))
        overlap = capacity / self.trace**2
        found = fitted_constants(self.fourth / self.trace**2, mean * overlap, overlap)
        if self.share == 1.0:
            return found
        return SpectrallyExpressible(found.tau1, min(1.0 + self.share * found.tau1 - mean, self.share * found.tau1))
