"""The usual way to the mean loss: the second moments of every mode, step by step (arXiv 2206.11124, eq. (8))."""

from __future__ import annotations

import numpy as np


class DenseRecursion:
    """Moments (c, j, p) of all N modes in plain NumPy: O(N) memory and O(N) work a step, tau1 = tau2 = 1."""

    def __init__(self, eigenvalues: np.ndarray, signal: np.ndarray, alpha: float, beta: float, gamma: float) -> None:
        self.lam, self.alpha, self.beta, self.gamma = eigenvalues, alpha, beta, gamma
        self.c = signal / eigenvalues
        self.j, self.p = np.zeros_like(self.c), np.zeros_like(self.c)

    def loss(self) -> float:
        return 0.5 * float(self.lam @ self.c)

    def advance(self) -> None:
        lam, beta, c, j, p = self.lam, self.beta, self.c, self.j, self.p
        a = self.alpha * lam
        noise = self.gamma * self.alpha**2 * (lam * (lam @ c) - lam**2 * c)
        forced = beta**2 * p + noise
        self.c, self.j, self.p = (
            (1 - a) ** 2 * c + 2 * beta * (1 - a) * j + forced,
            -a * (1 - a) * c + beta * (1 - 2 * a) * j + forced,
            a**2 * c - 2 * a * beta * j + forced,
        )

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.advance()
