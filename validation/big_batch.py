"""Big Batch SGD on 1,000 MNIST digits: predicted and real batch sizes, and training without a hand-set rate.

The real runs are made by `genfun.optim.BigBatchSGD` on a linear torch model of the eigenfeatures, which move as the
weights of the original features do. The learning rates were fixed before any run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import genfun as gf
from genfun.answers.batch.big_batch import big_batch
from genfun.data.digits import mnist_arrays
from genfun.optim import SGD, BigBatchSGD
from validation.claim import Claim

SETTINGS = (("pixels", 0.5, 0.3), ("pixels", 0.7, 0.3), ("ntk", 0.5, 0.3), ("ntk", 0.7, 1.0))
RUNS, FIRST_BATCH = 20, 10
MODELS, SEARCHES = ("linear", "logistic", "convolutional"), ("none", "armijo", "bb")
EPOCHS, SGD_BATCH = 40, 32
RATES = tuple(float(r) for r in np.geomspace(1e-4, 1.0, 9))


def half_square(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().mean() / 2


def real_batches(data: gf.LinearData, theta: float, rate: float, steps: int, seed: int) -> np.ndarray:
    """Batch size of every step; once the batch is full it stays so."""
    model = torch.nn.Linear(data.rank, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(model.weight)
    optimizer = BigBatchSGD(
        model,
        half_square,
        (torch.tensor(data.eigenfeatures), torch.tensor(data.targets)),
        lr=rate,
        theta=theta,
        batch_size=FIRST_BATCH,
        line_search="none",
        tolerance=0.0,
        generator=torch.Generator().manual_seed(seed),
    )
    sizes = np.full(steps, data.n_samples)
    for t in range(steps):
        optimizer.step()
        sizes[t] = optimizer.batch_size
        if optimizer.batch_size == data.n_samples:
            break
    return sizes


def trajectories(kind: str, theta: float, rate: float, runs: int) -> tuple[Any, np.ndarray]:
    """The prediction and the batch sizes (runs, steps), up to 1.2 times the step where half the runs are to be full."""
    data = gf.data.mnist(1000, seed=0, model=kind)
    setting = gf.SGD(rate, batch_size=FIRST_BATCH)
    until = big_batch(data.problem, setting, 10_000, theta).full_batch_step
    assert until is not None
    steps = int(1.2 * until) + 1
    found = big_batch(data.problem, setting, np.arange(steps), theta)
    return found, np.array([real_batches(data, theta, rate, steps, seed) for seed in range(runs)])


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,000 standardised images and their labels."""
    images, labels = mnist_arrays(1000)
    chosen = np.random.default_rng(0).choice(len(labels), 1000, replace=False)
    x = torch.tensor(images[chosen], dtype=torch.float32)
    return ((x - x.mean()) / x.std())[:, None], torch.tensor(labels[chosen], dtype=torch.int64)


def task(name: str) -> tuple[torch.nn.Module, Any, tuple[torch.Tensor, torch.Tensor]]:
    """Model, criterion and samples."""
    x, labels = digits()
    torch.manual_seed(0)
    layers: tuple[torch.nn.Module, ...]
    if name == "linear":
        y = labels.to(torch.float32)[:, None]
        layers = (torch.nn.Flatten(), torch.nn.Linear(784, 1))
        return torch.nn.Sequential(*layers), half_square, (x, (y - y.mean()) / y.std())
    if name == "logistic":
        layers = (torch.nn.Flatten(), torch.nn.Linear(784, 10))
    else:
        layers = (torch.nn.Conv2d(1, 8, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3, stride=2))
        layers = (*layers, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(400, 10))
    return torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss(), (x, labels)


def big_batch_curve(name: str, search: str, epochs: int) -> tuple[list[float], list[float]]:
    """Epochs of samples drawn into batches, and the loss on all digits."""
    model, criterion, (x, y) = task(name)
    generator = torch.Generator().manual_seed(0)
    optimizer = BigBatchSGD(model, criterion, (x, y), line_search=search, theta=0.5, generator=generator)
    spent, losses = [0.0], [full_loss(model, criterion, x, y)]
    while optimizer.evaluations < epochs * len(x) and not optimizer.finished:
        optimizer.step()
        if optimizer.evaluations >= (spent[-1] + 0.25) * len(x):
            spent.append(optimizer.evaluations / len(x))
            losses.append(full_loss(model, criterion, x, y))
    return spent, losses


def sgd_curve(name: str, rate: float, epochs: int) -> tuple[list[float], list[float]]:
    """The same for SGD with batches of 32, each epoch in a new order."""
    model, criterion, (x, y) = task(name)
    generator = torch.Generator().manual_seed(0)
    optimizer = SGD(model.parameters(), lr=rate)
    losses = [full_loss(model, criterion, x, y)]
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(SGD_BATCH):
            optimizer.zero_grad()
            criterion(model(x[index]), y[index]).backward()
            optimizer.step()
        losses.append(full_loss(model, criterion, x, y))
    return [float(e) for e in range(epochs + 1)], losses


def tuned_sgd(name: str, epochs: int) -> tuple[float, tuple[list[float], list[float]]]:
    """The rate of the grid with the least last loss, and its curve."""
    curves = {rate: sgd_curve(name, rate, epochs) for rate in RATES}
    best = min(curves, key=lambda rate: np.nan_to_num(curves[rate][1][-1], nan=np.inf))
    return best, curves[best]


@torch.no_grad()
def full_loss(model: torch.nn.Module, criterion: Any, x: torch.Tensor, y: torch.Tensor) -> float:
    return float(criterion(model(x), y))


def claims(fast: bool = False) -> list[Claim]:
    result, runs = [], 5 if fast else RUNS
    for kind, theta, rate in SETTINGS[:1] if fast else SETTINGS:
        found, sizes = trajectories(kind, theta, rate, runs)
        mean = sizes.mean(axis=0)[: found.full_batch_step]
        deviation = np.abs(mean / found.batch_size[: mean.size] - 1.0)
        name, source = f"Big Batch, {kind}, theta={theta:g}, alpha={rate:g}", f"{runs} runs of genfun.optim.BigBatchSGD"
        note = f"mean over steps 0 to {mean.size - 1}, b={mean[0]:.0f} to {mean[-1]:.0f}; largest {deviation.max():.1%}"
        result.append(
            Claim(f"{name}: |b/predicted - 1|", float(deviation.mean()), 0.0, 0.2, "approximate", source, note)
        )
        full = float(np.median([np.argmax(row >= 1000) for row in sizes]))
        predicted = float(found.full_batch_step)
        note = "median over the runs"
        result.append(
            Claim(f"{name}: first full batch", full, predicted, 0.1 * predicted + 1, "approximate", source, note)
        )
    return result
