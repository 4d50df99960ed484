"""How far each knob of a setting can move for a little more loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.answers.best._search import Search

MARGIN = 0.05
"""The rise of the loss, as a fraction, that the ranges stand for."""
NEAR_RATES, NEAR_MOMENTA = (12, 20), (16, 16)
"""Of the settings below and above the best, those that are looked at first: most ranges end among them."""


def crossings(values: Array, losses: Array, centre: int, limit: float) -> tuple[float, float]:
    """Where the losses rise above the limit on either side of the centre, interpolated.

    Parameters
    ----------
    values, losses : array, shape (n,)
    centre : int
        Place of the best.
    limit : float
    """

    def side(order: range) -> float:
        previous = centre
        for i in order:
            if losses[i] > limit:
                if not np.isfinite(losses[i]):
                    return float(values[previous])
                part = (limit - losses[previous]) / (losses[i] - losses[previous])
                return float(values[previous] + part * (values[i] - values[previous]))
            previous = i
        return float(values[previous])

    return side(range(centre - 1, -1, -1)), side(range(centre + 1, values.size))


def outwards(losses: Callable[[Array], Array], size: int, centre: int, near: tuple[int, int]) -> Array:
    """Losses of settings in a row; nan beyond the nearest on a side where one of these is above the limit already.

    Parameters
    ----------
    losses : callable
        Of the settings at some places.
    size : int
        Of the row.
    centre : int
        Place of the best.
    near : (int, int)
        How many on either side are the nearest.
    """
    found, low, high = np.full(size, np.nan), max(centre - near[0], 0), min(centre + near[1] + 1, size)
    found[low:high] = losses(np.arange(low, high))
    above = found > found[centre] + math.log1p(MARGIN)
    for inner, rest in ((slice(low, centre), np.arange(low)), (slice(centre + 1, high), np.arange(high, size))):
        if rest.size and not above[inner].any():
            found[rest] = losses(rest)
    return found


def rate_range(search: Search, method: Any, top: float) -> tuple[float, float]:
    """Learning rates of at most 5 % more loss, the momentum kept.

    Parameters
    ----------
    search : Search
    method : Method
        The best setting.
    top : float
        The largest stable learning rate.
    """
    low = method.learning_rate * np.geomspace(0.02, 1.0, 40)
    high = method.learning_rate + (top - method.learning_rate) * np.linspace(0.0, 1.0, 41)[1:-1] ** 2
    rates = np.concatenate((low, high))
    betas = np.full(rates.size, getattr(method, "momentum", 0.0))
    losses = outwards(lambda at: search.losses(rates[at], betas[at]), rates.size, 39, NEAR_RATES)
    return crossings(rates, losses, 39, losses[39] + math.log1p(MARGIN))


def momentum_range(search: Search, method: Any) -> tuple[float, float]:
    """Momenta of at most 5 % more loss, the learning rate kept.

    Parameters
    ----------
    search : Search
    method : Method
        The best setting.
    """
    y, cap = math.atanh(method.momentum), search.cap
    below = y - (y + cap) * np.linspace(1.0, 0.0, 31)[:-1] ** 2
    above = y + (cap - y) * np.linspace(0.0, 1.0, 31)[1:] ** 2
    betas = np.tanh(np.concatenate((below, [y], above)))
    rates = np.full(betas.size, method.learning_rate)
    losses = outwards(lambda at: search.losses(rates[at], betas[at]), betas.size, 30, NEAR_MOMENTA)
    return crossings(betas, losses, 30, losses[30] + math.log1p(MARGIN))
