"""Measured points that no family of K(b) passes near while all others lie together."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Int
from genfun.answers.batch._fitted import FLOOR
from genfun.answers.batch.step_families import StepFamily, fit_family

FALSE_ALARM = 0.01
"""Probability that a point is called an outlier among normal errors, for all points together."""
AT_THE_ENDS = 1e-4
"""The same for the only point at the first or last batch size: there a rise of the samples looks alike."""
LEAST = 0.05
"""What is less far away, in log K, is no outlier: the families themselves are not that exact."""
SHARE = 6
"""At most one point in so many is taken for an outlier."""
LEAST_DISTINCT = 4
"""Different batch sizes that are left in any case."""


def outliers(
    families: list[StepFamily], b: Array, log_steps: Array, rounding: Array
) -> tuple[Int[Array, " found"], float]:
    r"""Indices of outlying points, by the fall of the misfit when a point is left out.

    .. math:: t^2 = (n-p-1)\,\Big(\frac{R}{R_{(i)}}-1\Big)

    with R the least weighted sum of squares of all families and R_(i) that without point i. For normal errors t has
    Student's distribution, times the n points that could have been it. Points are taken out one by one, the one of the
    largest fall first; all up to the last that is significant are outliers, so that two of them do not hide each other.

    Parameters
    ----------
    families : list of StepFamily
        That are fitted.
    b, log_steps, rounding : array, shape (n,)
        Batch sizes, log K, and the variance that rounding adds.

    Returns
    -------
    indices : integer array
    probability : float
        Of the last one that was taken; 1 if none was.
    """
    from scipy.special import stdtr

    parameters = max(len(f.parameters) for f in families)
    left, found, taken, last = np.arange(b.size), [], 0, 1.0
    while len(found) < b.size // SHARE and left.size > parameters + 2:
        x, y = b[left], log_steps[left]
        # Row i leaves out point i, the last row none; weights are those of the noise level that the best fit has.
        keep = np.vstack((1.0 - np.eye(left.size), np.ones(left.size)))
        weights, rest = np.ones(left.size), np.empty(0)
        for _ in range(3):
            fits = [fit_family(f, x, np.tile(y, (keep.shape[0], 1)), keep * weights) for f in families]
            rest = np.stack([f.misfit for f in fits]).min(axis=0)
            noise = max(FLOOR, float(rest[:-1].min()) / (left.size - parameters - 1))
            before, weights = weights, noise / (noise + rounding[left])
            if (weights == before).all():
                break
        rest = rest + left.size * FLOOR
        freedom = left.size - parameters - 1
        away = [np.unique(np.delete(x, i)).size >= LEAST_DISTINCT for i in range(left.size)]
        i = int(np.argmin(np.where(away, rest[:-1], np.inf)))
        t = np.sqrt(max(freedom * (rest[-1] / rest[i] - 1.0), 0.0))
        chance = min(1.0, 2.0 * left.size * float(stdtr(freedom, -t)))
        found.append(int(left[i]))
        alone = x[i] in (x.min(), x.max()) and (x == x[i]).sum() == 1
        if rest[-1] - rest[i] > LEAST**2 * weights[i] and chance < (AT_THE_ENDS if alone else FALSE_ALARM):
            taken, last = len(found), chance
        left = np.delete(left, i)
    return np.array(found[:taken], dtype=np.int64), last
