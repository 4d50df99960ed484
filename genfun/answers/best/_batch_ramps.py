"""Batches that grow during a run, within a number of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.answers.best._rate_families import best_peak
from genfun.engine.adjoint import RateGradient
from genfun.noise import sampling_factor

GROWTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Last batch over the first."""
CUTS = (0.5, 0.75, 0.875, 0.9375, 0.96875)
"""Shares of the samples after which Seesaw cuts the rate and doubles the batch."""
Ramp = tuple[Array, Array, float]
"""Rates, batch sizes and excess."""


def grown(first: int, growth: float, samples: float, most: int | None) -> Int[Array, " t"]:
    """Batch sizes that grow with the samples used, in a geometric way, until these are used up.

    Parameters
    ----------
    first : int
    growth : float
        Last size over the first.
    samples : float
    most : int or None
        The largest.
    """
    sizes, used = [], 0.0
    while used < samples:
        size = round(first * growth ** (used / samples))
        size = min(size, most or size)
        if used + size > samples:
            break
        sizes.append(size)
        used += size
    return np.array(sizes, dtype=np.int64)


def seesaw(first: int, samples: float, most: int | None) -> tuple[Float[Array, " t"], Int[Array, " t"]]:
    """Rates, with the first as unit, and batch sizes of Seesaw: at every cut 1/sqrt(2) and 2 times.

    Parameters
    ----------
    first : int
    samples : float
    most : int or None
        The largest batch.
    """
    rates, sizes, used, cuts = [], [], 0.0, 0
    while True:
        while cuts < len(CUTS) and used >= CUTS[cuts] * samples:
            cuts += 1
        size = min(first * 2**cuts, most or first * 2**cuts)
        if used + size > samples:
            return np.array(rates), np.array(sizes, dtype=np.int64)
        rates.append(0.5 ** (0.5 * cuts))
        sizes.append(size)
        used += size


def ramps(engine: RateGradient, cap: float, first: int, samples: float, n_samples: int | None) -> dict[str, Ramp]:
    """The best batch ramp at a constant rate and the best Seesaw, by their names.

    Parameters
    ----------
    engine : RateGradient
        For as many steps as batches of the first size take.
    cap : float
        The largest rate.
    first : int
        The first batch size, which has the least edge.
    samples : float
        How many may be used.
    n_samples : int or None
        Of the training set, the largest batch.
    """

    def gammas(sizes: Array) -> Array:
        distinct, place = np.unique(sizes, return_inverse=True)
        return np.array([sampling_factor(int(b), n_samples) for b in distinct])[place]

    def tuned(unit: Array, sizes: Array) -> Ramp:
        of_step = gammas(sizes)
        value: Callable[[float], float] = lambda peak: engine.excess(peak * unit, None, of_step)  # noqa: E731
        peak, excess = best_peak(value, cap)
        return peak * unit, sizes, excess

    candidates: list[Any] = [grown(first, growth, samples, n_samples) for growth in GROWTHS]
    tried = [tuned(np.ones(sizes.size), sizes) for sizes in candidates if sizes.size > 1]
    found = {"batch ramp": min(tried, key=lambda ramp: ramp[2])} if tried else {}
    unit, sizes = seesaw(first, samples, n_samples)
    return found | ({"seesaw": tuned(unit, sizes)} if sizes.size > 1 else {})
