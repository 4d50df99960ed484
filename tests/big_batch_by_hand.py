"""Big Batch SGD on least squares, written out in NumPy."""

from __future__ import annotations

import numpy as np
import torch


def written_out(x, y, seed, steps, lr, theta, search, debiased, b):
    """The algorithm as in the paper, on least squares: (batch size, rate, loss) of every step and the weights."""
    generator, n = torch.Generator().manual_seed(seed), len(y)
    w, rows = np.zeros(x.shape[1]), []
    for _ in range(steps):
        order, first = torch.randperm(n, generator=generator).numpy(), b
        while True:
            xb, yb = x[order[:b]], y[order[:b]]
            each = 2 * xb * (xb @ w - yb)[:, None]
            g = each.mean(axis=0)
            variance = each.var(axis=0, ddof=1).sum() if b > 1 else np.inf
            left = g @ g - (variance / b if debiased else 0)
            if b == n or left >= variance / (theta**2 * b):
                break
            b = min(n, b + max(1, b // 10))

        def loss(v, xb=xb, yb=yb):
            return ((xb @ v - yb) ** 2).mean()

        if search == "armijo" and b > first:
            lr = 2 * lr
        while search != "none" and loss(w - lr * g) > loss(w) - 0.1 * lr * (g @ g):
            lr = lr / 2
        rows.append((b, lr, loss(w)))
        new = w - lr * g
        if search == "bb":
            change = 2 * xb.T @ (xb @ new - yb) / b - g
            nu = (new - w) @ change / ((new - w) @ (new - w))
            target = 1 / nu if b == n else (1 - variance / (b * (g @ g))) / nu
            lr = (1 - b / n) * lr + b / n * target
        w = new
    return np.array(rows), w
