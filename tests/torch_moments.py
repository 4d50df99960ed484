"""Second moments of torch's SGD and of averages of its weights, written as torch's loop is."""

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
    # Of every mode the gradient of data and penalty, and the noise of one: rows over the states and one more.
    old = np.eye(5)[:4]
    gradient = (lam + weight_decay)[:, None] * old[0] + weight_decay * old[2] + np.eye(5)[4]
    for t in range(steps):
        drive = tau[0] * X[:, 0, 0].sum() + sigma2
        if average == "tail" and t == start:
            X[:, 3, :] = X[:, :, 3] = 0.0
        buffer = gradient if beta == 0.0 else beta * old[1] + (1.0 if t == 0 else 1.0 - dampening) * gradient
        w = old[0] - rate * (gradient + beta * buffer if nesterov else buffer)
        mean = decay * old[3] + (1.0 - decay) * w if average == "ema" else old[3] + w
        rows = np.stack([w, buffer, old[2] + 0.0 * w, mean], axis=1)
        variance = gamma * lam**2 * (drive - tau[1] * X[:, 0, 0])
        kicks = rows[:, :, 4]
        X = rows[:, :, :4] @ X @ rows[:, :, :4].swapaxes(1, 2)
        X += variance[:, None, None] * kicks[:, :, None] * kicks[:, None, :]
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


def data_losses(
    data: Any,
    steps: int,
    rate: Any,
    beta: Any,
    batch_size: int,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    average: str = "",
    decay: float = 0.9,
    start: int = 0,
    keras: bool = False,
) -> Any:
    """E L on data, no approximation: full second moments of (w - w*, buffer, w*, average), a torch loop a step.

    `rate` and `beta` are numbers, or arrays with an entry a step.
    """
    phi, lam, eps = data.eigenfeatures, data.eigenvalues, data.residuals
    n, r = phi.shape
    gamma = (n - batch_size) / ((n - 1) * batch_size)
    rates, betas = (np.broadcast_to(x, (steps,)) for x in (rate, beta))
    error = -data.coefficients
    M = [error, 0.0 * error, -error, error if average == "ema" else 0.0 * error]
    X = [[x @ y.T for y in M] for x in M]
    one, none, H, label = np.eye(r), np.zeros((r, r)), np.diag(lam), (eps**2).sum(axis=1)
    losses = []
    for t in range(steps + 1):
        count = t - start
        uniform = bool(average) and average != "ema"
        C = X[3][3] / (max(count, 1) ** 2 if uniform else 1) if average and (not uniform or count > 0) else X[0][0]
        losses.append(0.5 * float(lam @ np.diag(C)) + 0.5 * data.noise_variance)
        if t == steps:
            return np.array(losses)
        if uniform and count == 0:
            M[3] = 0.0 * M[3]
            for i in range(4):
                X[i][3], X[3][i] = none, none
        power = np.einsum("ij,jk,ik->i", phi, X[0][0], phi) - 2.0 * (eps * (phi @ M[0])).sum(axis=1) + label
        noise = gamma * ((phi.T * (power / n)) @ phi - np.outer(lam, lam) * X[0][0])
        alpha, b = rates[t], betas[t]
        gradient = [H + weight_decay * one, none, weight_decay * one, none, one]  # the last is the noise's
        kept = 1.0 if t == 0 else 1.0 - dampening
        if keras:
            buffer = [b * x - alpha * g for x, g in zip([none, one, none, none, none], gradient, strict=True)]
            w = [x + y for x, y in zip([one, none, none, none, none], buffer, strict=True)]
        else:
            buffer: list[Any] = gradient if b == 0.0 else [kept * g for g in gradient]
            if b != 0.0:
                buffer[1] = buffer[1] + b * one
            step = [g + b * x for g, x in zip(gradient, buffer, strict=True)] if nesterov else buffer
            w = [x - alpha * y for x, y in zip([one, none, none, none, none], step, strict=True)]
        old, new = (decay, 1.0 - decay) if average == "ema" else (1.0, 1.0)
        mean: list[Any] = [new * x for x in w]
        mean[3] = mean[3] + old * one
        rows = [w, buffer, [none, none, one, none, none], mean]
        half = [[sum(row[k] @ X[k][j] for k in range(4)) for j in range(4)] for row in rows]
        X = [
            [sum(half[i][k] @ rows[j][k].T for k in range(4)) + rows[i][4] @ noise @ rows[j][4].T for j in range(4)]
            for i in range(4)
        ]
        M = [sum(row[k] @ M[k] for k in range(4)) for row in rows]
