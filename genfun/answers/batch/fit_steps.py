"""Which batch size reached the target with the fewest samples? From measured points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed, percent
from genfun._typing import Array, Float
from genfun.answers.batch._fitted import Fitted, fit
from genfun.answers.batch._outliers import outliers
from genfun.answers.batch.step_families import FAMILIES

Verdict = Literal["interior optimum", "no interior optimum"]
RANGES = (0.05, 0.10, 0.20, 0.50)
SURE = 0.9
"""Least weight of the families with an optimum inside the measured batch sizes, for it to be called one. At 3 to 30 %
noise 3 to 8 % of synthetic hyperbolas, which have none, are then said to have one."""
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
        Bayesian information criterion.
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
        "interior optimum" (families with one inside the measured batch sizes have a weight of at least 0.9) or
        "no interior optimum"; where that is a close call, `notes` says so.
    batch_size : float
        b*, of least samples K b; nan without an interior optimum.
    interval : (float, float)
        Bootstrap interval of b* within the measured batch sizes; an end at the smallest or largest of them is open.
    level : float
        Its nominal coverage.
    interior_share : float
        Share of the bootstrap draws with b* inside the measured range.
    ratio : float
        B of the hyperbola A(1 + B/b), E_min/S_min: the batch size at which steps and samples are both twice the least;
        the critical batch size of arXiv 1812.06162.
    ratio_interval : (float, float)
        Its bootstrap interval at the same level.
    ranges : dict of float to (float, float)
        For 0.05, 0.1, 0.2, 0.5: measured batch sizes with at most this share more samples than least.
    misfit : float
        Root mean square of log(measured/fitted) of the chosen family.
    family : str
        The chosen one.
    families : tuple of FamilyFit
        All: the chosen one first, the others by their weights.
    batch_sizes, steps : array, shape (n,)
        The points.
    outliers : tuple of int
        Indices of points that were left out because no family passes near them; `notes` says which.
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
    ratio: float
    ratio_interval: tuple[float, float]
    ranges: dict[float, tuple[float, float]]
    misfit: float
    family: str
    families: tuple[FamilyFit, ...]
    batch_sizes: Float[Array, " n"]
    steps: Float[Array, " n"]
    outliers: tuple[int, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        low, high = self.interval
        found = f"[{low:.3g}, {high:.3g}], {self.family}, misfit {self.misfit:.3f}"
        ends = self.ratio_interval
        found += f", E_min/S_min {self.ratio:.4g} [{ends[0]:.3g}, {ends[1]:.3g}]"
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

    def overhead(self, share: float = 0.2, reference: float | None = None) -> float:
        r"""The largest batch size whose samples K b are at most so much above those of a small batch.

        .. math:: K(b)\,b = (1+f)\,K(b_0)\,b_0\quad\Rightarrow\quad b = (1+f)\,b_0 + f\,B

        **Assumptions.** The hyperbola, whose B is `ratio`, with all that limits it. Beyond the largest measured batch
        size it extrapolates.

        Parameters
        ----------
        share : float
            f > 0: 0.2 for 20 % more samples.
        reference : float or None
            b_0 >= 0; None means the smallest measured batch size, where the hyperbola has the least samples. 0 means
            the limit of small batches.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If share or reference is out of range.

        References
        ----------
        20 % as the critical batch size: arXiv 2410.21676, with reference 256 in its published numbers.

        Examples
        --------
        >>> import numpy as np
        >>> b = np.array([8, 16, 32, 64, 128, 256])
        >>> round(fit_steps(b, 900 * (1 + 128 / b)).overhead(0.2, reference=0), 2)
        25.6
        """
        f = _check.positive("share", share, "e.g. 0.2 for 20 % more samples")
        least = self.batch_sizes.min() if reference is None else _check.nonnegative("reference", reference)
        return float((1.0 + f) * least + f * self.ratio)


def fit_steps(
    batch_sizes: Any, steps: Any, epoch: float | None = None, draws: int = 1000, level: float = 0.9, seed: int = 0
) -> StepsFit:
    r"""Families of K(b) fitted to measured points, and the critical batch size with an interval.

    .. math:: \log K_i = c + q\,\varphi(b_i; r) + \epsilon_i,\qquad
              \mathrm{Var}\,\epsilon_i = s^2 + \frac{(E/K_ib_i)^2}{12},\qquad b^* = \arg\min_b K(b)\,b

    Five families: hyperbola A(1+B/b), rational Ab/(b-B), power A(1+B/b)^q, source A(b/(b-B))^q, expansion
    A(1+B/b+C^2/b^2). Each has a weight by its Bayesian information criterion. Where those with an optimum inside the
    measured batch sizes have a weight of 0.9, the best of them is chosen, elsewhere the best of the others. The
    interval is a parametric bootstrap: draws are shared among the families by their weights, the noise level of each
    draw follows its own sampling distribution, points are reweighted at random, and the draws are spread over 0.6 of a
    step of the grid. A point that no family passes near, at a significance of 1 % for all points together (0.01 % at
    the first and last batch size), is left out and named.

    **Assumptions.** Independent errors of log K of one size s, besides the rounding up to whole epochs and a few
    outliers, one in six at most. At least four batch sizes. Extrapolates nothing but `overhead`: ranges and interval
    end at the measured batch sizes.

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
    usable = [family for family in FAMILIES if len(family.parameters) <= distinct.size - 2]
    far, chance = outliers(usable, b, log_steps, rounding)
    kept = np.delete(np.arange(b.size), far)
    x, log_steps, rounding = b[kept], log_steps[kept], rounding[kept]
    distinct = np.unique(x)
    fitted = [fit(f, x, log_steps, rounding) for f in usable if len(f.parameters) <= distinct.size - 2]
    bic = np.array([f.bic for f in fitted])
    weights = np.exp(-0.5 * (bic - bic.min()))
    weights /= weights.sum()
    drawn = [f.draw(round(w * count), x, rounding, rng).critical for f, w in zip(fitted, weights, strict=True)]
    best = np.concatenate(drawn)
    cell = float(np.median(np.diff(np.log(distinct))))
    best = best * np.exp(CELL * cell * (rng.random(best.size) - 0.5))
    tails = [0.5 - 0.5 * level, 0.5 + 0.5 * level]
    ends = np.quantile(np.clip(best, distinct[0], distinct[-1]), tails)
    hyperbola = fitted[0]
    ratios = np.quantile(hyperbola.draw(count, x, rounding, rng).shape[:, 0], tails)
    has = np.array([distinct[0] < f.critical < distinct[-1] for f in fitted])
    inside = bool(weights[has].sum() >= SURE)
    order = np.lexsort((bic, has != inside))
    chosen = fitted[order[0]]
    rest = np.sort(order[1:])
    order = [int(order[0]), *(int(i) for i in rest[np.argsort(bic[rest], kind="stable")])]
    table = tuple(_summary(fitted[i], float(weights[i])) for i in order)
    star = table[0].batch_size
    return StepsFit(
        "interior optimum" if inside else "no interior optimum",
        star if inside else math.nan,
        (float(ends[0]), float(ends[1])),
        float(level),
        float(np.mean((best > distinct[0]) & (best < distinct[-1]))),
        float(hyperbola.shape[0]),
        (float(ratios[0]), float(ratios[1])),
        _ranges(chosen, distinct),
        table[0].misfit,
        table[0].name,
        table,
        b,
        k,
        tuple(sorted(int(i) for i in far)),
        (
            *_left_out(far, chance, b, k, chosen),
            *_notes(inside, float(weights[has].sum()), distinct, star, check, (k * b)[kept], cell),
            *_of_the_ratio(float(weights[0]), float(hyperbola.shape[0]), distinct),
        ),
    )


def _summary(found: Fitted, weight: float) -> FamilyFit:
    values = found.family.values(found.level, found.exponent, found.shape)
    misfit = float(np.sqrt(np.mean(found.residual**2)))
    return FamilyFit(found.family.name, found.family.formula, values, misfit, found.bic, weight, found.critical)


def _ranges(chosen: Fitted, distinct: Array) -> dict[float, tuple[float, float]]:
    b = np.geomspace(distinct[0], distinct[-1], 2001)
    samples = np.log(b) + chosen.log_steps(b)
    excess = samples - samples.min()
    found = {}
    for share in RANGES:
        inside = b[excess <= math.log1p(share)]
        found[share] = (float(inside[0]), float(inside[-1]))
    return found


def _left_out(far: Array, chance: float, b: Array, k: Array, chosen: Fitted) -> tuple[str, ...]:
    found = []
    for i in sorted(int(i) for i in far):
        off = float(np.exp(np.log(k[i]) - chosen.log_steps(b[i : i + 1])[0]))
        found.append(
            f"point {i + 1}, batch size {b[i]:g} with {k[i]:g} steps, is left out: {off:.3g} times what the others say "
            f"(probability {chance:.1g})"
        )
    return tuple(found)


def _notes(
    inside: bool, weight: float, b: Array, star: float, epoch: float, samples: Array, cell: float
) -> tuple[str, ...]:
    notes = []
    if not inside:
        end, where = (b[0], "smaller") if star <= b[0] else (b[-1], "larger")
        notes.append(f"samples are least at {end:g} or at {where} batch sizes that were not measured")
        if weight > 1.0 - SURE:
            notes.append(f"not told apart from an optimum inside, for which the families have the weight {weight:.2g}")
    if epoch > 0.0:
        worst = float((epoch / samples).max())
        notes.append(f"targets are checked once an epoch: steps are known to {percent(worst)} at worst")
    notes.append(f"neighbouring batch sizes differ by a factor {math.exp(cell):.3g}")
    return tuple(notes)


def _of_the_ratio(weight: float, ratio: float, b: Array) -> tuple[str, ...]:
    notes = []
    if weight < 1.0 - SURE:
        notes.append(f"the curve A (1 + B/b), whose B is the critical batch size, has a weight of only {weight:.2g}")
    if not b[0] < ratio < b[-1]:
        where = f"below the smallest, {b[0]:g}" if ratio <= b[0] else f"above the largest, {b[-1]:g}"
        notes.append(f"the critical batch size lies outside the measured batch sizes, {where}")
    return tuple(notes)
