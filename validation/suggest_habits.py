"""What `suggest` chooses before training, against ten habits, each trained for real on digits.

A linear probe under cross-entropy, the last layer of a network under squared loss, and a whole small network under
squared loss. The loss of the setting suggested is divided by that of the best habit, which nobody knows beforehand, and
by the median of the habits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import genfun as gf
from genfun.data.digits import mnist_arrays
from validation.claim import Claim

HABITS = tuple((rate, beta) for beta in (0.0, 0.9) for rate in (0.001, 0.01, 0.1, 0.3, 1.0))
"""Learning rates and momenta that people try first."""
BATCH, WIDTH = 10, 128


def models(n: int) -> Iterator[tuple[str, Any, Any, Any, Any]]:
    """Name, model, loss function, inputs and targets."""
    import torch

    nn = torch.nn
    images, labels = mnist_arrays()
    pick = np.random.default_rng(0).permutation(len(images))[:n]
    x = torch.as_tensor(images[pick].reshape(n, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(n, 49) / 255.0)
    y = torch.as_tensor(labels[pick].astype(np.int64))
    hot = nn.functional.one_hot(y, 10).double()
    torch.manual_seed(0)
    yield "linear probe, cross-entropy", nn.Linear(49, 10).double(), nn.CrossEntropyLoss(), x, y
    frozen = nn.Sequential(nn.Linear(49, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)).double()
    frozen[0].requires_grad_(False)
    yield "last layer, squared loss", frozen, nn.MSELoss(), x, hot
    whole = nn.Sequential(nn.Linear(49, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)).double()
    yield "network of one hidden layer, squared loss", whole, nn.MSELoss(), x, hot


def trained(model: Any, optimizer: Any, loss_fn: Any, x: Any, y: Any, steps: int, seed: int) -> float:
    """The loss over all samples after so many steps on fresh batches; the model is put back."""
    import torch

    start = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        pick = torch.randperm(len(x), generator=generator)[:BATCH]
        optimizer.zero_grad()
        loss_fn(model(x[pick]), y[pick]).backward()
        optimizer.step()
    with torch.no_grad():
        loss = float(loss_fn(model(x), y))
    model.load_state_dict(start)
    return loss if np.isfinite(loss) else np.inf


def claims(fast: bool = False) -> list[Claim]:
    import torch

    steps, runs, result = (50, 2, []) if fast else (200, 6, [])
    for name, model, loss_fn, x, y in models(100 if fast else 400):
        if fast and isinstance(loss_fn, torch.nn.CrossEntropyLoss):
            continue  # its search is the slow one
        s = gf.suggest(model, loss_fn, (x, y), steps=steps, batch_size=BATCH)
        ours = np.array([trained(model, s.optimizer(), loss_fn, x, y, steps, seed) for seed in range(runs)])
        weights = [p for p in model.parameters() if p.requires_grad]
        theirs = np.array([
            [trained(model, torch.optim.SGD(weights, lr=rate, momentum=beta), loss_fn, x, y, steps, seed)
             for seed in range(runs)]
            for rate, beta in HABITS
        ])  # fmt: skip
        with np.errstate(invalid="ignore"):
            means = theirs.mean(axis=1)
        best = int(np.argmin(means))
        # Runs of equal seeds have equal batches.
        ratio, error = ours.mean() / means[best], (ours - theirs[best]).std(ddof=1) / runs**0.5
        note = (
            f"suggested learning rate {s.method.learning_rate:.3g}, momentum {s.method.momentum:.3g}: loss "
            f"{ours.mean():.4g}, predicted {s.loss:.4g}; best habit {HABITS[best]}: {means[best]:.4g}; median of the "
            f"habits {np.median(means):.4g}; ratio to the best {ratio:.3f}"
        )
        what = f"{name}: loss of the setting suggested over that of the best of ten habits, step {steps}, 1 if lower"
        tolerance = 0.05 + 2.5 * error / means[best]
        result.append(
            Claim(what, max(1.0, float(ratio)), 1.0, float(tolerance), "approximate", f"{runs} runs of each", note)
        )
        what = f"{name}: the same over the median of the habits, at most .9; shown as the excess over that"
        excess = max(0.0, float(ours.mean() / np.median(means)) - 0.9)
        result.append(Claim(what, excess, 0.0, 1e-9, "approximate", f"{runs} runs of each", note))
    return result
