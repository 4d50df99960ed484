"""Which steps of a run are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Int


def log_grid(steps: int, points: int = 200) -> Int[Array, " t"]:
    """Step numbers 0, 1, 2, ... that thin out geometrically up to the last step.

    **Assumptions.** None. Small step numbers are not repeated, so that there may be fewer than `points`.

    Parameters
    ----------
    steps : int
        Last step, >= 0.
    points : int
        Steps wanted beside step 0, >= 2.

    Returns
    -------
    integer array, shape (t,)
        Ascending, from 0 to `steps`.

    Examples
    --------
    >>> log_grid(1000, 7)
    array([   0,    1,    3,   10,   32,  100,  316, 1000])
    """
    last = _check.integer("steps", steps, 0)
    count = _check.integer("points", points, 2)
    if last == 0:
        return np.array([0])
    return np.r_[0, np.unique(np.rint(np.geomspace(1, last, count)).astype(np.int64))]


def kept_steps(record: Any, last: int) -> Int[Array, " t"]:
    """The steps that `record` means: None for all, "log" for `log_grid`, or step numbers.

    Parameters
    ----------
    record : None, "log" or array of ints
    last : int
        Last step.
    """
    if record is None:
        return np.arange(last + 1)
    if isinstance(record, str):
        if record != "log":
            raise ValueError(f"record must be None, 'log' or step numbers, got {record!r}")
        return log_grid(last)
    kept = np.unique(_check.steps(record))
    if kept[-1] > last:
        raise ValueError(f"record must lie in 0..steps={last}, got {kept[-1]}; raise steps")
    return kept
