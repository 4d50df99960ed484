"""The batches of a run: which samples enter each step, drawn on the host in blocks from one seed a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal, get_args

import numpy as np

from genfun._typing import Array, Int

Order = Literal["fresh", "epochs"]
ORDERS: tuple[str, ...] = get_args(Order)
BLOCK_DRAWS = 1 << 14
"""Sample numbers drawn at a time for one run, or as many as its steps take: the numbers do not depend on it."""


def batches(rng: np.random.Generator, n: int, b: int, replacement: bool) -> Iterator[Int[Array, " b"]]:
    """Endless independent uniform batches of b of n sample numbers, in no meaningful order.

    Without replacement a small batch is drawn by Floyd's method, all batches of a block in step: for j = n-b..n-1 a
    number from 0..j joins the batch, or j itself if that number is in already; then every subset is equally likely. A
    large batch takes the b smallest of n random keys.

    Parameters
    ----------
    rng : Generator
    n, b : int
    replacement : bool
    """
    for block in fresh(rng, n, b, replacement):
        yield from block


def step_by_step(
    seeds: Sequence[np.random.SeedSequence],
    n: int,
    b: int,
    replacement: bool,
    order: Order = "fresh",
    most: int | None = None,
) -> Iterator[Int[Array, "runs b"]]:
    """The batches of all runs, one step after the other; arguments as for `index_blocks`."""
    return chain.from_iterable(index_blocks(seeds, n, b, replacement, order, most))


def epochs(rng: np.random.Generator, n: int, b: int) -> Iterator[Int[Array, " b"]]:
    """Endless batches that are consecutive slices of a new permutation of the n samples in each epoch.

    An epoch has floor(n/b) steps, so that all batches have b samples; the n mod b samples at the end of its
    permutation are not visited in it (`drop_last` in torch's words).

    Parameters
    ----------
    rng : Generator
    n, b : int
    """
    for block in _shuffled(rng, n, b):
        yield from block


def index_blocks(
    seeds: Sequence[np.random.SeedSequence],
    n: int,
    b: int,
    replacement: bool,
    order: Order,
    most: int | None = None,
) -> Iterator[Int[Array, "steps runs b"]]:
    """Endless blocks of batches, one run for each seed; a run's batches depend on its seed alone.

    Parameters
    ----------
    seeds : sequence of SeedSequence
    n, b : int
    replacement : bool
    order : "fresh" or "epochs"
    most : int, optional
        Steps that are wanted: where a block has more, the batches after them are not drawn.
    """
    generators = [np.random.default_rng(seed) for seed in seeds]
    if order == "epochs":
        sources = [_shuffled(rng, n, b, most) for rng in generators]
    else:
        sources = [fresh(rng, n, b, replacement, most) for rng in generators]
    while True:
        yield np.stack([next(source) for source in sources], axis=1)


def block_bytes(n: int, b: int, order: Order) -> int:
    """Bytes of a block of one run.

    Parameters
    ----------
    n, b : int
    order : "fresh" or "epochs"
    """
    steps = _steps(b) if order == "fresh" else _permutations(n) * (n // b)
    return steps * b * np.dtype(np.int64).itemsize


def _steps(b: int) -> int:
    return max(1, min(512, BLOCK_DRAWS // b))


def _permutations(n: int) -> int:
    return max(1, BLOCK_DRAWS // n)


def fresh(
    rng: np.random.Generator, n: int, b: int, replacement: bool, most: int | None = None
) -> Iterator[Int[Array, "steps b"]]:
    """Endless blocks of the batches of `batches`.

    Parameters
    ----------
    rng : Generator
    n, b : int
    replacement : bool
    most : int, optional
        Steps of a block at most.
    """
    block = _steps(b) if most is None else min(_steps(b), max(most, 1))
    while True:
        if replacement:
            chosen = rng.integers(0, n, size=(block, b))
        elif b * b > 4 * n:
            chosen = np.argpartition(rng.random((block, n)), b - 1, axis=1)[:, :b]
        else:
            chosen = rng.integers(0, np.arange(n - b, n), size=(block, b), endpoint=True)
            for i in range(1, b):
                taken = (chosen[:, :i] == chosen[:, i, None]).any(axis=1)
                chosen[taken, i] = n - b + i
        yield chosen


def _shuffled(rng: np.random.Generator, n: int, b: int, most: int | None = None) -> Iterator[Int[Array, "steps b"]]:
    count, each = _permutations(n), n // b
    if most is not None:
        count = min(count, -(-max(most, 1) // each))
    while True:
        permutations = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
        yield permutations[:, : each * b].reshape(count * each, b)
