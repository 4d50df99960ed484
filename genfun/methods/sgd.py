"""Heavy-ball SGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun import _check
from genfun.methods._sgd_responses import responses as _responses
from genfun.methods.base import UpdateMatrices


@dataclass(frozen=True)
class SGD:
    r"""Mini-batch SGD with heavy-ball momentum, in torch's convention.

    .. math:: v_{t+1} = \beta v_t - \alpha \nabla L_B(w_t),\qquad w_{t+1} = w_t + v_{t+1}

    **Assumptions.** Constant hyperparameters; batches drawn anew at every step.

    Parameters
    ----------
    learning_rate : float
        alpha > 0, in units of 1/eigenvalue. The effective rate is alpha/(1-beta).
    momentum : float
        beta in (-1, 1), dimensionless; it may be negative.
    batch_size : int or None
        b, samples in a batch; None means the full batch (plain gradient descent with momentum).
    replacement : bool
        Whether the samples of one batch are drawn with replacement.

    Raises
    ------
    ValueError
        If learning_rate <= 0, abs(momentum) >= 1 or batch_size < 1.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2206.11124, eq. (2); negative momentum: section 6.

    Examples
    --------
    >>> SGD(learning_rate=0.5, momentum=-0.3, batch_size=10).effective_learning_rate
    0.3846153846153846
    """

    learning_rate: float
    momentum: float = 0.0
    batch_size: int | None = None
    replacement: bool = False

    def __post_init__(self) -> None:
        rate = _check.positive("learning_rate", self.learning_rate, "choose a learning rate above 0")
        object.__setattr__(self, "learning_rate", rate)
        object.__setattr__(self, "momentum", _check.momentum(self.momentum))
        if self.batch_size is not None:
            size = _check.integer("batch_size", self.batch_size, 1, "None means the full batch")
            object.__setattr__(self, "batch_size", size)
        if not isinstance(self.replacement, bool):
            raise TypeError(f"replacement must be True or False, got {self.replacement!r}")

    @property
    def effective_learning_rate(self) -> float:
        """alpha_eff = alpha/(1-beta)."""
        return self.learning_rate / (1.0 - self.momentum)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(beta,)"""
        return (self.momentum,)

    @staticmethod
    def update(a: Any, beta: Any, /) -> UpdateMatrices:
        """The step of the state (w - w*, v): rows of T and the kick."""
        return ((1 - a, beta), (-a, beta)), (1, 1)

    @staticmethod
    def curvature_limit(beta: Any, /) -> Any:
        """Largest stable learning rate without noise, in units of 1/lambda_max: 2(1 + beta).

        Parameters
        ----------
        beta : float or array
            Momentum.
        """
        return 2.0 * (1.0 + beta)

    responses = staticmethod(_responses)
