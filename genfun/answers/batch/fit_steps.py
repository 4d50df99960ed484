"""Which batch size reached the target with the fewest samples? From measured points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.answers.batch.step_families import FAMILIES, Fits, StepFamily, fit_family, polish

Verdict = Literal["interior optimum", "no interior optimum"]
RANGES = (0.05, 0.10, 0.20, 0.50)
ROUNDS = 12
FLOOR = 1e-6
"""Least variance of log K: points that a family meets exactly are still no better than a part in a thousand."""
CELL = 0.6
"""Part of a step of the grid over which the draws of b* are spread: what lies between two batch sizes was not measured.
The part is chosen by the coverage of the 90 % interval on synthetic points, see `validation/fit_steps.py`."""


@dataclass(frozen=True)
class FamilyFit:
    """One family of K(b) at its best fit.

    Parameters
    ----------
    name, formula : str
        Which.
    parameters : dict
        Fitted numbers, by their names in the formula.
    misfit : float
        Root mean square of log(measured/fitted).
    bic : float
        Bayesian information criterion; the least is chosen.
    weight : float
        exp(-bic/2), normalised over the families.
    batch_size : float
        The b of least samples; 0 if samples only grow with b.
    """

    name: str
    formula: str
    parameters: dict[str, float]
    misfit: float
    bic: float
    weight: float
    batch_size: float

    def steps(self, batch_sizes: Any) -> Float[Array, "..."]:
        """K(b).

        Parameters
        ----------
        batch_sizes : array
            b, any shape.
        """
        family = next(f for f in FAMILIES if f.name == self.name)
        v = self.parameters
        shape = np.array([v["B"], v["C"]] if "C" in v else [v["B"]])
        b = np.asarray(batch_sizes, dtype=np.float64)
        return np.exp(family.log_steps(b.ravel(), math.log(v["A"]), v.get("q", 1.0), shape)).reshape(b.shape)


@dataclass(frozen=True, eq=False, repr=False)
class StepsFit(Displayed):
    """Steps to a target as a function of the batch size, and the critical batch size.

    Parameters
    ----------
    status : str
        "interior optimum" or "no interior optimum".
    batch_size : float
        b*, of least samples K b; nan without an interior optimum.
    interval : (float, float)
        Bootstrap interval of b* within the measured batch sizes; an end at the smallest or largest of them is open.
    level : float
        Its nominal coverage.
    interior_share : float
        Share of the bootstrap draws with b* inside the measured range.
    ranges : dict of float to (float, float)
        For 0.05, 0.1, 0.2, 0.5: measured batch sizes with at most this share more samples than least.
    misfit : float
        Root mean square of log(measured/fitted) of the chosen family.
    family : str
        The chosen one.
    families : tuple of FamilyFit
        All, best first.
    batch_sizes, steps : array, shape (n,)
        The points.
    notes : tuple of str
        What limits the answer.

    Examples
    --------
    >>> import numpy as np
    >>> b = np.array([4, 8, 16, 32, 64, 128, 256])
    >>> fit_steps(b, 1000 * (1 + 20 / b) ** 2)
    StepsFit(least samples at batch size 20 [...], power, misfit 0.00...)
    """

    status: Verdict
    batch_size: float
    interval: tuple[float, float]
    level: float
    interior_share: float
    ranges: dict[float, tuple[float, float]]
    misfit: float
    family: str
    families: tuple[FamilyFit, ...]
    batch_sizes: Float[Array, " n"]
    steps: Float[Array, " n"]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        low, high = self.interval
        found = f"[{low:.3g}, {high:.3g}], {self.family}, misfit {self.misfit:.3f}"
        if self.status == "no interior optimum":
            return f"StepsFit(no interior optimum: the least lies in {found})"
        return f"StepsFit(least samples at batch size {self.batch_size:.4g} {found})"

    def predict(self, batch_sizes: Any) -> Float[Array, "..."]:
        """K(b) of the chosen family.

        Parameters
        ----------
        batch_sizes : array
            b, any shape.
        """
        return self.families[0].steps(batch_sizes)


def fit_steps(
    batch_sizes: Any, steps: Any, epoch: float | None = None, draws: int = 1000, level: float = 0.9, seed: int = 0
) -> StepsFit:
    r"""Families of K(b) fitted to measured points, and the critical batch size with an interval.

    .. math:: \log K_i = c + q\,\varphi(b_i; r) + \epsilon_i,\qquad
              \mathrm{Var}\,\epsilon_i = s^2 + \frac{(E/K_ib_i)^2}{12},\qquad b^* = \arg\min_b K(b)\,b

    Five families: hyperbola A(1+B/b), rational Ab/(b-B), power A(1+B/b)^q, source A(b/(b-B))^q, expansion
    A(1+B/b+C^2/b^2). The least Bayesian information criterion chooses. The interval is a parametric bootstrap: draws
    are shared among the families by their weights, the noise level of each draw follows its own sampling distribution,
    points are reweighted at random, and the draws are spread over 0.6 of a step of the grid.

    **Assumptions.** Independent errors of log K of one size s, besides the rounding up to whole epochs. At least four
    batch sizes. Extrapolates nothing: ranges and interval end at the measured batch sizes.

    Parameters
    ----------
    batch_sizes : array, shape (n,)
        b > 0; repeated ones are repeated runs.
    steps : array, shape (n,)
        K > 0, measured steps to the target.
    epoch : float or None
        Samples between two checks of the target, where it is checked once an epoch: the true crossing lies up to one
        epoch earlier than measured. None: it was checked at every step.
    draws : int
        Bootstrap draws, at least 100.
    level : float
        Nominal coverage of the interval, in (0, 1).
    seed : int
        Of the bootstrap.

    Returns
    -------
    StepsFit

    Raises
    ------
    ValueError
        If the lengths differ, a value is not positive, or there are fewer than four batch sizes.

    References
    ----------
    rational: arXiv 2402.15344 and 2108.11713 (constant rate); power: the same with decaying rates; source:
    arXiv 2206.11124, steps of the signal-dominated phase; hyperbola: arXiv 1812.06162. The expansion is the second
    order of all of them in 1/b, derived here.

    Examples
    --------
    >>> b = [8, 16, 32, 64, 128, 256]
    >>> fit_steps(b, [12500, 6400, 3300, 1700, 940, 560]).status
    'no interior optimum'
    """
    b, k = _check.vector("batch_sizes", batch_sizes), _check.vector("steps", steps)
    if b.size != k.size:
        raise ValueError(f"batch_sizes and steps must be of one length, got {b.size} and {k.size}")
    for name, values in (("batch_sizes", b), ("steps", k)):
        if values.min() <= 0.0:
            raise ValueError(f"{name} must be positive, got {values.min():g}; leave out runs that missed the target")
    distinct = np.unique(b)
    if distinct.size < 4:
        raise ValueError(f"batch_sizes must hold at least 4 different values, got {distinct.size}; measure more")
    check = 0.0 if epoch is None else _check.positive("epoch", epoch, "None where the target is checked at every step")
    count = _check.integer("draws", draws, 100)
    if not 0.0 < _check.number("level", level) < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")
    rng = np.random.default_rng(_check.integer("seed", seed, 0))

    # The crossing is spread evenly over the last epoch.
    samples = np.maximum(k * b - 0.5 * check, 0.5 * k * b)
    log_steps, rounding = np.log(samples / b), (check / samples) ** 2 / 12.0
    fitted = [
        _fitted(family, b, log_steps, rounding) for family in FAMILIES if len(family.parameters) <= distinct.size - 2
    ]
    bic = np.array([f.bic for f in fitted])
    weights = np.exp(-0.5 * (bic - bic.min()))
    weights /= weights.sum()
    best = np.concatenate([f.draw(round(w * count), b, rounding, rng) for f, w in zip(fitted, weights, strict=True)])
    cell = float(np.median(np.diff(np.log(distinct))))
    best = best * np.exp(CELL * cell * (rng.random(best.size) - 0.5))
    ends = np.quantile(np.clip(best, distinct[0], distinct[-1]), [0.5 - 0.5 * level, 0.5 + 0.5 * level])
    order = np.argsort(bic, kind="stable")
    chosen = fitted[order[0]]
    table = tuple(fitted[i].summary(float(weights[i])) for i in order)
    star = table[0].batch_size
    inside = bool(distinct[0] < star < distinct[-1])
    return StepsFit(
        "interior optimum" if inside else "no interior optimum",
        star if inside else math.nan,
        (float(ends[0]), float(ends[1])),
        float(level),
        float(np.mean((best > distinct[0]) & (best < distinct[-1]))),
        _ranges(chosen, distinct),
        table[0].misfit,
        table[0].name,
        table,
        b,
        k,
        _notes(inside, distinct, star, check, k * b, cell),
    )


@dataclass(frozen=True, eq=False)
class _Fitted:
    family: StepFamily
    level: float
    exponent: float
    shape: Array
    critical: float
    residual: Array
    variance: float
    weights: Array
    bic: float

    def log_steps(self, b: Array) -> Array:
        return self.family.log_steps(b, self.level, self.exponent, self.shape)

    def draw(self, count: int, b: Array, rounding: Array, rng: np.random.Generator) -> Array:
        """b* of refits to points drawn from this fit, its noise level as uncertain as it is."""
        if count == 0:
            return np.empty(0)
        freedom = max(b.size - len(self.family.parameters), 1)
        variance = self.variance * freedom / rng.chisquare(freedom, (count, 1))
        points = self.log_steps(b) + rng.standard_normal((count, b.size)) * np.sqrt(variance + rounding)
        return fit_family(self.family, b, points, self.weights * rng.exponential(size=points.shape)).critical

    def summary(self, weight: float) -> FamilyFit:
        values = self.family.values(self.level, self.exponent, self.shape)
        misfit = float(np.sqrt(np.mean(self.residual**2)))
        return FamilyFit(self.family.name, self.family.formula, values, misfit, self.bic, weight, self.critical)


def _fitted(family: StepFamily, b: Array, log_steps: Array, rounding: Array) -> _Fitted:
    """The best fit; the noise level s^2 is what makes the weighted residuals as large as their degrees of freedom."""
    n, p = b.size, len(family.parameters)
    variance = 0.01
    fit: Fits | None = None
    for _ in range(ROUNDS):
        weights = 1.0 / (variance + rounding)
        fit = fit_family(family, b, log_steps[None], weights[None])
        variance = max(FLOOR, variance * float(fit.misfit[0]) / (n - p))
    assert fit is not None
    fit = polish(family, b, log_steps, 1.0 / (variance + rounding), fit.shape[0])
    variance = max(FLOOR, variance * float(fit.misfit[0]) / (n - p))
    level, exponent, shape = float(fit.level[0]), float(fit.exponent[0]), fit.shape[0]
    residual = log_steps - family.log_steps(b, level, exponent, shape)
    likely = max(FLOOR, variance * (n - p) / n) + rounding
    deviance = float(np.sum(residual**2 / likely) + np.sum(np.log(2.0 * np.pi * likely)))
    weights = 1.0 / (variance + rounding)
    bic = deviance + (p + 1) * math.log(n)
    return _Fitted(family, level, exponent, shape, float(fit.critical[0]), residual, variance, weights, bic)


def _ranges(chosen: _Fitted, distinct: Array) -> dict[float, tuple[float, float]]:
    b = np.geomspace(distinct[0], distinct[-1], 2001)
    samples = np.log(b) + chosen.log_steps(b)
    excess = samples - samples.min()
    found = {}
    for share in RANGES:
        inside = b[excess <= math.log1p(share)]
        found[share] = (float(inside[0]), float(inside[-1]))
    return found


def _notes(inside: bool, b: Array, star: float, epoch: float, samples: Array, cell: float) -> tuple[str, ...]:
    notes = []
    if not inside:
        end, where = (b[0], "smaller") if star <= b[0] else (b[-1], "larger")
        notes.append(f"samples are least at {end:g} or at {where} batch sizes that were not measured")
    if epoch > 0.0:
        worst = float((epoch / samples).max())
        notes.append(f"targets are checked once an epoch: steps are known to {worst:.0%} at worst")
    notes.append(f"neighbouring batch sizes differ by a factor {math.exp(cell):.3g}")
    return tuple(notes)
