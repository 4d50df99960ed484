"""The update of torch's SGD with dampening, weight decay or Nesterov momentum, in the state (w - w*, v)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfun.methods._qhm_responses import responses as _quasi
from genfun.methods._sgd_responses import responses as _plain
from genfun.methods.base import UpdateMatrices


@dataclass(frozen=True)
class Damped:
    r"""The fluctuations of heavy ball with dampening d and weight decay rho: c = 1 - d, r = alpha rho.

    .. math:: v' = \beta v - c\,(a + r)(w - w^*),\qquad w' = w + v'

    What pulls the mean to 0 is left out: it is in `genfun.methods.system`.

    Parameters
    ----------
    learning_rate : float
        alpha, in units of 1/eigenvalue.
    batch_size : int or None
        b, samples.
    replacement : bool
        Whether the samples of a batch are drawn with replacement.
    hyperparameters : tuple of float
        (beta, c, r), dimensionless.

    Examples
    --------
    >>> Damped.update(0.5, 0.9, 1.0, 0.0)
    (((0.5, 0.9), (-0.5, 0.9)), (1.0, 1.0))
    """

    learning_rate: float
    batch_size: int | None
    replacement: bool
    hyperparameters: tuple[float, ...]

    @staticmethod
    def update(a: Any, beta: Any, c: Any, r: Any, /) -> UpdateMatrices:
        """Rows of T and the kick."""
        pull = c * (a + r)
        return ((1 - pull, beta), (-pull, beta)), (c, c)

    @staticmethod
    def responses(a: Any, q: Any, beta: Any, c: Any, r: Any) -> tuple[Any, Any, Any]:
        """(d, n_u, n_v), those of heavy ball at c (a + r)."""
        d, n_u, n_v = _plain(c * (a + r), q, beta)
        return d, c * c * n_u, n_v


@dataclass(frozen=True)
class Nesterov:
    r"""The fluctuations of Nesterov momentum in torch's form with weight decay rho: r = alpha rho.

    .. math:: v' = \beta v - (a + r)(w - w^*),\qquad w' = w + \beta v' - (a + r)(w - w^*)

    Parameters
    ----------
    learning_rate : float
        alpha, in units of 1/eigenvalue.
    batch_size : int or None
        b, samples.
    replacement : bool
        Whether the samples of a batch are drawn with replacement.
    hyperparameters : tuple of float
        (beta, r), dimensionless.

    Examples
    --------
    >>> Nesterov.update(0.5, 0.5, 0.0)
    (((0.25, 0.25), (-0.5, 0.5)), (1.5, 1))
    """

    learning_rate: float
    batch_size: int | None
    replacement: bool
    hyperparameters: tuple[float, ...]

    @staticmethod
    def update(a: Any, beta: Any, r: Any, /) -> UpdateMatrices:
        """Rows of T and the kick."""
        pull = a + r
        return ((1 - (1 + beta) * pull, beta * beta), (-pull, beta)), (1 + beta, 1)

    @staticmethod
    def responses(a: Any, q: Any, beta: Any, r: Any) -> tuple[Any, Any, Any]:
        """(d, n_u, n_v), those of quasi-hyperbolic momentum with nu = beta at a rate 1/(1 - beta) times as large."""
        scale = 1 / (1 - beta)
        d, n_u, n_v = _quasi((a + r) * scale, q, beta, beta)
        return d, scale * scale * n_u, n_v
