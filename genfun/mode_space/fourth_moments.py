"""Noise that knows the fourth moment of every pair of modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.engine.settings import Settings
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.mode_space.coupling import Coupling
from genfun.mode_space.diagonal_function import DiagonalFunction
from genfun.mode_space.diagonal_settings import diagonal_gains, diagonal_losses_at
from genfun.problems.problem import Problem
from genfun.scaled import Scaled

MAX_MODES = 10_000
"""Modes whose fourth moments are kept: a matrix of 800 MB."""


@dataclass(frozen=True, eq=False, repr=False)
class FourthMoments:
    r"""Noise by the fourth moments of every pair of modes, second moments kept diagonal in the eigenbasis.

    .. math:: n_k = \gamma\alpha^2\Big[\sum_l M_{kl}\,c_l - \lambda_k^2 c_k + E_k - 2\sum_l T_{kl}\cdot m_l\Big]

    .. math:: M_{kl} = E[\varphi_k^2\varphi_l^2],\qquad E_k = E[\varphi_k^2|\epsilon|^2],\qquad
              T_{kl} = E[\varphi_k^2\varphi_l\,\epsilon]

    is the noise that mode k is kicked with in a step. *Derivation.* The noise of a batch of b has the covariance
    :math:`\gamma[E\,r^2\varphi\varphi^T - HCH]` with :math:`r = \langle\varphi, dw\rangle - \epsilon`, eps the residual
    at the optimum. Its diagonal needs

    .. math:: E[r^2] = \sum_{jl}\varphi_j\varphi_l\,C_{jl} - 2\,\epsilon\sum_j\varphi_j\,m_j + \epsilon^2

    and only the first term asks for C_jl with j != l: they are dropped, here alone. The mean m = E[dw] obeys a closed
    recursion of its own (gradient descent). Spectrally expressible noise is M_kl = lambda_k lambda_l (tau1 +
    (1 - tau2) delta_kl), E_k = lambda_k sigma^2 and T = 0.

    **Assumptions.** The off-diagonal second moments do not feed the diagonal ones. Exact where every
    phi_k(i)^2 = lambda_k (translation-invariant data) and where each sample has one non-zero eigenfeature. Memory and
    time of a step O(modes^2), of a point of the generating function O(modes^3).

    Parameters
    ----------
    matrix : array, shape (modes, modes)
        M, symmetric, not negative, in the order of the problem's eigenvalues (descending), in units of eigenvalue^2.
    label : array, shape (modes,), or None
        E; None is lambda_k sigma^2 of the problem.
    cross : array, shape (modes, modes), or None
        T_kl times the initial error of mode l, summed over outputs; None is 0.
    eigenvalues : array, shape (modes,), or None
        lambda, to refuse a problem of other modes; None checks their number alone.

    Raises
    ------
    ValueError
        On shapes that do not match, or a matrix that is negative or not symmetric.

    References
    ----------
    arXiv 2206.11124, section 3 (between the full second moments and the spectrally expressible approximation).

    Examples
    --------
    >>> import genfun as gf
    >>> import numpy as np
    >>> problem = gf.LinearProblem([1.0, 0.5], [1.0, 1.0])
    >>> gaussian = np.outer(problem.eigenvalues, problem.eigenvalues) * (1.0 + 2.0 * np.eye(2))
    >>> noise = gf.FourthMoments(gaussian)
    >>> round(gf.max_learning_rate(problem, batch_size=1, noise=noise), 6)
    0.609612
    >>> round(gf.max_learning_rate(problem, batch_size=1, noise=gf.SpectrallyExpressible(1.0, -1.0)), 6)
    0.609612
    """

    matrix: Any
    label: Any = None
    cross: Any = None
    eigenvalues: Any = None

    def __post_init__(self) -> None:
        matrix = _square("matrix", self.matrix)
        if matrix.shape[0] > MAX_MODES:
            raise ValueError(f"matrix must be of at most {MAX_MODES} modes, got {matrix.shape[0]}; use measured_noise")
        if matrix.min() < 0.0 or matrix.diagonal().min() <= 0.0:
            raise ValueError(f"matrix must not be negative and have a positive diagonal, got {float(matrix.min())!r}")
        if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0):
            raise ValueError("matrix must be symmetric, as E[phi_j^2 phi_k^2] is; pass (M + M.T)/2")
        object.__setattr__(self, "matrix", 0.5 * (matrix + matrix.T))
        size = matrix.shape[0]
        for name in ("label", "eigenvalues"):
            if getattr(self, name) is None:
                continue
            value = _check.vector(name, getattr(self, name))
            if value.size != size or value.min() < 0.0:
                raise ValueError(f"{name} must be {size} numbers that are not negative, one a mode, got {value!r}")
            object.__setattr__(self, name, value)
        if self.cross is not None:
            object.__setattr__(self, "cross", _square("cross", self.cross, size))

    def __repr__(self) -> str:
        extra = "".join(f", {name}" for name in ("label", "cross") if getattr(self, name) is not None)
        return f"FourthMoments({self.matrix.shape[0]} modes{extra})"

    @classmethod
    def of(cls, data: Any) -> FourthMoments:
        """The fourth moments of data, and what their residuals at the optimum add.

        Parameters
        ----------
        data : LinearData
            Of at most 10,000 modes.

        Raises
        ------
        ValueError
            If the rank is too large.
        TypeError
            If data is no LinearData.

        Examples
        --------
        >>> import genfun as gf
        >>> data = gf.data.translation_invariant([1.0, 0.5], [1.0, 1.0])
        >>> noise = gf.FourthMoments.of(data)
        >>> gf.predict(data, gf.SGD(0.5, batch_size=1), [0, 1, 2], noise).loss.round(12).tolist()
        [1.0, 0.5625, 0.33203125]
        """
        if not hasattr(data, "eigenfeatures"):
            raise TypeError(f"data must be a LinearData, got {type(data).__name__}; see LinearData.from_features")
        if data.eigenvalues.size > MAX_MODES:
            raise ValueError(
                f"data must be of rank at most {MAX_MODES}, got {data.eigenvalues.size}; use data.measured_noise"
            )
        phi, n = data.eigenfeatures, data.n_samples
        squares = phi**2
        matrix = squares.T @ squares / n
        if data.noise_variance == 0.0:
            return cls(matrix, None, None, data.eigenvalues)
        residuals = data.residuals
        label = squares.T @ np.sum(residuals**2, axis=1) / n
        pull = np.einsum("no,jo->nj", residuals, -data.coefficients)
        return cls(matrix, label, squares.T @ (phi * pull) / n, data.eigenvalues)

    @property
    def words(self) -> str:
        """Where it is from, for a sentence."""
        return "given by the fourth moments of every pair of modes"

    def transform(self, problem: Problem, method: Method) -> DiagonalFunction:
        """The generating function of the loss.

        Parameters
        ----------
        problem : Problem
            Of as many listed modes.
        method : Method

        Raises
        ------
        ValueError
            If the problem has other modes.
        """
        self.check(problem)
        return DiagonalFunction(self, problem, method)

    def check(self, problem: Problem) -> None:
        """Refuse a problem whose modes are not those of the moments.

        Parameters
        ----------
        problem : Problem
        """
        size, wanted = (
            self.matrix.shape[0],
            "a LinearProblem (or LinearData) of the modes whose fourth moments these are",
        )
        if not (hasattr(problem, "eigenvalues") and hasattr(problem, "signal")):
            raise ValueError(
                f"problem must be {wanted}, {size} in number, got {problem!r}; list its modes with gf.LinearProblem"
            )
        lam: Any = problem.eigenvalues  # pyright: ignore[reportAttributeAccessIssue]
        if lam.size != size:
            raise ValueError(
                f"problem must be {wanted}, {size} in number, got {lam.size} modes; measure the noise on it"
            )
        if self.label is not None and self.label.any() and problem.noise_variance == 0.0:
            raise ValueError("problem must have a noise_variance where the noise has a label; leave the label out")
        if self.eigenvalues is not None and not np.allclose(lam, self.eigenvalues, rtol=1e-9, atol=0.0):
            raise ValueError(f"problem must be {wanted}, got other eigenvalues in {problem!r}; use FourthMoments.of")

    def gains(self, problem: Problem, family: Family, rates: Array, momenta: Array, batch_size: int | None) -> Array:
        """Noise gains of many settings; inf where a mode has no stationary state.

        Parameters
        ----------
        problem : Problem
        family : Family
        rates, momenta : array, any one shape
        batch_size : int or None
        """
        self.check(problem)
        flat = Settings.of(problem, family, rates.ravel(), momenta.ravel(), batch_size, self)
        return diagonal_gains(Coupling.of(self, problem), flat).reshape(rates.shape)

    def losses_at(self, settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
        """Mean losses of many settings at one step, and the estimated relative error of the computation.

        Parameters
        ----------
        settings : Settings
        step : int
        """
        self.check(settings.problem)
        return diagonal_losses_at(Coupling.of(self, settings.problem), settings, step)


def _square(name: str, value: Any, size: int | None = None) -> Float[Array, "n n"]:
    """A finite square matrix of doubles."""
    given = np.asarray(_check.plain(name, value))
    _check.reals(name, given)
    matrix = np.array(given, dtype=np.float64)
    side = matrix.shape[0] if size is None and matrix.ndim else size
    if matrix.ndim != 2 or matrix.shape != (side, side) or side == 0:
        wanted = "square" if size is None else f"of shape ({size}, {size}), as matrix is"
        raise ValueError(f"{name} must be {wanted}, got shape {matrix.shape}; one row and column a mode")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be finite; remove or repair non-finite values")
    return matrix
