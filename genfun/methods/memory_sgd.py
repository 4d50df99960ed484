"""SGD with any fixed number of velocities."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from genfun import _check
from genfun.methods import numeric
from genfun.methods.base import UpdateMatrices
from genfun.methods.two_timescale import TwoTimescale

LARGEST = 1e100
"""Modulus of a number that the method has: products of three are in the range of doubles."""


@dataclass(frozen=True)
class MemorySGD:
    r"""SGD with M velocities u, all stationary first-order methods of memory M.

    .. math:: \begin{pmatrix} w_{t+1} - w_t \\ u_{t+1} \end{pmatrix} =
              \begin{pmatrix} -\alpha\, g & -\alpha\, b^\top \\ c & D \end{pmatrix}
              \begin{pmatrix} \nabla L_B(w_t) \\ u_t \end{pmatrix},\qquad u_0 = 0

    The effective rate is alpha (g + b^T (1 - D)^{-1} c). Heavy ball is g = 1, b = beta, c = 1, D = beta. Methods of
    several time scales have a diagonal D; `MemorySGD.two_timescale` is AdEMAMix with SGD.

    **Assumptions.** Constant hyperparameters; batches drawn anew at every step. Corner approximations of accelerated
    methods (arXiv 2504.12519) are of this form once their rational coefficients are given; those are not derived here.

    Parameters
    ----------
    learning_rate : float
        alpha > 0, in units of 1/eigenvalue.
    direct : float
        g, the weight of the present gradient.
    reads : float or tuple of M floats
        b, the weights of the velocities in the step of w.
    writes : float or tuple of M floats
        c, what the gradient adds to the velocities.
    keeps : float, tuple of M floats, or M tuples of M floats
        D, or its diagonal; its eigenvalues must have a modulus below 1.
    batch_size : int or None
        b of the batch, samples; None means the full batch.
    replacement : bool
        Whether the samples of one batch are drawn with replacement.

    Raises
    ------
    ValueError
        If learning_rate <= 0, the lengths differ, a number is not finite, D does not forget, the effective rate is not
        above 0, or batch_size < 1.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2410.04228 (SGD with memory).

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=50)
    >>> heavy = gf.MemorySGD(0.05, 1.0, 0.9, 1.0, 0.9, batch_size=10)
    >>> same = gf.SGD(0.05, 0.9, batch_size=10)
    >>> abs(gf.predict(problem, heavy, 100).loss / gf.predict(problem, same, 100).loss - 1.0) < 1e-10
    np.True_
    >>> gf.MemorySGD.two_timescale(0.05, slow=0.999, batch_size=10).slow
    0.999
    """

    learning_rate: float
    direct: float
    reads: Any
    writes: Any
    keeps: Any
    batch_size: int | None = None
    replacement: bool = False

    def __post_init__(self) -> None:
        rate = _check.positive("learning_rate", self.learning_rate, "choose a learning rate above 0")
        object.__setattr__(self, "learning_rate", rate)
        reads, writes, keeps = (_numbers(name, getattr(self, name)) for name in ("reads", "writes", "keeps"))
        reads, writes = np.atleast_1d(reads), np.atleast_1d(writes)
        keeps = np.diag(np.atleast_1d(keeps)) if keeps.ndim < 2 else keeps
        size = reads.size
        if reads.shape != (size,) or writes.shape != (size,) or keeps.shape != (size, size):
            raise ValueError(
                f"reads, writes and keeps must be of M, M and M or M x M numbers, got shapes {reads.shape}, "
                f"{writes.shape} and {keeps.shape}"
            )
        radius = float(np.abs(np.linalg.eigvals(keeps)).max())
        if radius >= 1.0:
            raise ValueError(f"keeps must have eigenvalues below 1 in modulus, got {radius!r}: a velocity never fades")
        direct = float(_numbers("direct", _check.number("direct", self.direct)))
        effective = direct + float(reads @ np.linalg.solve(np.eye(size) - keeps, writes))
        if not effective > 0.0:
            raise ValueError(
                f"direct + reads (1 - keeps)^-1 writes must be above 0, got {effective!r}: a lasting gradient would "
                f"be climbed, or never move w; raise direct, or change the sign of reads or writes"
            )
        object.__setattr__(self, "direct", direct)
        object.__setattr__(self, "reads", tuple(reads.tolist()))
        object.__setattr__(self, "writes", tuple(writes.tolist()))
        object.__setattr__(self, "keeps", tuple(map(tuple, keeps.tolist())))
        _check.batches(self)

    @staticmethod
    def two_timescale(
        learning_rate: float,
        momentum: float = 0.9,
        slow: float = 0.9999,
        weight: float = 5.0,
        batch_size: int | None = None,
        replacement: bool = False,
    ) -> TwoTimescale:
        r"""A fast and a slow average of the gradients, AdEMAMix with SGD, as a class of its own.

        .. math:: w_{t+1} = w_t - \alpha\,(m_{t+1} + \kappa\, n_{t+1})

        with m and n the averages of the gradients with beta_1 and beta_3. It is the memory-2 method g = (1 - beta_1) +
        kappa (1 - beta_3), b = (beta_1, kappa beta_3), c = (1 - beta_1, 1 - beta_3), D = diag(beta_1, beta_3), whose
        fast momentum searches vary.

        Parameters
        ----------
        learning_rate : float
            alpha > 0, in units of 1/eigenvalue.
        momentum : float
            beta_1 in (-1, 1).
        slow : float
            beta_3 in [0, 1).
        weight : float
            kappa >= 0 (alpha in the paper).
        batch_size : int or None
            Samples; None means the full batch.
        replacement : bool
            Whether the samples of one batch are drawn with replacement.

        References
        ----------
        arXiv 2409.03137.
        """
        return TwoTimescale(learning_rate, momentum, slow, weight, batch_size, replacement)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """(g, b, c, D row by row)"""
        return (self.direct, *self.reads, *self.writes, *(x for row in self.keeps for x in row))

    @staticmethod
    def update(a: Any, *hyper: Any) -> UpdateMatrices:
        """The step of the state (w - w*, -alpha u): rows of T and the kick.

        Parameters
        ----------
        a : float or array
            Learning rate times eigenvalue.
        *hyper : float or array
            The hyperparameters.
        """
        size = isqrt(len(hyper)) - 1
        direct, reads, writes = hyper[0], hyper[1 : 1 + size], hyper[1 + size : 1 + 2 * size]
        kept = hyper[1 + 2 * size :]
        below = [(-writes[i] * a, *kept[i * size : (i + 1) * size]) for i in range(size)]
        return ((1 - direct * a, *reads), *below), (direct, *writes)

    @staticmethod
    def responses(a: Any, q: Any, *hyper: Any) -> tuple[Any, Any, Any]:
        """(d, n_u, n_v), by a small solve.

        Parameters
        ----------
        a, q : float or array
            Learning rate times eigenvalue, and 1 - z.
        *hyper : float or array
            The hyperparameters.
        """
        return numeric.mode_responses(MemorySGD.update, a, q, hyper)


def _numbers(name: str, value: Any) -> Any:
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or a tuple of numbers, got {value!r}") from None
    except OverflowError:
        found = np.full(1, np.inf)
    if not (np.abs(found) <= LARGEST).all():
        raise ValueError(f"{name} must be finite, at most {LARGEST:g} in modulus, got {value!r:.60}")
    return found
