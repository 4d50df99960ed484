"""Steps to a loss against batch size on MNIST digits: six torch optimizers, measured, fitted, and predicted.

A linear model on pixels, whose SGD, momentum and Nesterov runs genfun predicts exactly, and a two-layer network, which
it does not. Fixed learning rates at every batch size, as in the papers of the claim.
`python -m validation.steps_vs_batch` makes the runs again (minutes on a core; --store FOLDER to go on after a stop)
and writes docs/img/steps_vs_batch.{csv,png}.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
DIGITS, RUNS = 2000, 5
BATCHES = (2, 4, 8, 16, 32, 64, 128, 256, 512)
TARGETS = {"linear": 0.22, "network": 0.2}
RATES = {
    "linear": {"sgd": 0.2, "momentum": 0.02, "nesterov": 0.02, "adam": 3e-3, "adamw": 3e-3, "rmsprop": 2e-3},
    "network": {"sgd": 0.05, "momentum": 0.005, "nesterov": 0.005, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 3e-4},
}
MOST_STEPS, MOST_SAMPLES = 20_000, 600_000


@lru_cache(maxsize=2)
def task(kind: str) -> tuple[Any, Any, tuple[Any, Any]]:
    """Model, loss and samples."""
    import torch

    from genfun.data.digits import mnist_arrays

    images, labels = mnist_arrays(DIGITS)
    chosen = np.random.default_rng(0).choice(len(labels), DIGITS, replace=False)
    x = images[chosen].reshape(DIGITS, -1).astype(np.float64)
    x = (x - x.mean()) / x.std()
    torch.manual_seed(0)
    if kind == "network":
        y = torch.tensor(labels[chosen].astype(np.int64))
        model = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        return model, torch.nn.CrossEntropyLoss(), (torch.tensor(x, dtype=torch.float32), y)
    y = labels[chosen].astype(np.float64)
    y = (y - y.mean()) / y.std()
    x = np.hstack([x, np.ones((DIGITS, 1))])
    x /= np.sqrt(np.linalg.eigvalsh(x.T @ x / DIGITS)[-1])
    line = torch.nn.Linear(785, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(line.weight)
    return line, half_square, (torch.tensor(x), torch.tensor(y)[:, None])


def half_square(outputs: Any, targets: Any) -> Any:
    """The loss of `LinearData`: the mean of half the squares."""
    return 0.5 * (outputs - targets).square().mean()


def measured(
    kind: str, optimizer: str, store: str | None = None, batches: Any = BATCHES, runs: int = RUNS, **extra: Any
) -> Any:
    """The runs of one optimizer."""
    model, loss_fn, data = task(kind)
    return gf.experiments.measure_steps(
        model, loss_fn, data, optimizer, batches, TARGETS[kind], extra.pop("rate", RATES[kind][optimizer]), runs,
        MOST_STEPS, MOST_SAMPLES, sampling="fresh", store=store, **extra,
    )  # fmt: skip


@lru_cache(maxsize=1)
def linear_data() -> gf.LinearData:
    """What the linear model is trained on."""
    _, _, (x, y) = task("linear")
    return gf.LinearData.from_features(x.numpy(), y.numpy()[:, 0])


METHODS = {"sgd": (0.0, False), "momentum": (0.9, False), "nesterov": (0.9, True)}
"""Momentum and nesterov of the optimizers that genfun predicts."""


def predicted(optimizer: str, batches: Any = BATCHES) -> np.ndarray | None:
    """Steps of the linear model to the target by genfun; None for an optimizer that it does not know."""
    if optimizer not in METHODS:
        return None
    beta, nesterov = METHODS[optimizer]
    rate = RATES["linear"][optimizer]
    methods = [gf.SGD(rate, beta, b, nesterov=nesterov) for b in batches]
    return np.array([float(gf.steps_to_loss(linear_data(), m, TARGETS["linear"])) for m in methods])
