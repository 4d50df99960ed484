"""The usual way to run SGD on a linear model many times: features of each batch, twice a step."""

from __future__ import annotations

import numpy as np

import genfun as gf


def plain_sgd(data: gf.LinearData, setting: gf.SGD, steps: int, replicas: int, seed: int = 0) -> np.ndarray:
    """Losses (replicas, steps + 1) of heavy ball in plain NumPy, all runs in one array, batches with replacement."""
    phi, residuals, lam = data.eigenfeatures, data.residuals[:, 0], data.eigenvalues
    rng, b = np.random.default_rng(seed), setting.batch_size
    w = np.tile(-data.coefficients[:, 0], (replicas, 1))
    v, losses = np.zeros_like(w), []
    for _ in range(steps):
        losses.append(0.5 * (w**2 @ lam + data.noise_variance))
        index = rng.integers(0, data.n_samples, (replicas, b))
        features = phi[index]
        misfit = (features @ w[:, :, None])[:, :, 0] - residuals[index]
        v = setting.momentum * v - setting.learning_rate / b * (misfit[:, None, :] @ features)[:, 0]
        w = w + v
    losses.append(0.5 * (w**2 @ lam + data.noise_variance))
    return np.stack(losses, axis=1)
