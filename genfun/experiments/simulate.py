"""Runs of mini-batch SGD on given data, in the eigenbasis of its Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.data.linear import LinearData
from genfun.methods.base import Method
from genfun.noise import sampling_factor

GATHER_BYTES = 1 << 25
"""Memory of the eigenfeatures gathered for one step of all runs of a chunk."""
BLOCK_DRAWS = 1 << 14
"""Sample numbers drawn at a time for one run; the same for all runs and lengths, so that runs do not depend on them."""
DENSE_SHARE = 0.1
"""From this share of the data on, products with all samples are cheaper than gathering those of each batch."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False, repr=False)
class Runs:
    """Losses of simulated runs that differ in their batches only.

    Attributes
    ----------
    steps : integer array, shape (t,)
        Recorded steps, ascending.
    loss : array, shape (replicas, t)
        Full-data loss of every run; inf once a run has overflowed.
    optimizer : Method
        What was run.
    seed : int
        Run r is the same for every number of replicas (up to rounding).

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> runs = simulate(data, gf.SGD(0.1, batch_size=1), steps=3, replicas=2)
    >>> runs.loss.shape, runs.diverged
    ((2, 4), 0.0)
    """

    steps: Int[Array, " t"]
    loss: Float[Array, "replicas t"]
    optimizer: Method
    seed: int

    @property
    def replicas(self) -> int:
        """Number of runs."""
        return self.loss.shape[0]

    @property
    def mean(self) -> Float[Array, " t"]:
        """Mean loss over the runs: what the theory predicts."""
        return self.loss.mean(axis=0)

    @property
    def sem(self) -> Float[Array, " t"]:
        """Standard error of the mean; inf for one run, or where a run has overflowed."""
        if self.replicas == 1:
            return np.full(self.steps.size, np.inf)
        with np.errstate(invalid="ignore", over="ignore"):
            error = self.loss.std(axis=0, ddof=1) / np.sqrt(self.replicas)
        return np.where(np.isnan(error), np.inf, error)

    @property
    def median(self) -> Float[Array, " t"]:
        """Median loss over the runs; near the stability edge far below the mean."""
        return np.median(self.loss, axis=0)

    @property
    def diverged(self) -> float:
        """Share of runs that end above the loss they started with."""
        return float(np.mean(self.loss[:, -1] > self.loss[:, 0]))

    def __repr__(self) -> str:
        return (
            f"Runs({self.replicas} runs to step {self.steps[-1]}: mean loss {self.mean[-1]:.6g} +- {self.sem[-1]:.2g}, "
            f"median {self.median[-1]:.6g}, {self.diverged:.0%} ended above their start)"
        )


def simulate(
    data: LinearData,
    optimizer: Method,
    steps: int = 1000,
    replicas: int = 64,
    device: str = "auto",
    seed: int = 0,
    record: Any = None,
    progress: Progress | None = None,
) -> Runs:
    r"""Independent runs of the method on the data, with real mini-batches.

    .. math:: \nabla L_B = \frac1b\sum_{i\in B}\varphi(i)\,[\langle\varphi(i), w-w^*\rangle - \epsilon_i],\qquad
              L = \tfrac12\sum_k\lambda_k|w-w^*|_k^2 + \tfrac12\sigma^2

    **Assumptions.** Nothing of the theory: every step draws a fresh uniform batch (without replacement inside the
    batch unless `optimizer.replacement`), takes its gradient and updates w from w_0 = 0. The work is done in the
    eigenbasis, where the loss of the whole data costs O(rank). Near the stability edge the mean loss is carried by
    rare runs with huge losses: the mean of a few hundred runs may lie orders of magnitude below the true mean, and the
    median says nothing about stability.

    Parameters
    ----------
    data : LinearData
        The data; its eigenfeatures, shape (N, rank), must fit in memory.
    optimizer : Method
        e.g. `SGD(learning_rate=0.5, momentum=0.0, batch_size=10)`; batch_size None or N is deterministic.
    steps : int
        Number of steps.
    replicas : int
        Number of independent runs.
    device : str
        "auto" or "cpu"; both run NumPy on the CPU.
    seed : int
        Run r takes its batches from the r-th child of `numpy.random.SeedSequence(seed)`.
    record : array of ints, optional
        Steps whose loss is kept, from 0 to `steps`; None keeps all.
    progress : callable, optional
        Called with (fraction done, stage).

    Returns
    -------
    Runs
        `.loss`, `.mean`, `.sem`, `.median`.

    Raises
    ------
    ValueError
        If a number is out of range, the batch exceeds the data, or the device is not the CPU.
    TypeError
        If data is not a LinearData, or an argument is of the wrong kind.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import simulate
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> simulate(data, gf.SGD(0.5), steps=2, replicas=3).mean  # full batch: sum of s_k (1 - lambda_k/2)^(2t) / 2
    array([1.5       , 0.7890625 , 0.48254395])
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"data must be a LinearData, got {type(data).__name__}; see LinearData.from_features")
    if not isinstance(device, str):
        raise TypeError(f"device must be 'auto' or 'cpu', got {device!r}")
    if device not in ("auto", "cpu"):
        raise ValueError(f"device must be 'auto' or 'cpu', got {device!r}; the torch backend for GPUs is not there yet")
    last = _check.integer("steps", steps, 0)
    count = _check.integer("replicas", replicas, 1)
    seed = _check.integer("seed", seed, 0)
    kept = np.arange(last + 1) if record is None else np.unique(_check.steps(record))
    if kept[-1] > last:
        raise ValueError(f"record must lie in 0..steps={last}, got {kept[-1]}; raise steps")
    gamma = sampling_factor(optimizer.batch_size, data.n_samples, optimizer.replacement)
    if gamma == 0.0:
        loss = _run_chunk(data, optimizer, kept, None, lambda done: _tell(progress, done))
        return Runs(kept, np.repeat(loss, count, axis=0), optimizer, seed)
    children = np.random.SeedSequence(seed).spawn(count)
    width = _chunk_width(data, optimizer)
    pieces = []
    for start in range(0, count, width):
        part = children[start : start + width]

        def tell(done: float, start: int = start, size: int = len(part)) -> None:
            _tell(progress, (start + size * done) / count)

        pieces.append(_run_chunk(data, optimizer, kept, part, tell))
    return Runs(kept, np.concatenate(pieces), optimizer, seed)


def _tell(progress: Progress | None, done: float) -> None:
    if progress is not None:
        progress(done, "SGD runs")


def _is_dense(data: LinearData, b: int) -> bool:
    return b >= DENSE_SHARE * data.n_samples


def _chunk_width(data: LinearData, optimizer: Method) -> int:
    """Runs advanced together within GATHER_BYTES."""
    b = optimizer.batch_size
    assert b is not None
    per_run = data.n_samples * data.n_outputs if _is_dense(data, b) else b * (data.rank + data.n_outputs)
    return max(1, GATHER_BYTES // (8 * per_run))


def _run_chunk(
    data: LinearData,
    optimizer: Method,
    kept: Int[Array, " t"],
    children: list[np.random.SeedSequence] | None,
    tell: Callable[[float], None],
) -> Float[Array, "runs t"]:
    """Losses of a few runs in step with each other; children None means the full batch."""
    runs = 1 if children is None else len(children)
    # The gradient enters through the kick alone, so T is taken at a = 0.
    rows, kick = optimizer.update(0.0, *optimizer.hyperparameters)
    transition, kick = np.array(rows, dtype=np.float64), np.array(kick, dtype=np.float64)
    state = np.zeros((runs, kick.size, data.rank * data.n_outputs))
    state[:, 0] = -data.coefficients.ravel()
    lam = np.repeat(data.eigenvalues, data.n_outputs)
    last, mark = int(kept[-1]), max(1, int(kept[-1]) // 100)
    losses = np.empty((runs, kept.size))
    gradients = _full_gradient(lam) if children is None else _batch_gradient(data, optimizer, children)
    place = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(last + 1):
            if t == kept[place]:
                loss = 0.5 * ((state[:, 0] ** 2) @ lam + data.noise_variance)
                losses[:, place] = np.where(np.isnan(loss), np.inf, loss)
                place += 1
            if t == last:
                break
            gradient = gradients(state[:, 0])
            state = transition @ state - optimizer.learning_rate * kick[:, None] * gradient[:, None, :]
            if t % mark == 0:
                tell(t / last)
    tell(1.0)
    return losses


Gradient = Callable[[Float[Array, "runs modes"]], Float[Array, "runs modes"]]


def _full_gradient(lam: Float[Array, " modes"]) -> Gradient:
    return lambda error: lam * error


def _batch_gradient(data: LinearData, optimizer: Method, children: list[np.random.SeedSequence]) -> Gradient:
    """Gradient of the next batch of each run, at w - w* flattened over (mode, output)."""
    b, n, runs = optimizer.batch_size, data.n_samples, len(children)
    assert b is not None
    phi = np.ascontiguousarray(data.eigenfeatures)
    residuals = data.residuals if data.noise_variance > 0.0 else None
    sources = [batches(np.random.default_rng(child), n, b, optimizer.replacement) for child in children]

    def gathered(error: Array) -> Array:
        index = np.stack([next(source) for source in sources])
        features = phi[index]
        misfit = features @ error.reshape(runs, data.rank, data.n_outputs)
        if residuals is not None:
            misfit -= residuals[index]
        return (np.swapaxes(features, 1, 2) @ misfit).reshape(runs, -1) / b

    def dense(error: Array) -> Array:
        times = np.stack([np.bincount(next(source), minlength=n) for source in sources])
        # One product for all runs and outputs: (runs, modes, outputs) as columns of a matrix and back.
        columns = error.reshape(runs, data.rank, data.n_outputs).transpose(1, 0, 2).reshape(data.rank, -1)
        misfit = (phi @ columns).reshape(n, runs, data.n_outputs)
        if residuals is not None:
            misfit -= residuals[:, None]
        columns = phi.T @ (times.T[:, :, None] * misfit).reshape(n, -1)
        return columns.reshape(data.rank, runs, data.n_outputs).transpose(1, 0, 2).reshape(runs, -1) / b

    return dense if _is_dense(data, b) else gathered


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
    block = max(1, min(512, BLOCK_DRAWS // b))
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
        yield from chosen
