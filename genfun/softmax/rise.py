"""The largest learning rate of a linear probe whose loss never rises much on its way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from genfun import _check
from genfun.methods.sgd import SGD
from genfun.softmax.curve import at
from genfun.softmax.data import SoftmaxData
from genfun.softmax.flow import start, stretches
from genfun.softmax.predict import FINE, LAST_STEP, MOST_EDGES, check_method, start_edge

DOWN, CLOSE = 0.7, 1.01
"""Factor between two rates that are tried, and that within which the answer is found."""
LEAST_SHARE = 1e-4
"""Of the start edge, the smallest rate that is tried."""


def rise_of(data: SoftmaxData, method: SGD, steps: int, enough: float = np.inf) -> float:
    r"""The most by which the mean loss rises above its least value so far, relative.

    .. math:: \max_{s \le t \le T} \frac{L(t)}{L(s)} - 1

    over the first steps, and then four in each doubling of the step.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
    steps : int
        T.
    enough : float
        A rise beyond which it is not followed further.

    Examples
    --------
    >>> d = SoftmaxData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1, 1, 0, 0])
    >>> rise_of(d, SGD(0.1), 20)
    0.0
    """
    data, _ = data.inside(data)
    least, most = at(data, start(data))[0], 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        reached = 0
        for first, end, stretch in stretches(data, method, FINE, steps):
            for n in sorted({(end - first + 1) // 2, end - first}):
                if first + n > steps:
                    continue
                loss = at(data, stretch.after(n))[0]
                most, least = max(most, loss / least - 1.0), min(least, loss)
                if not most <= enough:
                    return most
            reached = end
    return most if reached >= steps else np.inf


def largest_rate(data: SoftmaxData, method: Any, rise: float, steps: int) -> float | None:
    """The largest rate up to twice the start edge whose loss rises no more than that; None if that of all does not.

    Rates are tried downwards from there, then the answer is bisected to 1 %.

    Parameters
    ----------
    data : SoftmaxData
    method : SGD
        Its learning rate is ignored.
    rise : float
        Relative, > 0.
    steps : int
        Up to which the loss is followed.

    Raises
    ------
    ValueError
        If the loss rises by more at the smallest rates too.

    Examples
    --------
    >>> d = SoftmaxData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1, 1, 0, 0])
    >>> largest_rate(d, SGD(1.0), 0.1, 20) is None
    True
    """
    check_method(method)
    rise = _check.positive("rise", rise, "0.1 is a tenth of the least loss so far")
    steps = _check.step("steps", steps, 1)
    if steps > LAST_STEP:
        raise ValueError(f"steps must be at most {LAST_STEP} for a SoftmaxData, got {steps}")
    edge = start_edge(data, method)

    def rises(share: float) -> bool:
        return rise_of(data, replace(method, learning_rate=share * edge), steps, rise) > rise

    high = MOST_EDGES
    if not rises(high):
        return None
    low = DOWN * high
    while rises(low):
        low, high = DOWN * low, low
        if low < LEAST_SHARE:
            raise ValueError(
                f"rise={rise!r} is exceeded at {LEAST_SHARE:g} of the start edge too: the weights at the start have a "
                "lower loss than those that SGD moves to; allow a larger rise"
            )
    while high > CLOSE * low:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if rises(middle) else (middle, high)
    return low * edge
