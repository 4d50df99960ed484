"""Two-timescale momentum: a fast and a slow average of the gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun import _check
from genfun.methods import numeric
from genfun.methods.base import UpdateMatrices


@dataclass(frozen=True)
class TwoTimescale:
    r"""A fast and a slow average of the gradients: AdEMAMix with SGD in the place of Adam.

    .. math:: m_{t+1} = \beta_1 m_t + (1-\beta_1) \nabla L_B(w_t),\qquad
              n_{t+1} = \beta_3 n_t + (1-\beta_3) \nabla L_B(w_t),\qquad
              w_{t+1} = w_t - \alpha\,(m_{t+1} + \kappa\, n_{t+1})

    kappa = 0 is heavy ball with the rate alpha (1 - beta_1). Made by `MemorySGD.two_timescale`.

    **Assumptions.** Constant hyperparameters: neither the warm-up of kappa and beta_3 nor Adam's division and its
    correction of the start. Batches drawn anew at every step; m_0 = n_0 = 0.

    Parameters
    ----------
    learning_rate : float
        alpha > 0, in units of 1/eigenvalue. The effective rate is alpha (1 + kappa).
    momentum : float
        beta_1 in (-1, 1), dimensionless.
    slow : float
        beta_3 in [0, 1), dimensionless.
    weight : float
        kappa >= 0 (alpha in the paper), dimensionless.
    batch_size : int or None
        b, samples in a batch; None means the full batch.
    replacement : bool
        Whether the samples of one batch are drawn with replacement.

    Raises
    ------
    ValueError
        If learning_rate <= 0, abs(momentum) >= 1, slow is outside [0, 1), weight < 0 or batch_size < 1.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2409.03137 (AdEMAMix).

    Examples
    --------
    >>> TwoTimescale.update(0.5, 0.5, 0.75, 2.0)[1]  # what a gradient does at once to w and to both averages
    (1.0, 0.5, 0.25)
    """

    learning_rate: float
    momentum: float = 0.9
    slow: float = 0.9999
    weight: float = 5.0
    batch_size: int | None = None
    replacement: bool = False

    def __post_init__(self) -> None:
        rate = _check.positive("learning_rate", self.learning_rate, "choose a learning rate above 0")
        object.__setattr__(self, "learning_rate", rate)
        object.__setattr__(self, "momentum", _check.momentum(self.momentum))
        slow = _check.nonnegative("slow", self.slow, "0 forgets every gradient at once")
        if slow >= 1.0:
            raise ValueError(f"slow must be below 1, got {slow!r}; at 1 no gradient enters")
        object.__setattr__(self, "slow", slow)
        object.__setattr__(self, "weight", _check.nonnegative("weight", self.weight, "0 is heavy ball"))
        _check.batches(self)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(beta_1, beta_3, kappa)"""
        return self.momentum, self.slow, self.weight

    @staticmethod
    def update(a: Any, beta: Any, slow: Any, weight: Any, /) -> UpdateMatrices:
        """The step of the state (w - w*, -alpha m, -alpha n): rows of T and the kick."""
        new, newer = 1 - beta, 1 - slow
        whole, old = new + weight * newer, weight * slow
        rows = ((1 - whole * a, beta, old), (-new * a, beta, 0), (-newer * a, 0, slow))
        return rows, (whole, new, newer)

    @staticmethod
    def responses(a: Any, q: Any, beta: Any, slow: Any, weight: Any) -> tuple[Any, Any, Any]:
        """(d, n_u, n_v), by a small solve."""
        return numeric.mode_responses(TwoTimescale.update, a, q, (beta, slow, weight))
