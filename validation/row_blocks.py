"""Features in row blocks of Dask workers, one of two killed: spectrum, noise and answers as from one array.

Features are never whole in this process: each pass reads them block by block, each block made by a worker. They are
compared with the same features in memory; and products with a kernel that the workers make of their rows, with the
eigenvalues.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Literal

import numpy as np

import genfun as gf
from genfun.data import LinearData, _arrays
from validation.claim import Claim
from validation.sweep_survives import two_workers

COLUMNS = 24
BLOCK = 1 << 19
"""Bytes of a block here, instead of 32 MB, so that small data are read in many."""
STEPS = [0, 1, 10, 100, 1000]


def features(rows: int) -> tuple[Any, Any]:
    """Made where they are read, and the same each time."""
    import dask.array as da

    stream: Any = da.random.default_rng(0)
    shape, chunks = (rows, COLUMNS), (rows // 4, COLUMNS)
    X = stream.standard_t(5.0, size=shape, chunks=chunks) * np.arange(1, COLUMNS + 1) ** -0.75
    return X, X.sum(axis=1) + stream.standard_normal(size=rows, chunks=rows // 4)


def answers(data: LinearData, noise: Literal["fitted", "measured"]) -> np.ndarray:
    """Spectrum, fitted constants and losses."""
    method = gf.SGD(0.3 * gf.max_learning_rate(data, 0.5, 4, noise=noise), 0.5, 4)
    losses = gf.predict(data, method, STEPS, noise).loss
    return np.concatenate([data.eigenvalues, data.signal, [data.noise.tau1, data.noise.tau2], losses])


def streamed(X: Any, y: Any, progress: Any = None) -> LinearData:
    """No room for the eigenfeatures: they are made of the rows again in each pass."""
    return LinearData.from_features(X, y, progress, memory_limit=0)


def claims(fast: bool = False) -> list[Claim]:
    before = _arrays.BLOCK_BYTES
    _arrays.BLOCK_BYTES = BLOCK
    try:
        return _claims(6_000, "fitted" if fast else "measured")
    finally:
        _arrays.BLOCK_BYTES = before


def _claims(rows: int, noise: Literal["fitted", "measured"]) -> list[Claim]:
    X, y = features(rows)
    whole = X.compute(scheduler="synchronous"), y.compute(scheduler="synchronous")
    undisturbed = answers(streamed(*whole), noise)
    result = []
    with two_workers() as (_, workers):

        def kill_one(done: float, stage: str) -> None:
            if len(workers) == 2:
                os.kill(workers.pop(), signal.SIGKILL)

        data = streamed(X, y, kill_one)
        found = answers(data, noise)
        name = (
            f"{rows} x {COLUMNS} features of two Dask workers, one killed: largest difference of answers, {noise} noise"
        )
        differ = float(np.abs(found / undisturbed - 1.0).max())
        note = f"{2 - len(workers)} killed; relative; spectrum, signal, constants and losses to step {STEPS[-1]}"
        result.append(Claim(name, differ, 0.0, 1e-9, "exact", "the same features in memory", note))

        # A product is made where the rows are: only vectors come here.
        def product(v: np.ndarray) -> Any:
            return X @ (X.T @ v) / rows

        problem = gf.LinearProblem.from_operator(product, y.compute(), rows, lanczos_steps=COLUMNS + 1)
        name = f"{rows} x {COLUMNS} features of Dask workers, by products: "
        for words, a, b in (
            ("largest eigenvalue", problem.lambda_max, data.eigenvalues[0]),
            ("sum of squared eigenvalues", problem.capacity_total, data.problem.capacity_total),
            ("signal", problem.signal_total, data.problem.signal_total),
        ):
            result.append(Claim(name + words, float(a), float(b), 1e-9 * float(b), "exact", "the streamed eigenbasis"))
    return result
