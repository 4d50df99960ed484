"""The stability edges of heavy-ball SGD under the projected noise, at many momenta at once."""

from __future__ import annotations

import numpy as np

from genfun._root import bracketed_roots
from genfun._threads import on_one_thread
from genfun._typing import Array, Float
from genfun.sample_space.many_settings import projected_gains
from genfun.sample_space.projected_edge import INSIDE, STEEPEST
from genfun.sample_space.projection import PairMeasure

ACCURACY = 1e-13
"""Of the logarithm of an edge."""


@on_one_thread
def heavy_ball_edges(pairs: PairMeasure, momenta: Float[Array, " S"], gamma: float) -> Float[Array, " S"]:
    """What `projected_edge` finds for one momentum after the other.

    Parameters
    ----------
    pairs : PairMeasure
    momenta : array, shape (S,)
        beta.
    gamma : float
        Sampling factor > 0 of all.

    Returns
    -------
    array, shape (S,)
        The largest stable learning rates.
    """
    top = 2.0 * (1.0 + momenta) / float(pairs.nodes[-1])

    def heights(pick: Array, x: Array) -> Array:
        """Logarithms of the gains."""
        gains = projected_gains(pairs, np.exp(x), momenta[pick], np.full(pick.size, gamma))
        return np.where(np.isfinite(gains), np.log(np.clip(gains, 1e-300, None)), STEEPEST)

    with np.errstate(all="ignore"):
        right, everyone = np.log(top * INSIDE), np.arange(momenta.size)
        noisy = np.flatnonzero(heights(everyone, right) >= 0.0)
        left, beyond = right - 0.7, noisy
        while beyond.size:
            height = heights(beyond, left[beyond])
            beyond, height = beyond[height >= 0.0], height[height >= 0.0]
            right[beyond] = left[beyond]
            left[beyond] -= np.minimum(1.2 * height + 0.05, 3.0)
        found = bracketed_roots(lambda i, x: heights(noisy[i], x), left[noisy], right[noisy], ACCURACY)
    top[noisy] = np.exp(found)
    return top
