"""Six small tasks, and the plain training loop of what genfun does not simulate: Adam, cosine decay, a rate finder.

All tasks are least squares, L = sum of squared residuals / (2 N), from w = 0, columns scaled as users would scale them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import genfun as gf
from validation.noise_edges import DOCS, standardised


@dataclass(frozen=True)
class Task:
    """Features (N x d) and one target, as an optimizer would see them."""

    name: str
    X: np.ndarray
    y: np.ndarray

    @property
    def data(self) -> gf.LinearData:
        return gf.LinearData.from_features(self.X, self.y)


def tasks(fast: bool = False) -> Iterator[Task]:
    """The six; of the fast part one."""
    rng = np.random.default_rng(0)
    images, labels = gf.data.mnist_arrays()
    order = rng.permutation(len(images))
    pixels = images[order].reshape(len(order), -1) / 255.0
    digit = labels[order]
    table = np.loadtxt(DOCS / "data" / "breast_cancer.csv", delimiter=",", skiprows=1)
    yield Task("breast cancer", standardised(table[:, :-1]), table[:, -1])
    if fast:
        return
    n, d = 500, 30
    skewed = np.exp(rng.standard_normal((n, d)))
    target = rng.standard_normal(d)
    yield Task("heavy tails", skewed, skewed @ target / np.sqrt(d) + rng.standard_normal(n))
    # A frozen backbone: random patches of 5 x 5 as filters, rectified, their mean and largest value over the picture.
    n = 500
    windows = np.lib.stride_tricks.sliding_window_view(pixels[:n].reshape(n, 28, 28), (5, 5), axis=(1, 2))
    filters = rng.standard_normal((5, 5, 32))
    response = np.maximum(np.einsum("nijab,abf->nijf", windows[:, ::3, ::3], filters), 0.0)
    probe = np.concatenate([response.mean(axis=(1, 2)), response.max(axis=(1, 2))], axis=1)
    yield Task("linear probe", standardised(probe), np.where(digit[:n] == 0, 1.0, -1.0))
    # A table: three numbers, a category of uneven frequency as columns of 0 and 1, an intercept.
    numbers = rng.standard_normal((n, 3)) * [1.0, 20.0, 400.0] + [0.0, 50.0, 1000.0]
    category = np.minimum(rng.zipf(1.8, n), 12) - 1
    columns = np.eye(12)[category]
    price = numbers @ [1.0, 0.03, 0.004] + columns @ rng.standard_normal(12) + 0.5 * rng.standard_normal(n)
    centred = (price - price.mean()) / price.std()
    yield Task("table", np.column_stack([standardised(numbers), columns[:, columns.any(axis=0)]]), centred)
    # A kernel has no features of its own: those of its eigenvectors stand for them.
    n = 300
    place = rng.standard_normal((n, 4))
    squared = ((place[:, None] - place[None]) ** 2).sum(axis=-1)
    lam, vectors = np.linalg.eigh(np.exp(-squared / 6.0))
    kept = lam > 1e-10 * lam[-1]
    smooth = np.sin(place.sum(axis=1)) + 0.1 * rng.standard_normal(n)
    yield Task("kernel", vectors[:, kept] * np.sqrt(lam[kept]), smooth)
    # The last layer of a network trained to tell odd from even, trained anew for a question it was not asked.
    n = 500
    hidden = _hidden_layer(pixels[n : 4 * n], np.where(digit[n : 4 * n] % 2 == 0, 1.0, -1.0), rng)
    yield Task("last layer", hidden(pixels[:n]), np.where(digit[:n] >= 5, 1.0, -1.0))


def _hidden_layer(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """The 64 rectified units of a network of two layers, after 300 steps of gradient descent on squared loss."""
    first = rng.standard_normal((x.shape[1], 64)) * np.sqrt(2.0 / x.shape[1])
    last = rng.standard_normal(64) / 8.0
    for _ in range(300):
        pre = x @ first
        unit = np.maximum(pre, 0.0)
        r = (unit @ last - y) / len(y)
        grad = x.T @ (np.outer(r, last) * (pre > 0.0))
        first, last = first - 0.05 * grad, last - 0.05 * unit.T @ r
    return lambda new: np.column_stack([np.ones(len(new)), np.maximum(new @ first, 0.0)])


@dataclass
class Momentum:
    """Heavy ball with a rate that depends on the step."""

    rate: Callable[[int], float]
    momentum: float = 0.9
    velocity: np.ndarray | float = 0.0

    def step(self, t: int, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.velocity = self.momentum * self.velocity + gradient
        return w - self.rate(t) * self.velocity


@dataclass
class Adam:
    """Adam with the constants that every library has by default."""

    rate: float = 1e-3
    mean: np.ndarray | float = 0.0
    square: np.ndarray | float = 0.0

    def step(self, t: int, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1.0 - 0.9 ** (t + 1)), self.square / (1.0 - 0.999 ** (t + 1))
        return w - self.rate * mean / (np.sqrt(square) + 1e-8)


def batches(n: int, b: int, runs: int, steps: int, order: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows of each run's batch, a step at a time: drawn afresh, or by epochs that leave out what is over."""
    mixed, at = np.empty((runs, 0), dtype=int), 0
    for _ in range(steps):
        if order == "fresh" or at + b > mixed.shape[1]:
            mixed, at = rng.random((runs, n)).argsort(axis=1), 0
        yield mixed[:, at : at + b]
        at += b


def train(
    task: Task, rule: Momentum | Adam, steps: int, b: int, runs: int, order: str, seed: int, every: bool = False
) -> np.ndarray:
    """Loss on all rows at the end of each run, or after every step (runs x steps)."""
    w, losses = np.zeros((runs, task.X.shape[1])), []
    with np.errstate(over="ignore", invalid="ignore"):
        for t, rows in enumerate(batches(len(task.y), b, runs, steps, order, np.random.default_rng(seed))):
            x = task.X[rows]
            residual = np.einsum("rbd,rd->rb", x, w) - task.y[rows]
            w = rule.step(t, w, np.einsum("rbd,rb->rd", x, residual) / b)
            if every or t == steps - 1:
                losses.append(0.5 * np.mean((w @ task.X.T - task.y) ** 2, axis=1))
    return np.nan_to_num(np.array(losses).T, nan=np.inf) if every else np.nan_to_num(losses[0], nan=np.inf)
