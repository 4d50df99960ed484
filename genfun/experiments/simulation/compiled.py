"""Runs one by one, compiled by numba: a state stays in the first cache of a core from step to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from genfun._loops import read_only
from genfun._typing import Array, Float, Int
from genfun.data.linear import LinearData
from genfun.engine.fused import loaded
from genfun.experiments.simulation.backend import Backend
from genfun.experiments.simulation.engine import collected, is_dense, laid_out, run_chunk
from genfun.experiments.simulation.space import Space
from genfun.experiments.simulation.updates import Updates
from genfun.schedules import ScheduledSGD

NUMPY_PER_POINT = 6.0
"""Numbers of rows that NumPy gets through in the time of a point times a mode of `fused.WORTH_LOADING`."""
WORTH_COMPILED = 5e6
"""Points times modes below which NumPy is done before the compiled loop has come from its cache."""
MOST_ROWS = 64
"""Settings times outputs; with 40 the loop still is 1.8 times as quick as products of matrices that share rows."""


def steps_of_runs(
    rows: Any, index: Any, slots: Any, state: Any, factors: Any, weights: Any, errors: Any, samples: Any, losses: Any
) -> None:
    """The steps of a block of batches, of every run and row (setting and output), in place.

    Parameters
    ----------
    rows : array, shape (n, d)
    index : integer array, shape (steps, runs, b)
    slots : integer array, shape (steps,)
        Where the losses before each step go; -1 for nowhere.
    state : array, shape (2, runs, each, d)
    factors : array, shape (each, 6)
        As of `Updates.factors`.
    weights : array, shape (d,)
    errors : array, shape (n, outputs)
        Of the space, where the state is not the residuals themselves.
    samples : bool
        Whether it is.
    losses : array, shape (kept, runs, each)
    """
    b, each, d, outputs = index.shape[2], state.shape[2], state.shape[3], errors.shape[1]
    g, none = np.empty_like(weights), weights[0] - weights[0]
    for run in range(index.shape[1]):
        for t in range(index.shape[0]):
            batch = index[t, run]
            for row in range(each):
                x, v, output = state[0, run, row], state[1, run, row], row % outputs
                if slots[t] >= 0:
                    total = none
                    for k in range(d):
                        total += weights[k] * x[k] * x[k]
                    losses[slots[t], run, row] = total
                for k in range(d):
                    g[k] = none
                for j in range(0, b - b % 5, 5):
                    h, i, o, m, n = batch[j], batch[j + 1], batch[j + 2], batch[j + 3], batch[j + 4]
                    p, q, r, s, u = rows[h], rows[i], rows[o], rows[m], rows[n]
                    if samples:
                        c0, c1, c2, c3, c4 = x[h], x[i], x[o], x[m], x[n]
                    else:
                        c0, c1, c2, c3, c4 = none, none, none, none, none
                        for k in range(d):
                            c0 += p[k] * x[k]
                            c1 += q[k] * x[k]
                            c2 += r[k] * x[k]
                            c3 += s[k] * x[k]
                            c4 += u[k] * x[k]
                        c0, c1, c2 = c0 - errors[h, output], c1 - errors[i, output], c2 - errors[o, output]
                        c3, c4 = c3 - errors[m, output], c4 - errors[n, output]
                    for k in range(d):
                        g[k] += c0 * p[k] + c1 * q[k] + c2 * r[k] + c3 * s[k] + c4 * u[k]
                for j in range(b - b % 5, b):
                    p = rows[batch[j]]
                    c0 = none
                    if samples:
                        c0 = x[batch[j]]
                    else:
                        for k in range(d):
                            c0 += p[k] * x[k]
                        c0 -= errors[batch[j], output]
                    for k in range(d):
                        g[k] += c0 * p[k]
                t00, t01, t10, t11 = factors[row, 0], factors[row, 1], factors[row, 2], factors[row, 3]
                k0, k1 = factors[row, 4], factors[row, 5]
                for k in range(d):
                    new = t00 * x[k] + t01 * v[k] + k0 * g[k]
                    v[k] = t10 * x[k] + t11 * v[k] + k1 * g[k]
                    x[k] = new


def fits(space: Space, settings: Updates, b: int) -> bool:
    """Whether the loop takes it, and is quicker: at most two components and few rows, and a small batch.

    Parameters
    ----------
    space : Space
    settings : Updates
    b : int
        Batch size.
    """
    each = settings.count * space.start.shape[0]
    small = each <= MOST_ROWS and not is_dense(space.rows.shape[0], b, each)
    return settings.for_loops and small


def is_worth(data: LinearData, methods: Sequence[Any], steps: int, replicas: int) -> bool:
    """Whether numba is at work, or worth loading, for the runs of some settings.

    Parameters
    ----------
    data : LinearData
    methods : sequence of Method or ScheduledSGD
    steps, replicas : int
    """
    n, width = data.n_samples, min(data.n_samples, 2 * data.rank)
    sizes = [m.batch_size for m in methods if not isinstance(m, ScheduledSGD)]
    read = sum(b * width for b in sizes if b is not None and not is_dense(n, b, 1))
    work = read * float(steps) * replicas / NUMPY_PER_POINT
    return work >= WORTH_COMPILED and loaded(steps_of_runs, work) is not None


def run_compiled(
    space: Space,
    settings: Updates,
    blocks: Iterator[Int[Array, "steps runs b"]] | None,
    shape: tuple[int, int],
    kept: Int[Array, " t"],
    arrays: Backend,
    tell: Callable[[float], None],
) -> Float[Array, "runs settings t"]:
    """As `run_chunk`, through the compiled loop if it takes the problem.

    Parameters
    ----------
    space : Space
    settings : Updates
    blocks : iterator of index blocks, or None
    shape : tuple of int
        Runs and batch size.
    kept : array, shape (t,)
    arrays : Backend
        Of NumPy.
    tell : callable
    """
    quick = loaded(steps_of_runs)
    if quick is None or blocks is None or not fits(space, settings, shape[1]):
        return run_chunk(space, settings, blocks, shape, kept, arrays, tell)
    state, factors, losses, slots = laid_out(space, settings, shape, kept, arrays)
    samples = space.errors is None
    given = np.zeros((1, space.start.shape[0])) if space.errors is None else space.errors
    table, weights, errors = map(read_only, (arrays.table(space.rows), arrays.put(space.weights), arrays.put(given)))
    last, t = int(kept[-1]), 0
    while t < last:
        block = next(blocks)[: last - t]
        quick(table, block, slots[t:], state, factors, weights, errors, samples, losses)
        t += len(block)
        tell(t / last)
    with np.errstate(over="ignore", invalid="ignore"):
        losses[-1] = arrays.weighted(state[0] ** 2, weights)
    return collected(losses, space, settings, arrays)
