"""Quasi-hyperbolic momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun import _check
from genfun.methods._qhm_responses import responses as _responses
from genfun.methods.base import UpdateMatrices


@dataclass(frozen=True)
class QHM:
    r"""Quasi-hyperbolic momentum: a weighted average of a plain step and a momentum step.

    .. math:: m_{t+1} = \beta m_t + (1-\beta) \nabla L_B(w_t),\qquad
              w_{t+1} = w_t - \alpha\,[(1-\nu) \nabla L_B(w_t) + \nu\, m_{t+1}]

    nu = 0 is plain SGD; nu = 1 is heavy ball with the rate alpha (1 - beta); nu = beta is Nesterov's momentum as torch
    has it, at the rate alpha (1 - beta).

    **Assumptions.** Constant hyperparameters; batches drawn anew at every step; m_0 = 0.

    Parameters
    ----------
    learning_rate : float
        alpha > 0, in units of 1/eigenvalue. It is the effective rate, whatever beta and nu.
    momentum : float
        beta in (-1, 1), dimensionless.
    nu : float
        Weight of the momentum step, 0..1, dimensionless.
    batch_size : int or None
        b, samples in a batch; None means the full batch.
    replacement : bool
        Whether the samples of one batch are drawn with replacement.

    Raises
    ------
    ValueError
        If learning_rate <= 0, abs(momentum) >= 1, nu is outside 0..1 or batch_size < 1.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 1810.06801, eq. (3) and (4).

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5)
    >>> plain, same = gf.SGD(0.3, batch_size=10), gf.QHM(0.3, 0.9, 0.0, batch_size=10)
    >>> abs(gf.predict(problem, same, 100).loss / gf.predict(problem, plain, 100).loss - 1.0) < 1e-12
    np.True_
    """

    learning_rate: float
    momentum: float = 0.999
    nu: float = 0.7
    batch_size: int | None = None
    replacement: bool = False

    def __post_init__(self) -> None:
        rate = _check.positive("learning_rate", self.learning_rate, "choose a learning rate above 0")
        object.__setattr__(self, "learning_rate", rate)
        object.__setattr__(self, "momentum", _check.momentum(self.momentum))
        nu = _check.nonnegative("nu", self.nu, "0 is plain SGD, 1 heavy ball")
        if nu > 1.0:
            raise ValueError(f"nu must be at most 1, got {nu!r}; 1 is heavy ball")
        object.__setattr__(self, "nu", nu)
        _check.batches(self)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(beta, nu)"""
        return self.momentum, self.nu

    @staticmethod
    def update(a: Any, beta: Any, nu: Any, /) -> UpdateMatrices:
        """The step of the state (w - w*, -alpha nu m): rows of T and the kick."""
        remembered, whole = nu * (1 - beta), 1 - nu * beta
        return ((1 - whole * a, beta), (-remembered * a, beta)), (whole, remembered)

    responses = staticmethod(_responses)
