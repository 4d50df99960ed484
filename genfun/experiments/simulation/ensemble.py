"""Settings times replicas in groups that share batches, and in chunks that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.data.linear import LinearData
from genfun.experiments.simulation.backend import Backend
from genfun.experiments.simulation.batches import Order, block_bytes, index_blocks
from genfun.experiments.simulation.devices import Run
from genfun.experiments.simulation.engine import is_dense, run_chunk
from genfun.experiments.simulation.moving import Moving, sized_blocks
from genfun.experiments.simulation.space import Space, space_of, weights_space
from genfun.experiments.simulation.updates import Updates
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.system import system_of
from genfun.noise import sampling_factor
from genfun.schedules import ScheduledSGD

Tell = Callable[[float], None]

LEAST_HELD = 1 << 28
"""Bytes that the losses and batches of a chunk may take even where its states take less, to stay in a cache."""
BLOCKS_HELD = 4
"""Blocks of batches that are there at once: drawn, copied and in use."""


def groups(methods: Sequence[Any], n: int) -> list[tuple[list[int], bool]]:
    """Places of the methods that can be run in one array, and whether they draw batches at all.

    Batch size, replacement, the number of state components and the kind of average are shared within a group; learning
    rates and hyperparameters differ. Schedules are left out: each is run alone.

    Parameters
    ----------
    methods : sequence of Method or ScheduledSGD
    n : int
        Samples.
    """
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, m in enumerate(methods):
        if isinstance(m, ScheduledSGD):
            continue
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


@dataclass(frozen=True)
class Draw:
    """How the batches of runs are drawn.

    Parameters
    ----------
    method : Method or ScheduledSGD
        Any of those that share them.
    moving : Moving or None
        The sizes of a schedule.
    seed : int
    order : "fresh" or "epochs"
    """

    method: Any
    moving: Moving | None
    seed: int
    order: Order

    @property
    def size(self) -> int:
        """Of the largest batch."""
        if self.moving is None:
            return self.method.batch_size
        assert self.moving.sizes is not None
        return int(self.moving.sizes.max())

    def blocks(
        self, seeds: Sequence[np.random.SeedSequence], n: int, last: int
    ) -> Iterator[Int[Array, "steps runs b"]]:
        """The batches of runs, one for each seed.

        Parameters
        ----------
        seeds : sequence of SeedSequence
        n : int
            Samples.
        last : int
            Steps of a run.
        """
        if self.moving is not None and self.moving.sizes is not None and self.moving.varies:
            return sized_blocks(seeds, n, self.moving.sizes, self.method.replacement)
        return index_blocks(seeds, n, self.size, self.method.replacement, self.order, last)


def run_ensemble(
    data: LinearData,
    methods: Sequence[Method | ScheduledSGD],
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
    methods : sequence of Method or ScheduledSGD
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
    ready: list[tuple[list[int], bool, Updates, Run, Moving | None]] = [
        (places, drawn, Updates.of([methods[p] for p in places]), run, None) for places, drawn in groups(methods, n)
    ]
    for place, m in enumerate(methods):
        if isinstance(m, ScheduledSGD):
            moving = Moving.of(m, int(kept[-1]), n)
            alone = partial(run_chunk, moving=moving)
            ready.append(([place], moving.sizes is not None, moving.settings, alone, moving))
    for places, drawn, settings, engine, moving in ready:
        share = len(places) / len(methods)

        def report(fraction: float, start: float = done, share: float = share) -> None:
            tell(start + share * fraction)

        if drawn:
            first = methods[places[0]]
            space, draw = space_of(data, settings), Draw(first, moving, seed, order)
            found = _drawn(space, settings, draw, kept, replicas, arrays, engine, report)
        else:
            one = engine(weights_space(data), settings, None, (1, 1), kept, arrays, report)
            found = np.repeat(one, replicas, axis=0)
        for place, loss in zip(places, found.swapaxes(0, 1), strict=True):
            losses[place] = np.ascontiguousarray(loss)
        done += share
    tell(1.0)
    return losses


def _drawn(
    space: Space,
    settings: Updates,
    draw: Draw,
    kept: Int[Array, " t"],
    replicas: int,
    arrays: Backend,
    run: Run,
    tell: Tell,
) -> Float[Array, "replicas settings t"]:
    """Losses of settings that share batches; every chunk of settings draws those of its runs again."""
    b, (n, d) = draw.size, space.rows.shape
    children = np.random.SeedSequence(draw.seed).spawn(replicas)
    outputs = space.start.shape[0]
    # Where all runs of a setting are in one product, it has the bits of as many runs as the setting would have alone.
    fixed = arrays.together is not None and is_dense(n, b, arrays.together)
    tall, wide = chunk(b, d, 1 if fixed else settings.count, outputs, arrays.itemsize, arrays.chunk_bytes)
    blocks_held, kept_bytes = BLOCKS_HELD * block_bytes(n, b, draw.order), kept.size * outputs * arrays.itemsize
    most = max(LEAST_HELD, arrays.chunk_bytes)
    tall, wide = held(tall, wide, blocks_held, kept_bytes, most)
    if fixed:
        tall, row = min(tall, replicas), d * arrays.itemsize
        by_states = (arrays.chunk_bytes // tall - b * row) // (4 * outputs * row)
        wide = int(np.clip(min(by_states, (most // tall - blocks_held) // kept_bytes), 1, settings.count))
    corners = [(r, s) for r in range(0, replicas, tall) for s in range(0, settings.count, wide)]
    losses = np.empty((replicas, settings.count, kept.size))
    for i, (r, s) in enumerate(corners):
        seeds = children[r : r + tall]
        part = settings.take(slice(s, s + wide))
        blocks = draw.blocks(seeds, n, int(kept[-1]))

        def report(fraction: float, i: int = i) -> None:
            tell((i + fraction) / len(corners))

        losses[r : r + tall, s : s + wide] = run(space, part, blocks, (len(seeds), b), kept, arrays, report)
    return losses
