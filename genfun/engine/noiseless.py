"""Losses of many settings at one step without sampling noise, by squaring the update matrices of all modes."""

from __future__ import annotations

import functools

import numpy as np

from genfun._typing import Array
from genfun.engine.powers import LEAST_RADIUS
from genfun.engine.roots import log_roots, turning
from genfun.engine.settings import Settings
from genfun.problems.measure import BIN_WIDTH, SpectralMeasure
from genfun.scaled import Scaled

CACHED = 12_000
"""Settings times modes whose matrices are squared together: the working arrays stay in the cache."""
MAX_PHASE = 3_000.0
"""Modes that turn further than this within the run are not resolved one by one in a compressed spectrum."""
TURN = 4.0
"""Angle by which a mode may turn within a bin."""
GONE, SAMPLED = 45.0, 24
"""Turning modes that have decayed by exp(-GONE) relative to the slowest are over; modes that are looked at for that."""


def radii(settings: Settings, nodes: Array) -> tuple[Array, Array]:
    """Both of `log_roots`, the largest over the modes, of every setting."""
    a = settings.rates[:, None] * nodes
    rows, _ = settings.kind.update(a, *(h[:, None] for h in settings.hyper))
    largest, off = log_roots(rows, a.shape)
    return largest.max(axis=1), off.max(axis=1)


def narrowness(settings: Settings, step: int) -> Array:
    """How often bins must be halved so that the modes that still turn at a step are resolved, for every setting."""
    problem = settings.problem
    nodes = np.sort(problem.measures()[1].nodes)
    with np.errstate(all="ignore"):
        slowest, outside = radii(settings, nodes[np.linspace(0, nodes.size - 1, SAMPLED).astype(int)])
        phase = step * turning(settings.kind, settings.hyper, settings.rates * problem.lambda_max)[0]
        phase = np.minimum(phase, MAX_PHASE)
        phase = np.where((slowest - outside) * step > GONE, 0.0, phase)
    return np.ceil(np.log2(np.maximum(phase * (BIN_WIDTH / TURN), 1.0))).astype(np.int64)


def resolved_losses(settings: Settings, step: int, most: int | None = None) -> Scaled:
    """As `noiseless_losses`, with bins as narrow as the modes of each setting ask for, and modes at rest merged.

    Parameters
    ----------
    settings : Settings
    step : int
        t >= 1.
    most : int, optional
        Where more nodes than this would be needed, bins are wide, and turning modes enter with a phase that is off.
    """
    halvings = narrowness(settings, step)
    result = Scaled(np.zeros(halvings.size), np.zeros(halvings.size, dtype=np.int64))
    for each in np.unique(halvings):
        pick = np.flatnonzero(halvings == each)
        own, signal = settings.take(pick), settings.problem.measures(BIN_WIDTH * 0.5**each)[1]
        if most is not None and signal.nodes.size > most:
            signal = settings.problem.measures()[1]
        found = noiseless_losses(own, signal.lump(own.still_below(float(step))), step)
        result.mantissa[pick], result.exponent[pick] = found.mantissa, found.exponent
    return result


def noiseless_losses(settings: Settings, signal: SpectralMeasure, step: int) -> Scaled:
    r"""Mean loss of every setting at one step without sampling noise, by squaring the update matrices of all modes.

    .. math:: L = \tfrac12\sum_k s_k (T_k^t)_{ww}^2 + \tfrac12\sigma^2,\qquad T^{2^j} = I - D_j,\quad
              D_{j+1} = 2 D_j - D_j^2

    with the decay of every mode taken out first, so that no mode leaves the range of doubles, whatever another does;
    D_j keeps the precision of slow modes, as in `genfun.engine.powers`.

    **Assumptions.** Updates affine in a = learning rate * lambda; gamma of the settings is not looked at.

    Parameters
    ----------
    settings : Settings
    signal : SpectralMeasure
        Nodes and weights of the signal.
    step : int
        t >= 1.
    """
    heavy = signal.weights > 0.0
    found = Scaled(np.zeros(settings.rates.size), np.zeros(settings.rates.size, dtype=np.int64))
    if heavy.any():
        nodes, weights, parts = signal.nodes[heavy], signal.weights[heavy], []
        rows = max(1, CACHED // nodes.size)
        with np.errstate(all="ignore"):
            for start in range(0, settings.rates.size, rows):
                part = settings.take(np.arange(start, min(start + rows, settings.rates.size)))
                logs = np.log(weights) + _log_decays(part, nodes, step)
                top = logs.max(axis=1)
                sums = np.exp(logs - np.where(np.isfinite(top), top, 0.0)[:, None]).sum(axis=1)
                parts.append(Scaled.exponential(0.5 * sums, np.where(np.isneginf(top), 0.0, top)))
        found = Scaled.join(parts)
    return found.plus(0.5 * settings.problem.noise_variance)


def _log_decays(settings: Settings, nodes: Array, step: int) -> Array:
    """log (T_k^t)_ww^2, shape (settings, modes)."""
    hyper = tuple(h[:, None] for h in settings.hyper)
    at_zero, at_one = (settings.kind.update(a, *hyper)[0] for a in (0.0, 1.0))
    size, a = len(at_zero), settings.rates[:, None] * nodes
    rate = 0.5 * np.maximum(log_roots(settings.kind.update(a, *hyper)[0], a.shape)[0], 2.0 * np.log(LEAST_RADIUS))
    factor, each = np.exp(-rate), range(size)
    d = [
        [
            factor * ((i == j) - at_zero[i][j] - a * (at_one[i][j] - at_zero[i][j])) + (i == j) * -np.expm1(-rate)
            for j in each
        ]
        for i in each
    ]
    row = [np.full(a.shape, float(i == 0)) for i in each]
    left = step
    while True:
        if left & 1:
            row = [row[k] - functools.reduce(np.add, [row[j] * d[j][k] for j in each]) for k in each]
        left >>= 1
        if not left:
            return 2.0 * (np.log(np.abs(row[0])) + rate * step)
        d = _doubled(d)


def _doubled(d: list[list[Array]]) -> list[list[Array]]:
    """2 D - D^2."""
    each = range(len(d))
    if len(d) > 2:
        products = [[functools.reduce(np.add, [d[i][j] * d[j][k] for j in each]) for k in each] for i in each]
        return [[2.0 * d[i][k] - products[i][k] for k in each] for i in each]
    beside, (first, last) = d[0][1] * d[1][0], (2.0 - d[0][0], 2.0 - d[1][1])
    rest = first - d[1][1]
    return [[d[0][0] * first - beside, d[0][1] * rest], [d[1][0] * rest, d[1][1] * last - beside]]
