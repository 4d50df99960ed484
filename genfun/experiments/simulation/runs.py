"""What a simulation returns: the losses of its runs, and what can be said of their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from genfun import _check
from genfun._display import Displayed, percent, plain
from genfun._typing import Array, Bool, Float, Int
from genfun.methods.base import Method
from genfun.schedules import ScheduledSGD

FEW = 0.1
"""A mean is carried by few runs if their effective number is below this share of them."""


@dataclass(frozen=True, eq=False, repr=False)
class Runs(Displayed):
    """Losses of simulated runs that differ in their batches only.

    Attributes
    ----------
    steps : integer array, shape (t,)
        Recorded steps, ascending.
    loss : array, shape (replicas, t)
        Full-data loss of every run; inf once a run has overflowed.
    method : Method or ScheduledSGD
        What was run.
    seed : int
        Run r is the same for every number of replicas (up to rounding).
    order : str
        "fresh" batches at every step, as the theory assumes, or "epochs".
    dtype : str
        Precision of the runs, "float64" or "float32".
    error_rate : array, shape (replicas, t), or None
        Of a SoftmaxData the share of samples that each run classifies wrongly.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> runs = simulate(data, gf.SGD(0.1, batch_size=1), steps=3, replicas=2)
    >>> runs.loss.shape, runs.diverged
    ((2, 4), 0.0)
    """

    steps: Int[Array, " t"]
    loss: Float[Array, "replicas t"]
    method: Method | ScheduledSGD
    seed: int
    order: str = "fresh"
    dtype: str = "float64"
    error_rate: Float[Array, "replicas t"] | None = None

    @property
    def replicas(self) -> int:
        """Number of runs."""
        return self.loss.shape[0]

    @property
    def mean(self) -> Float[Array, " t"]:
        """Mean loss over the runs, which the theory predicts."""
        return self.loss.mean(axis=0)

    @property
    def sem(self) -> Float[Array, " t"]:
        """Standard error of the mean; inf for one run, or where a run has overflowed."""
        if self.replicas == 1:
            return np.full(self.steps.size, np.inf)
        with np.errstate(invalid="ignore", over="ignore"):
            error = self.loss.std(axis=0, ddof=1) / np.sqrt(self.replicas)
        return np.where(np.isnan(error), np.inf, error)

    @property
    def median(self) -> Float[Array, " t"]:
        """Median loss over the runs; near the stability edge far below the mean."""
        return np.median(self.loss, axis=0)

    def at(self, steps: Sequence[int] | Int[Array, " t"]) -> Runs:
        """The same runs at some of the recorded steps.

        Parameters
        ----------
        steps : sequence of int
            Recorded steps.
        """
        wanted = np.unique(_check.steps(steps))
        missing = np.setdiff1d(wanted, self.steps)
        if missing.size:
            raise ValueError(f"steps were not all recorded: {missing[:5].tolist()} are missing; see Runs.steps")
        at = np.searchsorted(self.steps, wanted)
        wrong = None if self.error_rate is None else self.error_rate[:, at]
        return replace(self, steps=wanted, loss=self.loss[:, at], error_rate=wrong)

    def quantiles(self, q: Sequence[float]) -> Float[Array, "q t"]:
        """Quantiles of the loss over the runs, a row for each share in q.

        Parameters
        ----------
        q : sequence of float
            Shares of the runs, each in [0, 1].
        """
        shares = _check.vector("q", q)
        if (shares < 0.0).any() or (shares > 1.0).any():
            raise ValueError(f"q must lie in 0..1, got {shares.tolist()}; pass shares of the runs, not percent")
        with np.errstate(invalid="ignore"):
            result = np.quantile(self.loss, shares, axis=0)
        # Between a finite and an infinite loss.
        return np.where(np.isnan(result), np.inf, result)

    @property
    def diverged(self) -> float:
        """Share of runs that end above the loss they started with."""
        return float(np.mean(self.loss[:, -1] > self.loss[:, 0]))

    @property
    def _relative(self) -> Float[Array, "replicas t"]:
        """Losses in units of the largest at each step; runs that have overflowed count as equal."""
        top = self.loss.max(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(np.isinf(top), np.isinf(self.loss), np.where(top > 0.0, self.loss / top, 1.0))

    @property
    def heaviest(self) -> Float[Array, " t"]:
        """Share of the sum of the losses that the largest run carries, from 1/replicas if all are equal up to 1."""
        return 1.0 / self._relative.sum(axis=0)

    @property
    def effective_runs(self) -> Float[Array, " t"]:
        r"""(sum L)^2 / sum L^2, the number of equal runs that would carry the mean, from 1 up to `replicas`."""
        share = self._relative
        return share.sum(axis=0) ** 2 / (share**2).sum(axis=0)

    @property
    def carried_by_few(self) -> Bool[Array, " t"]:
        """Where the mean is carried by rare runs, effective_runs below a tenth of them.

        There the standard error is too small and the true mean is likely to lie above this one.
        """
        return self.effective_runs < FEW * self.replicas

    def __repr__(self) -> str:
        text = (
            f"Runs({self.replicas} runs to step {self.steps[-1]}: "
            f"mean loss {self.mean[-1]:.6g} +- {plain(self.sem[-1], 2)}, "
            f"median {self.median[-1]:.6g}, {percent(self.diverged)} ended above their start"
        )
        if self.carried_by_few[-1]:
            text += (
                f"; the largest run carries {percent(self.heaviest[-1])} of the mean: the true mean is likely larger"
            )
        return text + ")"
