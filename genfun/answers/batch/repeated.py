"""Repeated runs of a batch size: the setting that counts, and the points that are fitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from genfun._typing import Array, Float


def mean_steps(runs: Any) -> float:
    """The geometric mean of the steps of runs; inf where one of them missed the target.

    Parameters
    ----------
    runs : array, shape (r,)
        K >= 0 of every run; inf or nan where the target was not reached.

    Examples
    --------
    >>> mean_steps([10.0, 40.0]), mean_steps([10.0, np.nan])
    (20.0, inf)
    """
    steps = np.asarray(runs, dtype=np.float64)
    if not np.isfinite(steps).all():
        return np.inf
    least = float(steps.min())
    return least * float(np.exp(np.log(steps / least).mean())) if least > 0.0 else 0.0


def best_setting(settings: Sequence[Any]) -> int:
    """Which of several settings counts: that of fewest mean steps, or that which most runs reached the target with.

    Parameters
    ----------
    settings : sequence of array
        The steps of the runs of each.

    Examples
    --------
    >>> best_setting([[30.0, 50.0], [10.0, np.inf], [20.0, 60.0]])
    2
    >>> best_setting([[np.inf, np.inf], [10.0, np.inf]])
    1
    """
    missed = [int((~np.isfinite(np.asarray(runs, dtype=np.float64))).sum()) for runs in settings]
    return min(range(len(settings)), key=lambda i: (missed[i] > 0, mean_steps(settings[i]), missed[i]))


def fitted_points(batch_sizes: Iterable[Any], runs: Iterable[Any]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """What `fit_steps` is given: mean steps of the batch sizes of which every run reached the target.

    Single runs scatter more at small batches, and the fit assumes errors of one size; runs of one batch size share
    what a family gets wrong there, so that they are one point. A batch size that some runs did not reach the target at
    is left out: the mean over the others would be of the lucky ones.

    Parameters
    ----------
    batch_sizes : iterable of float
        b.
    runs : iterable of array
        The steps of the runs of each; inf or nan where the target was not reached.

    Examples
    --------
    >>> fitted_points([8, 16, 32], [[20.0, 80.0], [30.0, np.inf], [10.0]])
    (array([ 8., 32.]), array([40., 10.]))
    """
    points = [(float(b), mean_steps(steps)) for b, steps in zip(batch_sizes, runs, strict=True)]
    kept = np.array([point for point in points if np.isfinite(point[1])]).reshape(-1, 2)
    return kept[:, 0], kept[:, 1]
