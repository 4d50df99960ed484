"""The gradient noise scale of data against the full second moments, written out for plain SGD."""

from __future__ import annotations

import numpy as np
import pytest

import genfun as gf

N, RANK, LAST = 60, 12, 40
STEPS = np.array([0, 1, 5, 40])


def table(noise: float) -> gf.LinearData:
    rng = np.random.default_rng(3)
    X = rng.standard_t(4, (N, RANK)) * np.arange(1, RANK + 1) ** -0.7
    size = np.linalg.norm(X, axis=1)  # residuals grow with the features
    return gf.LinearData.from_features(X, X @ rng.standard_normal(RANK) + noise * size * rng.standard_normal(N))


def second_moments(data: gf.LinearData, rate: float, beta: float, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Tr(H^2 C) and mean |phi|^2 r^2 at every step, from C, J, V and the mean path as full matrices."""
    phi, lam, w = data.eigenfeatures, data.eigenvalues, data.coefficients[:, 0]
    eps = data.residuals[:, 0] if data.noise_variance > 0.0 else np.zeros(N)
    mean, speed = -w, np.zeros(RANK)
    C, J, V = np.outer(w, w), np.zeros((RANK, RANK)), np.zeros((RANK, RANK))
    a, squared = rate * lam, (phi**2).sum(axis=1)
    full, single = [], []
    for _ in range(LAST + 1):
        p = np.einsum("ij,jk,ik->i", phi, C, phi) - 2.0 * eps * (phi @ mean) + eps**2
        full.append(float(np.diag(C) @ lam**2))
        single.append(float((p * squared).mean()))
        Q = gamma * rate**2 * ((phi.T * (p / N)) @ phi - np.outer(lam, lam) * C)
        # v' = beta v - a w - noise, w' = w + v'
        A = a[:, None] * C
        crossed = a[:, None] * J  # a w v^T
        V2 = beta**2 * V - beta * (crossed + crossed.T) + A * a + Q
        J2 = beta * J - C * a  # E w v'^T
        C = C + J2 + J2.T + V2
        J, V = J2 + V2, V2
        speed = beta * speed - a * mean
        mean = mean + speed
    return np.array(full), np.array(single)


@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.7, 4), (-0.4, 8)])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_noise_scale_of_data_is_that_of_their_second_moments(beta: float, b: int, noise: float) -> None:
    data = table(noise)
    rate = 0.6 * gf.max_learning_rate(data, beta, b)
    gamma = (N - b) / ((N - 1) * b)
    full, single = second_moments(data, rate, beta, gamma)
    found = gf.noise_scale(data, gf.SGD(rate, beta, b), STEPS)
    # Seven vectors are chosen for losses, which they know to 1 %.
    np.testing.assert_allclose(found.gradient, full[STEPS], rtol=1.5e-2)
    np.testing.assert_allclose(found.samples, (single / full)[STEPS] - 1.0, rtol=3e-2)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_without_sampling_noise_it_is_that_of_the_path_itself(noise: float) -> None:
    data, beta = table(noise), 0.3
    rate = 0.6 * gf.max_learning_rate(data, beta, N)
    phi, lam = data.eigenfeatures, data.eigenvalues
    eps = data.residuals[:, 0] if noise > 0.0 else np.zeros(N)
    path, speed, wanted = -data.coefficients[:, 0], np.zeros(RANK), []
    for _ in range(LAST + 1):
        single = ((phi**2).sum(axis=1) * (phi @ path - eps) ** 2).mean()
        wanted.append(single / (lam**2 @ path**2) - 1.0)
        speed = beta * speed - rate * lam * path
        path = path + speed
    found = gf.noise_scale(data, gf.SGD(rate, beta, N), STEPS)
    np.testing.assert_allclose(found.samples, np.array(wanted)[STEPS], rtol=1e-7)
