"""What the engine needs of a problem, and the problem given by a measured spectrum."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float, Progress
from genfun.problems.bins import MANY, into_narrow_bins
from genfun.problems.measure import BIN_WIDTH, SpectralMeasure

if TYPE_CHECKING:
    from genfun.problems.measured_spectrum import MeasuredSpectrum

LARGEST_SCALE, LARGEST_LOSS = 1e75, 1e300
"""Of eigenvalues, whose fourth powers are taken, and of signal and label noise times their squares."""
NARROWEST = BIN_WIDTH / 64.0
"""Width of bins down to which one pass over a long list serves; narrower ones have their own."""
EXACT_MODES = 256
"""Up to this many modes a spectrum is used as it is; compressing it would gain nothing."""


@runtime_checkable
class Problem(Protocol):
    """Two spectral measures and a few scalars: everything that an answer needs of a problem."""

    @property
    def n_samples(self) -> int | None:
        """N; None means streaming data."""
        ...

    @property
    def noise_variance(self) -> float:
        """sigma^2, the residual variance at the optimum."""
        ...

    @property
    def lambda_max(self) -> float:
        """Largest eigenvalue."""
        ...

    @property
    def lambda_min(self) -> float:
        """Smallest eigenvalue; 0.0 for an infinite spectrum."""
        ...

    @property
    def trace(self) -> float:
        """Sum of the eigenvalues, possibly inf."""
        ...

    @property
    def capacity_total(self) -> float:
        """Sum of the squared eigenvalues, possibly inf."""
        ...

    @property
    def signal_total(self) -> float:
        """Sum of the s_k, twice the initial excess loss."""
        ...

    def measures(self, bin_width: float = BIN_WIDTH) -> tuple[SpectralMeasure, SpectralMeasure]:
        """Capacity (weights lambda^2) and signal (weights s) measures with few nodes."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class LinearProblem(Displayed):
    r"""Least squares seen through its spectrum.

    .. math:: L(w) = \tfrac12 \langle w-w^*, H (w-w^*)\rangle + \tfrac12\sigma^2,\qquad
              s_k = \lambda_k E\langle w_0-w^*, e_k\rangle^2,\qquad L(0) = \tfrac12\sum_k s_k + \tfrac12\sigma^2

    **Assumptions.** None on the spectrum. Modes of eigenvalue 0 never move and must carry no signal; they are dropped.

    Parameters
    ----------
    eigenvalues : array, shape (n,)
        lambda_k >= 0 of the Hessian H, any order, at least one positive.
    signal : array, shape (n,)
        s_k >= 0, in units of twice the loss, aligned with the eigenvalues.
    n_samples : int or None
        N, size of the training set that batches are drawn from; None means streaming data.
    noise_variance : float
        sigma^2 >= 0, residual variance at the optimum (label noise), in units of twice the loss.

    Raises
    ------
    ValueError
        On empty, non-finite, negative or unequal-length arrays, signal on a zero eigenvalue, or a largest eigenvalue
        outside 1e-75..1e75, or a signal or label noise so large or small that doubles hold no products of it.

    References
    ----------
    arXiv 2206.11124, section 2.

    Examples
    --------
    >>> LinearProblem([1.0, 0.1], [1.0, 0.5], n_samples=100)
    LinearProblem(2 modes, lambda 0.1..1, initial loss 0.75, n_samples=100)
    """

    eigenvalues: Float[Array, " n"]
    signal: Float[Array, " n"]
    n_samples: int | None = None
    noise_variance: float = 0.0
    _cache: dict[float, tuple[SpectralMeasure, SpectralMeasure]] = field(default_factory=dict, init=False)

    def __init__(
        self, eigenvalues: object, signal: object, n_samples: int | None = None, noise_variance: float = 0.0
    ) -> None:
        lam, s = _check.vector("eigenvalues", eigenvalues), _check.vector("signal", signal)
        if lam.size != s.size:
            raise ValueError(f"eigenvalues and signal must have one length, got {lam.size} and {s.size}")
        for name, values in (("eigenvalues", lam), ("signal", s)):
            if values.min() < 0.0:
                k = int(values.argmin())
                raise ValueError(
                    f"{name}[{k}] is {float(values[k])!r} but must not be negative; "
                    "set rounding noise to 0 or drop the mode"
                )
        if lam.max() == 0.0:
            raise ValueError("eigenvalues are all zero; nothing can be learned, pass at least one positive eigenvalue")
        sigma2 = _check.nonnegative("noise_variance", noise_variance)
        check_scales(float(lam.max()), s, sigma2)
        if lam.min() == 0.0:
            if (s[lam == 0.0] > 0.0).any():
                k = int(np.flatnonzero((lam == 0.0) & (s > 0.0))[0])
                raise ValueError(
                    f"signal[{k}] is {float(s[k])!r} on a zero eigenvalue and can never be learned; "
                    "add it to noise_variance"
                )
            lam, s = lam[lam > 0.0], s[lam > 0.0]
        if (np.diff(lam) > 0.0).any():
            order = np.argsort(-lam, kind="stable")
            lam, s = lam[order], s[order]
        if n_samples is not None:
            n_samples = _check.integer("n_samples", n_samples, 1, "None means streaming data")
        for name, value in (("eigenvalues", lam), ("signal", s)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "n_samples", n_samples)
        object.__setattr__(self, "noise_variance", sigma2)
        object.__setattr__(self, "_cache", {})

    @classmethod
    def from_operator(
        cls,
        operator: Any,
        targets: Any,
        n_samples: int,
        lanczos_steps: int = 40,
        probes: int = 1,
        deflate: int = 40,
        noise_variance: float = 0.0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> MeasuredSpectrum:
        r"""From products v -> K v / N alone: nothing is diagonalised, and K need not exist as a matrix.

        .. math:: T_k = Q^T \tfrac{K}{N} Q,\quad Q \text{ orthonormal in } \{r, Kr, \ldots, K^{k-1} r\},\qquad
                  \int f\,d\rho_s \approx \tfrac{|r|^2}{N}\, e_1^T f(T_k)\, e_1

        Lanczos from the residual r is the Gauss rule of the signal measure. The capacity measure is that of a random
        start (stochastic Lanczos), apart from the leading Ritz vectors that the first run found.

        **Assumptions.** K is symmetric and positive semi-definite. Enough steps: k of order
        sqrt(alpha t lambda_max/(1 - beta)); `.errors` and `.coarser` of the result say whether. A single probe knows
        the capacity within `.capacity_error`; with noise, the loss inherits a part of that.

        Parameters
        ----------
        operator : object
            v -> K v / N: a scipy LinearOperator or anything with `matvec`, an array (also of Dask) that `@` multiplies,
            or a function; `data.torch_operator` for a torch model. It acts on N numbers, one a sample; or, if its
            shape says so, on N * outputs (outputs fastest), with the kernel that couples outputs. Where it has
            `sample_blocks()`, the blocks K_ii / N of shape (N, outputs, outputs), as that of a torch model has, they
            give the constants of the batch noise, `.noise`, and the trace exactly, which betters the capacity; not for
            more than 32 outputs, where they would take longer than all products.
        targets : array, shape (n_samples,) or (n_samples, outputs)
            r: targets minus the present outputs of the model, in the units of the outputs.
        n_samples : int
            N.
        lanczos_steps : int
            k >= 2, products for each run.
        probes : int
            Random starts for the capacity measure; its error falls with their square root.
        deflate : int
            Leading eigenvectors at most that are kept out of the stochastic trace, of those that Lanczos found.
        noise_variance : float
            sigma^2 >= 0 to be added, in units of twice the loss.
        seed : int
            Of the random starts.
        progress : callable or None
            Called with (fraction done, stage) after each product.

        Returns
        -------
        MeasuredSpectrum
            A problem for every answer that needs no list of eigenvalues.

        Raises
        ------
        ValueError
            If shapes do not match, or the operator is seen to be asymmetric, indefinite, zero or not finite.
        TypeError
            If the operator multiplies no vectors.

        References
        ----------
        Golub and Meurant, Matrices, Moments and Quadrature (2010); Ubaru, Chen, Saad, SIAM J. Matrix Anal. 38 (2017)
        1075 (stochastic Lanczos).

        Examples
        --------
        >>> import numpy as np
        >>> lam = np.arange(1.0, 1001.0) ** -1.5
        >>> p = LinearProblem.from_operator(lambda v: lam * v, np.ones(1000), n_samples=1000)
        >>> p.products, p.deflated
        (80, 18)
        """
        from genfun.problems.measured_spectrum import measure_operator

        return measure_operator(
            operator, targets, n_samples, lanczos_steps, probes, deflate, noise_variance, seed, progress
        )

    def __repr__(self) -> str:
        loss = 0.5 * (self.signal_total + self.noise_variance)
        extra = "" if self.n_samples is None else f", n_samples={self.n_samples}"
        extra += f", noise_variance={self.noise_variance:.4g}" if self.noise_variance else ""
        return (
            f"LinearProblem({self.eigenvalues.size} modes, lambda {self.lambda_min:.4g}..{self.lambda_max:.4g}, "
            f"initial loss {loss:.6g}{extra})"
        )

    @property
    def lambda_max(self) -> float:
        """Largest eigenvalue."""
        return float(self.eigenvalues[0])

    @property
    def lambda_min(self) -> float:
        """Smallest positive eigenvalue."""
        return float(self.eigenvalues[-1])

    @property
    def trace(self) -> float:
        """Tr H, the sum of the eigenvalues."""
        return self._totals[0]

    @property
    def capacity_total(self) -> float:
        """Sum of the squared eigenvalues."""
        return self._totals[1]

    @property
    def signal_total(self) -> float:
        """Sum of the s_k, twice the initial excess loss."""
        return self._totals[2]

    @cached_property
    def _totals(self) -> tuple[float, float, float]:
        return float(self.eigenvalues.sum()), float((self.eigenvalues**2).sum()), float(self.signal.sum())

    @cached_property
    def full_measures(self) -> tuple[SpectralMeasure, SpectralMeasure]:
        """Capacity and signal measures on every mode; both share one node array."""
        lam = self.eigenvalues
        return SpectralMeasure.trusted(lam, lam**2), SpectralMeasure.trusted(lam, self.signal)

    def measures(self, bin_width: float = BIN_WIDTH) -> tuple[SpectralMeasure, SpectralMeasure]:
        """Capacity and signal measures, compressed where the spectrum is long.

        Parameters
        ----------
        bin_width : float
            See `SpectralMeasure.compress`.
        """
        if self.eigenvalues.size <= EXACT_MODES:
            return self.full_measures
        if bin_width not in self._cache:
            capacity, signal = self._passed_over(bin_width) if self.eigenvalues.size > MANY else self.full_measures
            self._cache[bin_width] = (capacity.compress(bin_width), signal.compress(bin_width))
        return self._cache[bin_width]

    def _passed_over(self, bin_width: float) -> tuple[SpectralMeasure, SpectralMeasure]:
        """Both measures of a long list after one pass over it, which serves all but very narrow bins."""
        return self._in_narrow_bins if bin_width >= NARROWEST else self._first_pass(bin_width)

    @cached_property
    def _in_narrow_bins(self) -> tuple[SpectralMeasure, SpectralMeasure]:
        return self._first_pass(NARROWEST)

    def _first_pass(self, at_top: float) -> tuple[SpectralMeasure, SpectralMeasure]:
        x = np.ascontiguousarray(self.eigenvalues[::-1])
        capacity, signal = into_narrow_bins(x, [x * x, self.signal[::-1]], BIN_WIDTH, at_top)
        return SpectralMeasure.trusted(*capacity), SpectralMeasure.trusted(*signal)


UNLISTED = "it has no list of eigenvalues: pass LinearData, or a LinearProblem of all eigenvalues"
"""What to do where the modes of a problem are asked for and only measures of it are known."""


def check_scales(largest: float, s: Array, noise_variance: float = 0.0, of: str = "") -> None:
    """Refuse scales at which powers of eigenvalues, or losses, leave the range of doubles.

    Parameters
    ----------
    largest : float
        lambda_max.
    s : array
        Signals.
    noise_variance : float
        sigma^2.
    of : str
        Whose, if not given as they are: data, an operator.
    """
    whose = f" of {of}" if of else ""
    if not (1.0 - 1e-9) / LARGEST_SCALE <= largest <= LARGEST_SCALE:
        unit = 2.0 ** np.round(np.log2(largest)) if 0.0 < largest < np.inf else largest
        with_data = " (features by its square root)" if of == "the data" else ""
        told = f"divide them{with_data} by {unit:.3g} and multiply learning rates by it, which changes nothing else"
        if not 0.0 < largest < np.inf:
            told = "measure in other units: squares of these are beyond the range of doubles"
        raise ValueError(
            f"eigenvalues{whose} must have their largest between {1.0 / LARGEST_SCALE:.0e} and {LARGEST_SCALE:.0e}, "
            f"got {largest:.3g}; {told}"
        )
    with np.errstate(over="ignore"):
        total = float(s.sum())
    highest = LARGEST_LOSS / max(1.0, largest) ** 2
    remedy = "by one number, by which all losses are then divided"
    for name, value, other in (("signal", total, "noise_variance"), ("noise_variance", noise_variance, "signal")):
        if value > highest or 0.0 < value < 1.0 / LARGEST_LOSS:
            sums = "sum to" if name == "signal" else "be"
            divided = f"divide it and {other}" if not of else "divide the targets"
            raise ValueError(
                f"{name}{whose} must {sums} 0 or between {1.0 / LARGEST_LOSS:.0e} and {highest:.0e} (at eigenvalues up "
                f"to {largest:.3g}), got {value:.3g}; {divided} {remedy}"
            )
