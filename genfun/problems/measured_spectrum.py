"""A problem known by the Gauss rules of its two measures: what an operator too large to diagonalise gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Progress
from genfun.noise import SpectrallyExpressible
from genfun.problems.lanczos import Products, Tridiagonal, lanczos
from genfun.problems.measure import BIN_WIDTH, SpectralMeasure
from genfun.problems.operator_noise import MOST_OUTPUTS, SampleMoments
from genfun.problems.problem import check_scales


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredSpectrum:
    r"""Least squares seen through Gauss rules of its two measures; made by `LinearProblem.from_operator`.

    .. math:: \int f\,d\rho_s = \frac1N r^T f(K/N)\,r,\qquad \int f\,d\rho_H = \operatorname{tr}[(K/N)^2 f(K/N)]

    **Assumptions.** The k nodes of a rule from k products serve smooth f exactly up to degree 2k - 1: training up to
    alpha_eff t lambda_max of order k^2. The list of eigenvalues is not known: `fit_power_law`, `phase`, `explain`
    and reports need a `LinearProblem`. Late exponential decay belongs to eigenvalues that no such rule resolves.

    Parameters
    ----------
    capacity : SpectralMeasure
        Weights lambda^2.
    signal : SpectralMeasure
        Weights s, in units of twice the loss.
    n_samples : int or None
        N.
    noise_variance : float
        sigma^2, with what of the targets lies outside the range of the operator.
    products : int
        Products with the operator that this took.
    deflated : int
        Leading eigenvectors that were taken out of the stochastic trace.
    capacity_error : float
        Estimated relative standard error of `capacity_total` by the random probes.
    noise : SpectrallyExpressible or None
        tau1 and tau2 fitted to gradients of single samples and leading eigenvectors, of an operator that has
        `sample_blocks`. Answers take it as their noise model where they are told no other.
    coarser : MeasuredSpectrum or None
        The same from the first half of the Lanczos steps: any answer for both, compared, is an estimate of its error.
    notes : tuple of str
        What a reader of the results should know.

    Examples
    --------
    >>> import numpy as np
    >>> import genfun as gf
    >>> K = np.diag(np.arange(1.0, 101.0) ** -1.5)
    >>> p = gf.LinearProblem.from_operator(lambda v: K @ v, np.ones(100), n_samples=100, seed=0)
    >>> p
    MeasuredSpectrum(lambda ...1, initial loss 0.5, n_samples=100, 80 products, capacity within ... %)
    >>> bool(p.errors(100.0) < 1e-6)
    True
    """

    capacity: SpectralMeasure
    signal: SpectralMeasure
    n_samples: int | None
    noise_variance: float
    products: int
    deflated: int
    capacity_error: float
    noise: SpectrallyExpressible | None
    coarser: MeasuredSpectrum | None
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_scales(self.lambda_max, self.signal.weights, self.noise_variance, of="the operator")

    def __repr__(self) -> str:
        loss = 0.5 * (self.signal_total + self.noise_variance)
        return (
            f"MeasuredSpectrum(lambda {self.lambda_min:.2g}..{self.lambda_max:.4g}, initial loss {loss:.6g}, "
            f"n_samples={self.n_samples}, {self.products} products, capacity within {100 * self.capacity_error:.2g} %)"
        )

    @property
    def lambda_max(self) -> float:
        """Largest eigenvalue, from below."""
        return float(max(self.capacity.nodes.max(), self.signal.nodes.max()))

    @property
    def lambda_min(self) -> float:
        """Smallest node; eigenvalues below it are represented, not resolved."""
        return float(min(self.capacity.nodes.min(), self.signal.nodes.min()))

    @property
    def trace(self) -> float:
        """Sum of the eigenvalues, an estimate."""
        return float((self.capacity.weights / self.capacity.nodes).sum())

    @property
    def capacity_total(self) -> float:
        """Sum of the squared eigenvalues, an estimate: see `capacity_error`."""
        return self.capacity.total

    @property
    def signal_total(self) -> float:
        """Sum of the s_k, twice the initial excess loss."""
        return self.signal.total

    def measures(self, bin_width: float = BIN_WIDTH) -> tuple[SpectralMeasure, SpectralMeasure]:
        """Capacity and signal measures: the Gauss rules themselves, whatever the width.

        Parameters
        ----------
        bin_width : float
            Not used: there is nothing finer.
        """
        return self.capacity, self.signal

    def errors(self, effective_steps: Any) -> Float[Array, "..."]:
        r"""Relative error of the noiseless loss, estimated by the rule of half the products.

        .. math:: \Big|\frac{\int e^{-2\tau\lambda/\lambda_{max}}\,(d\rho_s - d\rho_s^{half})}
                  {\sigma^2 + \int e^{-2\tau\lambda/\lambda_{max}}\,d\rho_s}\Big|

        **Assumptions.** It is the error of the half rule, thus far above that of the full one while it is small.

        Parameters
        ----------
        effective_steps : float or array
            tau = lambda_max alpha t/(1 - beta) >= 0, dimensionless.

        Returns
        -------
        array
            Of the same shape; nan where there is no half rule.

        Examples
        --------
        >>> import numpy as np
        >>> import genfun as gf
        >>> p = gf.LinearProblem.from_operator(np.diag([1.0, 0.5]), [1.0, 1.0], n_samples=2, seed=0)
        >>> bool(p.errors(0.0) < 1e-12)
        True
        """
        tau = np.asarray(_check.plain("effective_steps", effective_steps), dtype=np.float64)
        if tau.size == 0 or not (tau >= 0.0).all():
            raise ValueError(f"effective_steps must be zero or positive, got {effective_steps!r}")
        if self.coarser is None:
            return np.full(tau.shape, np.nan)

        def left(problem: MeasuredSpectrum) -> Array:
            decay = np.exp(-2.0 * tau[..., None] * problem.signal.nodes / self.lambda_max)
            return np.asarray(decay @ problem.signal.weights + problem.noise_variance)

        fine = left(self)
        return np.asarray(np.abs(left(self.coarser) - fine) / np.maximum(fine, np.finfo(float).tiny))


def measure_operator(
    operator: Any,
    targets: Any,
    n_samples: Any,
    lanczos_steps: Any,
    probes: Any,
    deflate: Any,
    noise_variance: Any,
    seed: Any,
    progress: Progress | None,
) -> MeasuredSpectrum:
    """The two measures by Lanczos: from the residual, and from random probes apart from the leading Ritz vectors.

    Parameters
    ----------
    operator, targets, n_samples, lanczos_steps, probes, deflate, noise_variance, seed, progress
        As in `LinearProblem.from_operator`.
    """
    n = _check.integer("n_samples", n_samples, 1)
    k = _check.integer("lanczos_steps", lanczos_steps, 2)
    probes, deflate = _check.integer("probes", probes, 1), _check.integer("deflate", deflate, 0)
    extra = _check.nonnegative("noise_variance", noise_variance)
    rng = np.random.default_rng(_check.integer("seed", seed, 0))
    starts = _residuals(targets, n, getattr(operator, "shape", None))
    width, outputs = starts[0].size, starts[0].size // n
    if progress is not None:
        progress(0.0, "gradients of single samples, if known")
    moments = SampleMoments.of(operator, n, outputs)
    expected, done = (len(starts) + probes) * k, [0]

    def tick() -> None:
        done[0] += 1
        if progress is not None:
            progress(min(done[0] / expected, 1.0), "products with the operator")

    apply = Products(operator, width, tick)
    nothing = np.empty((0, width))
    runs = [lanczos(apply, r, min(k, width), nothing) for r in starts]
    longest = max(runs, key=lambda run: run.converged(deflate)[0].size)
    values, vectors = longest.converged(deflate)
    rest = width - values.size
    tries = []
    for _ in range(probes if rest else 0):
        tries.append(lanczos(apply, rng.standard_normal(width), min(k, rest), vectors))
    if progress is not None:
        progress(1.0, "products with the operator")

    def at(steps: int) -> MeasuredSpectrum:
        found = _assembled(runs, values, tries, steps, n, outputs, extra, apply, moments)
        if moments is None:
            unknown = (
                f"more than {MOST_OUTPUTS} outputs: constants of the batch noise are not measured; tau1 = tau2 = 1"
            )
            return replace(found, notes=(*found.notes, unknown)) if outputs > MOST_OUTPUTS else found
        noise = moments.noise(found.capacity_total, *longest.ritz(), n)
        told = f"batch noise by constants fitted to gradients of single samples: tau1 = {noise.tau1:.3g}, tau2 = "
        return replace(found, noise=noise, notes=(*found.notes, f"{told}{noise.tau2:.3g}"))

    fine, half = at(k), at(max(1, k // 2))
    return replace(fine, coarser=half)


def _residuals(targets: Any, n: int, shape: Any) -> list[Array]:
    """Where Lanczos starts: each output, or all of them at once where the operator couples them."""
    y = np.array(_check.plain("targets", targets))
    _check.reals("targets", y)
    y = y.astype(np.float64)
    if y.ndim not in (1, 2) or y.shape[0] != n or y.size == 0:
        raise ValueError(f"targets must have shape ({n},) or ({n}, outputs) for n_samples={n}, got {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError("targets hold values that are not finite; remove or repair those samples")
    side = n if shape is None else int(shape[0])
    if shape is not None and (tuple(shape) != (side, side) or side not in (n, y.size)):
        raise ValueError(
            f"operator must be square with a row for each of the {n} samples, or of the {y.size} samples and outputs, "
            f"got shape {tuple(shape)}"
        )
    starts = [y.ravel()] if side == y.size else list(y.T)
    starts = [start for start in starts if (start != 0.0).any()]
    if not starts:
        raise ValueError("targets are all zero: there is nothing to learn; pass targets minus the present outputs")
    return starts


def _assembled(
    runs: list[Tridiagonal],
    values: Array,
    tries: list[Tridiagonal],
    steps: int,
    n: int,
    outputs: int,
    extra: float,
    apply: Products,
    moments: SampleMoments | None,
) -> MeasuredSpectrum:
    """Both rules from the first `steps` steps of every run."""
    signal_rules = [run.rule(steps) for run in runs]
    probe_rules = [run.rule(steps) for run in tries]
    size = runs[0].basis.shape[1]
    rest, top = size - values.size, max(float(nodes.max()) for nodes, _ in signal_rules + probe_rules)
    if top <= 0.0:
        raise ValueError("operator is zero or negative definite; it must be K/N of a positive semi-definite kernel")
    floor = max(size * np.finfo(np.float64).eps, np.sqrt(size) * apply.eps) * top
    least = min(float(nodes.min()) for nodes, _ in signal_rules + probe_rules)
    if least < -floor:
        raise ValueError(
            f"operator must be positive semi-definite, but has a Ritz value {least:.3g} (rounding explains down to "
            f"{-floor:.3g}); pass K/N of a kernel matrix, J J^T/N of a model"
        )
    # Below the floor is rounding: targets there are never learned, and count with the label noise.
    nodes = np.concatenate([x for x, _ in signal_rules])
    weights = np.concatenate([w for _, w in signal_rules]) / n
    learned = nodes > floor
    # A random direction of the complement stands for `rest / probes` of its eigenvectors.
    share = [(x, w / w.sum() * (rest / len(tries))) for x, w in probe_rules]
    if moments is not None:
        moments.check_trace(outputs, float(values.sum()) + sum(float(w @ a) for a, w in share))
        share = _with_trace(share, outputs * moments.trace - float(values.sum()), np.sqrt(apply.eps) * top)
    x = np.concatenate([values, *(a for a, _ in share)])
    counts = np.concatenate([np.ones(values.size), *(b for _, b in share)]) / outputs
    counts, x = counts[x > floor], x[x > floor]
    total = float((counts * x**2).sum())
    spread = _probe_error(share, rest, outputs, moments is not None) / total if share else 0.0
    notes = [f"spectral measures by Lanczos: {apply.count} products, {values.size} leading vectors deflated"]
    if outputs > 1:
        notes.append(f"{outputs} outputs at once: the capacity is the mean over outputs of the coupled kernel's")
    if apply.eps > np.finfo(np.float64).eps:
        notes.append(f"products carry a relative rounding of {apply.eps:.2g}: eigenvalues below {floor:.2g} are that")
    return MeasuredSpectrum(
        capacity=SpectralMeasure.trusted(x, counts * x**2),
        signal=SpectralMeasure.trusted(nodes[learned], weights[learned]),
        n_samples=n,
        noise_variance=extra + float(weights[~learned].sum()),
        products=apply.count,
        deflated=values.size,
        capacity_error=spread,
        noise=None,
        coarser=None,
        notes=tuple(notes),
    )


def _with_trace(share: list[tuple[Array, Array]], trace: float, least: float) -> list[tuple[Array, Array]]:
    """The probes' rules with weights that add up to the trace that is known; as they are where that is rounding."""
    found = sum(float(w @ x) for x, w in share)
    return [(x, w * (trace / found)) for x, w in share] if min(found, trace) > least else share


def _probe_error(share: list[tuple[Array, Array]], rest: int, outputs: int, trace_known: bool) -> float:
    r"""Standard error of the sum of squares in the complement.

    For z uniform on the sphere of m dimensions, m z^T A z has mean tr A and variance 2 (m tr A^2 - (tr A)^2)/(m + 2),
    here with A = K^2, whose traces the probes estimate themselves; and where tr K is known, so that the weights were
    divided by an estimate of it, to first order with A = K^2 - (tr K^2/tr K) K, of trace 0.
    """
    square = sum(float((w * x**2).sum()) for x, w in share)
    slope = square / sum(float((w * x).sum()) for x, w in share) if trace_known and square > 0.0 else 0.0
    first = sum(float((w * (x**2 - slope * x)).sum()) for x, w in share)
    second = sum(float((w * (x**2 - slope * x) ** 2).sum()) for x, w in share)
    variance = 2.0 * max(rest * second - first**2, 0.0) / (rest + 2.0)
    return float(np.sqrt(variance / len(share))) / outputs
