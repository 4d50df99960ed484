"""Settings times replicas in groups that share batches, and in chunks that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.data.linear import LinearData
from genfun.experiments.simulation.backend import Backend
from genfun.experiments.simulation.batches import Order, block_bytes, index_blocks
from genfun.experiments.simulation.devices import Run
from genfun.experiments.simulation.space import Space, space_of, weights_space
from genfun.experiments.simulation.updates import Updates
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.system import system_of
from genfun.noise import sampling_factor

Tell = Callable[[float], None]

LEAST_HELD = 1 << 28
"""Bytes that the losses and batches of a chunk may take even where its states take less, to stay in a cache."""
BLOCKS_HELD = 4
"""Blocks of batches that are there at once: drawn, copied and in use."""


def groups(methods: Sequence[Method], n: int) -> list[tuple[list[int], bool]]:
    """Places of the methods that can be run in one array, and whether they draw batches at all.

    Batch size, replacement, the number of state components and the kind of average are shared within a group; learning
    rates and hyperparameters differ.

    Parameters
    ----------
    methods : sequence of Method
    n : int
        Samples.
    """
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, m in enumerate(methods):
        drawn = sampling_factor(m.batch_size, n, m.replacement) > 0.0
        average = (m.kind, m.start) if isinstance(m, Averaged) else None
        parts = (system_of(m).size if getattr(m, "options", "") else len(m.update(0.0, *m.hyperparameters)[1]), average)
        key = (m.batch_size, m.replacement, parts) if drawn else (None, False, parts)
        found.setdefault(key, []).append(place)
    return [(places, key[0] is not None) for key, places in found.items()]


def chunk(b: int, d: int, settings: int, outputs: int, itemsize: int, limit: int) -> tuple[int, int]:
    """Runs and settings advanced together within `limit` bytes: first settings of one run, which share its rows.

    Parameters
    ----------
    b, d : int
        Batch size and length of a row.
    settings, outputs : int
    itemsize, limit : int
        Bytes of a number and of a chunk.
    """
    state = 4 * outputs * d * itemsize
    width = int(np.clip((limit - b * d * itemsize) // state, 1, settings))
    return max(1, limit // (b * d * itemsize + width * state)), width


def held(runs: int, settings: int, block: int, kept: int, limit: int) -> tuple[int, int]:
    """As many of the runs and settings of a chunk as have losses and batches that take no more than `limit` bytes.

    Parameters
    ----------
    runs, settings : int
        Of the chunk by its states.
    block : int
        Bytes of the batches of one run that lie on the device at once.
    kept : int
        Bytes of the losses of one run of one setting.
    limit : int
    """
    width = int(np.clip((limit - block) // kept, 1, settings))
    return int(np.clip(limit // (block + width * kept), 1, runs)), width


def run_ensemble(
    data: LinearData,
    methods: Sequence[Method],
    kept: Int[Array, " t"],
    replicas: int,
    seed: int,
    order: Order,
    arrays: Backend,
    run: Run,
    tell: Tell,
) -> list[Float[Array, "replicas t"]]:
    """Losses of every method, in the order given.

    Parameters
    ----------
    data : LinearData
    methods : sequence of Method
    kept : array, shape (t,)
    replicas, seed : int
    order : "fresh" or "epochs"
    arrays : Backend
    run : callable
        The engine: see `genfun.experiments.simulation.engine.run_chunk`.
    tell : callable
        Called with the fraction done.
    """
    n = data.n_samples
    losses: list[Any] = [None] * len(methods)
    done = 0.0
    for places, drawn in groups(methods, n):
        settings = Updates.of([methods[p] for p in places])
        share = len(places) / len(methods)

        def report(fraction: float, start: float = done, share: float = share) -> None:
            tell(start + share * fraction)

        if drawn:
            first = methods[places[0]]
            found = _drawn(space_of(data, settings), settings, first, kept, replicas, seed, order, arrays, run, report)
        else:
            found = np.repeat(run(weights_space(data), settings, None, (1, 1), kept, arrays, report), replicas, axis=0)
        for place, loss in zip(places, found.swapaxes(0, 1), strict=True):
            losses[place] = np.ascontiguousarray(loss)
        done += share
    tell(1.0)
    return losses


def _drawn(
    space: Space,
    settings: Updates,
    method: Method,
    kept: Int[Array, " t"],
    replicas: int,
    seed: int,
    order: Order,
    arrays: Backend,
    run: Run,
    tell: Tell,
) -> Float[Array, "replicas settings t"]:
    """Losses of settings that share batches; every chunk of settings draws those of its runs again."""
    b, (n, d) = method.batch_size, space.rows.shape
    assert b is not None
    children = np.random.SeedSequence(seed).spawn(replicas)
    outputs = space.start.shape[0]
    tall, wide = chunk(b, d, settings.count, outputs, arrays.itemsize, arrays.chunk_bytes)
    blocks_held, kept_bytes = BLOCKS_HELD * block_bytes(n, b, order), kept.size * outputs * arrays.itemsize
    tall, wide = held(tall, wide, blocks_held, kept_bytes, max(LEAST_HELD, arrays.chunk_bytes))
    corners = [(r, s) for r in range(0, replicas, tall) for s in range(0, settings.count, wide)]
    losses = np.empty((replicas, settings.count, kept.size))
    for i, (r, s) in enumerate(corners):
        seeds = children[r : r + tall]
        part = settings.take(slice(s, s + wide))
        blocks = index_blocks(seeds, n, b, method.replacement, order)

        def report(fraction: float, i: int = i) -> None:
            tell((i + fraction) / len(corners))

        losses[r : r + tall, s : s + wide] = run(space, part, blocks, (len(seeds), b), kept, arrays, report)
    return losses
