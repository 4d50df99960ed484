"""All runs of a chunk in step with each other, in the array operations of a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.experiments.simulation.backend import Backend
from genfun.experiments.simulation.moving import Moving
from genfun.experiments.simulation.space import Space
from genfun.experiments.simulation.updates import Stepper, Updates

DENSE_ROWS = 8
"""Gathering the rows of a batch costs about as much as the products of this many settings with them."""
WORTH_SPARSE = 5_000
"""Numbers in the rows of a batch from which on a sparse matrix adds them up sooner than they are copied; no matter of
the number of steps or runs, on which the bits of a run must not depend."""


def is_dense(n: int, b: int, rows: int) -> bool:
    """Whether products with all samples are cheaper than gathering those of each batch.

    Gathering costs b (rows + DENSE_ROWS), all samples N rows, in units of D.

    Parameters
    ----------
    n, b : int
    rows : int
        Settings times outputs that share a batch.
    """
    return b * (rows + DENSE_ROWS) >= n * rows


def run_chunk(
    space: Space,
    settings: Updates,
    blocks: Iterator[Int[Array, "steps runs b"]] | None,
    shape: tuple[int, int],
    kept: Int[Array, " t"],
    arrays: Backend,
    tell: Callable[[float], None],
    moving: Moving | None = None,
) -> Float[Array, "runs settings t"]:
    """Losses of runs and settings at the kept steps; nothing leaves the device before the end.

    Parameters
    ----------
    space : Space
    settings : Updates
    blocks : iterator of index blocks, or None
        Batches; None means the full batch, for which `space` must be that of the weights.
    shape : tuple of int
        Runs and batch size.
    kept : array, shape (t,)
        Ascending.
    arrays : Backend
    tell : callable
        Called with the fraction done.
    moving : Moving, optional
        What changes from step to step, of the one setting.
    """
    runs, b = shape
    outputs, d = space.start.shape
    each = settings.repeated(outputs)
    size = (runs, each.count, d)
    x = [arrays.empty(size) for _ in range(settings.components)]
    g, weights = arrays.empty(size), arrays.put(space.weights)
    # Of residuals all weigh the same, and no array of squares is written.
    weight = float(space.weights[0]) if (space.weights == space.weights[0]).all() else None
    square = arrays.empty(size) if weight is None else g
    stepper = Stepper(each, arrays, size)
    index = arrays.numbers(np.zeros((runs, b), dtype=np.int64))
    varies = moving is not None and moving.varies
    factor = arrays.put(np.tile(-each.rates[:, None] / b, (1, b if varies else 1)))
    lone = arrays.sparse and each.count == 1 and space.errors is None and not varies
    if blocks is None:
        kick = _full(space, each, arrays)
    elif is_dense(space.rows.shape[0], b, arrays.together or each.count) and not varies:
        kick = _dense(space, each, index, factor, arrays, outputs)
    elif lone and b * d >= WORTH_SPARSE:
        kick = _where_they_lie(space, index, factor, arrays)
    else:
        kick = _gathered(space, each, index, factor, arrays, outputs)

    def step() -> None:
        stepper.advance(x, kick(x[0], g))

    advance = arrays.ready(step)
    # After `ready`, which may have tried a step.
    begin = np.tile(space.start, (settings.count, 1))
    for i, memory in enumerate(x):
        memory[...] = arrays.put(each.starts[:, i, None] * begin)
    first = None if np.array_equal(each.first_kicks, each.kicks) else Stepper(each, arrays, size, first=True)
    average = settings.average
    # The step after which a uniform average begins; -1 where none does.
    counted = average.start if average is not None and average.is_uniform else -1
    last, mark = int(kept[-1]), max(1, int(kept[-1]) // 100)
    losses = arrays.empty((kept.size, runs, each.count))
    place, at, block = 0, 0, None
    # Launches do not wait for the device, so that the next block is drawn while it works on the last.
    fed = None if blocks is None else map(arrays.numbers, blocks)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(last + 1):
            if t == kept[place]:
                whole = average is None or t <= counted
                shown = x[0] if whole else x[-1]
                if weight is None:
                    arrays.multiply(shown, shown, out=square)
                    losses[place] = arrays.weighted(square, weights)
                else:
                    losses[place] = arrays.squares(shown) * weight
                if counted >= 0 and not whole:
                    losses[place] /= float(t - counted) ** 2
                place += 1
            if t == last:
                break
            if t == counted:
                x[-1][...] = 0.0
            if fed is not None:
                if block is None or at == block.shape[0]:
                    block, at = next(fed), 0
                index[...] = block[at]
                at += 1
            if moving is not None:
                moving.move(stepper, t)
                if varies:
                    factor[...] = arrays.put(moving.shares(t))
            if t == 0 and first is not None:
                first.advance(x, kick(x[0], g))
            else:
                advance()
            if t % mark == 0:
                tell(t / last)
    tell(1.0)
    return collected(losses, space, settings, arrays)


def collected(losses: Any, space: Space, settings: Updates, arrays: Backend) -> Float[Array, "runs settings t"]:
    """The losses of all outputs together, off the device; inf where a run has overflowed.

    Parameters
    ----------
    losses : array, shape (t, runs, settings * outputs)
        Without what no run can change.
    space : Space
    settings : Updates
    arrays : Backend
    """
    steps, runs = losses.shape[:2]
    result = arrays.fetch(losses).reshape(steps, runs, settings.count, space.start.shape[0]).sum(axis=3) + space.floor
    return np.where(np.isnan(result), np.inf, result).transpose(1, 2, 0)


def laid_out(
    space: Space, settings: Updates, shape: tuple[int, int], kept: Int[Array, " t"], arrays: Backend
) -> tuple[Any, Any, Any, Int[Array, " steps"]]:
    """What a loop over all steps works on, of settings of at most two components that start at w alone.

    Parameters
    ----------
    space : Space
    settings : Updates
    shape : tuple of int
        Runs and batch size.
    kept : array, shape (t,)
    arrays : Backend

    Returns
    -------
    (array, array, array, integer array)
        States (2, runs, settings * outputs, D), factors of each row, losses (t, runs, settings * outputs) to be filled,
        and where the loss before each step goes: -1 for nowhere. That after the last is taken from the final state.
    """
    (outputs, d), (runs, b) = space.start.shape, shape
    each = settings.count * outputs
    state = arrays.put(np.zeros((2, runs, each, d)))
    state[0] = arrays.put(np.tile(space.start, (settings.count, 1)))
    slots = np.full(int(kept[-1]) + 1, -1, dtype=np.int64)
    slots[kept] = np.arange(kept.size)
    return state, arrays.put(settings.repeated(outputs).factors(b)), arrays.empty((kept.size, runs, each)), slots


Kick = Callable[[Any, Any], Any]
"""Returns minus the learning rate times the batch gradient at x, for which there is room in g."""


def _full(space: Space, each: Updates, arrays: Backend) -> Kick:
    rates = arrays.put(-2.0 * each.rates[:, None] * space.weights)
    return lambda x, g: arrays.multiply(x, rates, out=g)


def _gathered(space: Space, each: Updates, index: Any, factor: Any, arrays: Backend, outputs: int) -> Kick:
    """Rows of the batch of each run, shared by its settings."""
    (runs, b), d = index.shape, space.rows.shape[1]
    table, rows = arrays.table(space.rows), arrays.empty((runs, b, d))
    errors = None if space.errors is None else arrays.put(space.errors)
    misfit = arrays.empty((runs, each.count, b))

    def kick(x: Any, g: Any) -> Any:
        arrays.take_rows(table, index, rows)
        if errors is None:
            picked = arrays.pick(x, index)
        else:
            arrays.matmul(x, rows.swapaxes(1, 2), out=misfit)
            picked = misfit
            by_setting = picked.reshape(runs, -1, outputs, b)
            by_setting -= errors[index].swapaxes(1, 2)[:, None]
        arrays.multiply(picked, factor, out=misfit)
        arrays.matmul(misfit, rows, out=g)
        return g

    return kick


def _where_they_lie(space: Space, index: Any, factor: Any, arrays: Backend) -> Kick:
    """One row a run, in the space of samples: those of its batch are added up without a copy of them."""
    from scipy.sparse import csr_array

    (runs, b), table = index.shape, arrays.table(space.rows)
    shares, ends = arrays.empty((runs, 1, b)), np.arange(runs + 1) * b
    shares[...] = 0.0
    chosen = csr_array((shares.reshape(-1), np.zeros(runs * b, dtype=np.int64), ends), shape=(runs, table.shape[0]))

    def kick(x: Any, g: Any) -> Any:
        chosen.indices[:] = index.reshape(-1)
        arrays.multiply(arrays.pick(x, index), factor, out=chosen.data.reshape(shares.shape))
        return (chosen @ table)[:, None]

    return kick


def _dense(space: Space, each: Updates, index: Any, factor: Any, arrays: Backend, outputs: int) -> Kick:
    """All samples, each times how often it is in the batch: one product for all runs."""
    runs, n = index.shape[0], space.rows.shape[0]
    table = arrays.table(space.rows)
    errors = None if space.errors is None else arrays.put(space.errors.T)
    misfit = arrays.empty((runs, each.count, n))

    def kick(x: Any, g: Any) -> Any:
        if errors is None:
            arrays.multiply(x, factor, out=misfit)
        else:
            arrays.through(x, table.T, out=misfit)
            by_setting = misfit.reshape(runs, -1, outputs, n)
            by_setting -= errors
            arrays.multiply(misfit, factor, out=misfit)
        arrays.multiply(misfit, arrays.counts(index, n)[:, None, :], out=misfit)
        arrays.through(misfit, table, out=g)
        return g

    return kick
