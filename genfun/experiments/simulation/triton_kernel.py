"""One fused kernel for all steps of a block of batches. Imports triton: import this module inside functions only."""

# triton is no dependency, and its launches take keywords that no signature shows.
# pyright: reportMissingImports=false, reportCallIssue=false, reportIndexIssue=false
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import triton
import triton.language as tl

from genfun._typing import Array, Float, Int
from genfun.experiments.simulation.engine import collected, is_dense, laid_out, run_chunk
from genfun.experiments.simulation.space import Space
from genfun.experiments.simulation.torch_backend import TorchBackend
from genfun.experiments.simulation.updates import Updates

LARGEST_STATE = 4096
"""Length of a state of two components that stays in the registers of one thread block."""
PER_WARP = 256
"""Numbers of the state that one warp of 32 threads holds."""


@triton.jit
def _advance(
    rows, index, slots, state, factors, weights, errors, losses, steps, runs, each,
    D: tl.constexpr, BLOCK: tl.constexpr, B: tl.constexpr, OUTPUTS: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """One run of one setting and output a program; its state stays on chip from the first step to the last."""
    program = tl.program_id(0).to(tl.int64)
    run, row = program // each, program % each
    programs = tl.num_programs(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < D
    first, second = state + program * D + at, state + (programs + program) * D + at
    x, v = tl.load(first, mask=inside, other=0.0), tl.load(second, mask=inside, other=0.0)
    weight = tl.load(weights + at, mask=inside, other=0.0)
    t00, t01 = tl.load(factors + row * 6), tl.load(factors + row * 6 + 1)
    t10, t11 = tl.load(factors + row * 6 + 2), tl.load(factors + row * 6 + 3)
    k0, k1 = tl.load(factors + row * 6 + 4), tl.load(factors + row * 6 + 5)
    for t in range(steps):
        slot = tl.load(slots + t)
        if slot >= 0:
            tl.store(losses + slot * programs + program, tl.sum(weight * x * x, axis=0))
        g = tl.zeros_like(x)
        for j in range(B):
            i = tl.load(index + (t * runs + run) * B + j)
            phi = tl.load(rows + i * D + at, mask=inside, other=0.0)
            if SAMPLES:
                # The residual of sample i, out of the registers of whichever thread holds it.
                misfit = tl.sum(tl.where(at == i, x, 0.0), axis=0)
            else:
                misfit = tl.sum(phi * x, axis=0) - tl.load(errors + i * OUTPUTS + row % OUTPUTS)
            g += misfit * phi
        new = t00 * x + t01 * v + k0 * g
        v = t10 * x + t11 * v + k1 * g
        x = new
    tl.store(first, x, mask=inside)
    tl.store(second, v, mask=inside)


def fits(space: Space, settings: Updates, b: int) -> bool:
    """Whether the kernel takes it: a state of at most two components and 4096 numbers each, and a small batch.

    Parameters
    ----------
    space : Space
    settings : Updates
    b : int
        Batch size.
    """
    n, d = space.rows.shape
    return settings.for_loops and d <= LARGEST_STATE and not is_dense(n, b, 1)


def run_fused(
    space: Space,
    settings: Updates,
    blocks: Iterator[Int[Array, "steps runs b"]] | None,
    shape: tuple[int, int],
    kept: Int[Array, " t"],
    arrays: TorchBackend,
    tell: Callable[[float], None],
) -> Float[Array, "runs settings t"]:
    """As `run_chunk`, through the kernel if it takes the problem.

    A program is one run of one setting. Settings of one run follow each other, so that the rows of their common
    batches come from the second-level cache.

    Parameters
    ----------
    space : Space
    settings : Updates
    blocks : iterator of index blocks, or None
    shape : tuple of int
        Runs and batch size.
    kept : array, shape (t,)
    arrays : TorchBackend
    tell : callable
    """
    runs, b = shape
    if blocks is None or not fits(space, settings, b):
        return run_chunk(space, settings, blocks, shape, kept, arrays, tell)
    outputs, d = space.start.shape
    each = settings.count * outputs
    state, factors, losses, slots = laid_out(space, settings, shape, kept, arrays)
    table, weights = arrays.table(space.rows), arrays.put(space.weights)
    errors = weights if space.errors is None else arrays.put(space.errors)
    last, t, size = int(kept[-1]), 0, triton.next_power_of_2(d)
    warps = int(np.clip(size // PER_WARP, 1, 16))
    slots = arrays.numbers(slots)
    # Launches do not wait for the device, so that the next block is drawn while it works on the last.
    fed = map(arrays.numbers, blocks)
    while t < last:
        block = next(fed)[: last - t]
        # triton launches on the current GPU, which need not be this one.
        with torch.cuda.device_of(state):
            _advance[(runs * each,)](
                table, block, slots[t:], state, factors, weights, errors, losses, len(block), runs,
                each, D=d, BLOCK=size, B=b, OUTPUTS=outputs, SAMPLES=space.errors is None,
                num_warps=warps, enable_fp_fusion=True,
            )  # fmt: skip
        t += len(block)
        tell(t / last)
    losses[-1] = state[0] ** 2 @ weights
    return collected(losses, space, settings, arrays)
