"""Measured steps against batch size: what was reached, which batch needs the fewest steps, and the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._display import Displayed
from genfun._typing import Array, Float, Int
from genfun.answers.batch.fit_steps import StepsFit, fit_steps
from genfun.answers.batch.repeated import fitted_points, mean_steps

SURE = 2.5
"""Standard errors by which a larger batch must be slower for the fewest steps to lie inside."""


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredSteps(Displayed):
    """Steps of an optimizer to a target loss against the batch size.

    Attributes
    ----------
    optimizer : str
        Its name.
    target : float
        The loss over all samples that was to be reached.
    batch_sizes : array, shape (n,)
        b.
    learning_rates : array, shape (n,)
        That of each batch size.
    steps : array, shape (n, seeds)
        K of every run; inf where the target was not reached.
    limits : array, shape (n,)
        Steps after which runs were given up: what is inf in `steps` is longer than that.

    Examples
    --------
    >>> sizes, steps = np.array([1, 2, 4, 8, 16]), np.array([[np.inf], [99.0], [60.0], [45.0], [40.0]])
    >>> MeasuredSteps("sgd", 0.1, sizes, np.full(5, 0.1), steps, np.full(5, 500))
    MeasuredSteps(sgd to 0.1: 40 steps at batch size 16 to 99 at 2, never reached at 1; fewest steps: none inside)
    """

    optimizer: str
    target: float
    batch_sizes: Int[Array, " n"]
    learning_rates: Float[Array, " n"]
    steps: Float[Array, "n seeds"]
    limits: Int[Array, " n"]

    def __post_init__(self) -> None:
        for name, kind in (
            ("batch_sizes", np.int64),
            ("learning_rates", float),
            ("steps", float),
            ("limits", np.int64),
        ):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))

    @property
    def reached(self) -> Any:
        """Whether every run of a batch size reached the target, shape (n,)."""
        return np.isfinite(self.steps).all(axis=1)

    @property
    def means(self) -> Float[Array, " n"]:
        """Geometric mean over the runs; inf where one missed the target."""
        return np.array([mean_steps(runs) for runs in self.steps])

    @property
    def errors(self) -> Float[Array, " n"]:
        """Standard error of log K; nan with a single run or where one missed."""
        seeds = self.steps.shape[1]
        if seeds < 2:
            return np.full(self.batch_sizes.size, np.nan)
        logs = np.log(np.where(self.reached[:, None], self.steps, np.nan))
        return logs.std(axis=1, ddof=1) / np.sqrt(seeds)

    @property
    def fewest_steps(self) -> int | None:
        """The batch size of fewest steps, if a larger one was slower; None if none was.

        Slower by 2.5 standard errors, or every run was given up after as many steps.
        """
        means, errors = self.means, self.errors
        if not self.reached.any():
            return None
        best = int(np.argmin(means))
        for i in range(best + 1, means.size):
            given_up = np.isinf(self.steps[i]).all() and self.limits[i] > means[best]
            with np.errstate(invalid="ignore"):
                slower = np.log(means[i] / means[best]) > SURE * np.hypot(errors[i], errors[best])
            if given_up or slower:
                return int(self.batch_sizes[best])
        return None

    def fit(self, **options: Any) -> StepsFit:
        """The critical batch size with an interval, from the batch sizes of which every run reached the target.

        Fitted are the means over the runs, as by `genfun critical-batch` of the same runs in a file.

        Parameters
        ----------
        **options
            As for `fit_steps`.
        """
        return fit_steps(*fitted_points(self.batch_sizes, self.steps), **options)

    def rows(self) -> list[dict[str, Any]]:
        """A line for every run."""
        return [
            {
                "optimizer": self.optimizer,
                "target": self.target,
                "batch_size": int(b),
                "learning_rate": float(rate),
                "run": i,
                "steps": float(k),
                "given_up_after": int(limit),
            }
            for b, rate, runs, limit in zip(self.batch_sizes, self.learning_rates, self.steps, self.limits, strict=True)
            for i, k in enumerate(runs)
        ]

    def __repr__(self) -> str:
        good = np.flatnonzero(self.reached)
        name = f"{self.optimizer} to {self.target:.4g}"
        if good.size == 0:
            return f"MeasuredSteps({name}: not reached at any batch size)"
        means = self.means
        least, most = good[np.argmin(means[good])], good[np.argmax(means[good])]
        missed = ", ".join(str(b) for b in self.batch_sizes[~np.isfinite(self.steps).any(axis=1)])
        partly = ", ".join(str(b) for b in self.batch_sizes[np.isfinite(self.steps).any(axis=1) & ~self.reached])
        text = f"{means[least]:.4g} steps at batch size {self.batch_sizes[least]} to {means[most]:.4g} at "
        text += f"{self.batch_sizes[most]}"
        text += f", never reached at {missed}" if missed else ""
        text += f", not by every run at {partly}" if partly else ""
        fewest = self.fewest_steps
        return f"MeasuredSteps({name}: {text}; fewest steps: {'none inside' if fewest is None else f'at {fewest}'})"
