"""Second moments of torch's SGD and of averages of its weights, written as torch's loop is, mode by mode."""

from __future__ import annotations

from typing import Any

import numpy as np


def mean_losses(
    eigenvalues: Any,
    signal: Any,
    steps: int,
    rate: float,
    beta: float,
    gamma: float,
    tau: tuple[float, float] = (1.0, 1.0),
    sigma2: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    average: str = "",
    decay: float = 0.9,
    start: int = 0,
) -> Any:
    """E L of the weights, or of their average, from w_0 = 0; states (w - w*, buffer, w*, average), in torch's units."""
    lam, s = np.asarray(eigenvalues), np.asarray(signal)
    X = s[:, None, None] * np.multiply.outer(np.ones(lam.size), _outer([1.0, 0.0, -1.0, float(average == "ema")]))
    losses = [0.5 * (s.sum() + sigma2)]
    unit = np.eye(4)
    for t in range(steps):
        new, drive = np.zeros_like(X), tau[0] * X[:, 0, 0].sum() + sigma2
        if average == "tail" and t == start:
            X[:, 3, :] = X[:, :, 3] = 0.0
        for k, curvature in enumerate(lam):
            # The gradient of the data and of the penalty, and the noise of one, as rows over the states and one more.
            gradient = np.append((curvature + weight_decay) * unit[0] + weight_decay * unit[2], 1.0)
            old = {i: np.append(unit[i], 0.0) for i in range(4)}
            if beta == 0.0:
                buffer = gradient
            else:
                buffer = beta * old[1] + (1.0 if t == 0 else 1.0 - dampening) * gradient
            w = old[0] - rate * (gradient + beta * buffer if nesterov else buffer)
            mean = decay * old[3] + (1.0 - decay) * w if average == "ema" else old[3] + w
            rows = np.stack([w, buffer, old[2], mean])
            variance = gamma * curvature**2 * (drive - tau[1] * X[k, 0, 0])
            new[k] = rows[:, :4] @ X[k] @ rows[:, :4].T + variance * _outer(rows[:, 4])
        X = new
        count = t + 1 - start
        if average == "ema":
            found = X[:, 3, 3].sum()
        elif average and count > 0:
            found = X[:, 3, 3].sum() / count**2
        else:
            found = X[:, 0, 0].sum()
        losses.append(0.5 * (found + sigma2))
    return np.array(losses)


def _outer(x: Any) -> Any:
    return np.multiply.outer(np.asarray(x), np.asarray(x))
