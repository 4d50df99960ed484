"""What the engine needs of a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

UpdateMatrices = tuple[Sequence[Sequence[Any]], Sequence[Any]]


@runtime_checkable
class Method(Protocol):
    r"""A linear method with finite memory, seen by one eigenmode.

    With x = (w - w*, memory...) the state of a mode of eigenvalue lambda and a = learning_rate * lambda, one step is

    .. math:: x_{t+1} = T(a)\, x_t - \alpha\,\varepsilon_t\, k,

    epsilon the gradient noise of the batch. The gradient is taken at the first component of x. `update` gives (T, k)
    in plain arithmetic, so that the same lines serve NumPy arrays, sympy symbols and mpmath numbers. From it
    `genfun.symbolic` derives the two impulse responses u_0 = sum h_t^2 z^t, v_0 = sum g_t^2 z^t (arXiv 2206.11124,
    theorem 1; the finite-memory form of arXiv 2410.04228), which is all that the generating function needs.

    A method may also carry ready-made `responses(a, q, *hyperparameters)` with q = 1 - z, returning
    (d, n_u, n_v) with u_0 = n_u/d and v_0 = n_v/d; without them they are derived on first use. And it may give
    `curvature_limit(*hyperparameters)`, the largest stable a without noise, which is searched for otherwise. Answers
    that search over learning rates need a dataclass, whose field learning_rate they replace.
    """

    @property
    def learning_rate(self) -> float:
        """alpha, the factor of the gradient."""
        ...

    @property
    def batch_size(self) -> int | None:
        """b; None means the full batch."""
        ...

    @property
    def replacement(self) -> bool:
        """Whether the samples of a batch are drawn with replacement."""
        ...

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """What `update` takes after a, in order."""
        ...

    @staticmethod
    def update(*args: Any, **kwargs: Any) -> UpdateMatrices:
        """The function of a and the hyperparameters that gives the rows of T(a) and the entries of k."""
        ...


def effective_rate(method: Method) -> float:
    r"""alpha_eff, the step of a slow mode per unit gradient: alpha/(1-beta) for the heavy ball.

    .. math:: \alpha_{eff} = \alpha \lim_{t\to\infty} (T(0)^t k)_w

    Parameters
    ----------
    method : Method
    """
    rows, kick = method.update(0.0, *method.hyperparameters)
    matrix = np.linalg.matrix_power(np.array(rows, dtype=float), 1 << 40)
    return method.learning_rate * float((matrix @ np.array(kick, dtype=float))[0])
