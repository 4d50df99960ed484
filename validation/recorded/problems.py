"""The problems, settings and noises that the cases are made of."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import genfun as gf


def many_modes() -> gf.LinearProblem:
    """Two hundred modes over eight decades, in no order."""
    rng = np.random.default_rng(0)
    eigenvalues = 10.0 ** rng.uniform(-8, 0, 200)
    return gf.LinearProblem(eigenvalues, 10.0 ** rng.uniform(-6, 0, 200), n_samples=500, noise_variance=1e-3)


@cache
def digits(n: int = 80, model: str = "ntk") -> gf.LinearData:
    """Real data."""
    return gf.data.mnist(n, 0, model)


@cache
def table() -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of forty samples."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((40, 12)) * np.arange(1.0, 13.0) ** -1.0
    return features, features @ rng.standard_normal(12) + 0.1 * rng.standard_normal(40)


@cache
def small() -> gf.LinearData:
    """Data small enough for full second moments and many runs."""
    return gf.LinearData.from_features(*table())


PROBLEMS: dict[str, Any] = {
    "power law": gf.PowerLaw(1.5, 0.5),
    "steep signal": gf.PowerLaw(1.5, 2.0),
    "slow decay": gf.PowerLaw(0.8, 0.4),
    "infinite capacity": gf.PowerLaw(0.4, 1.0),
    "1000 modes": gf.PowerLaw(1.5, 3.0, n_modes=1000),
    "finite data": gf.PowerLaw(1.2, 0.5, n_modes=300, n_samples=1000, noise_variance=0.01),
    "scaled": gf.PowerLaw(2.0, 1.0, eigenvalue_scale=0.7, signal_scale=3.0, n_modes=100),
    "two modes": gf.LinearProblem([1.0, 0.5], [1.0, 1.0], noise_variance=0.1),
    "isotropic": gf.LinearProblem([1.0] * 8, [1.0] * 8, n_samples=64),
    "200 modes": many_modes(),
}
FINITE = ("1000 modes", "finite data", "scaled", "two modes", "isotropic", "200 modes")
SETTINGS = {
    "full batch": gf.SGD(0.5),
    "full, momentum": gf.SGD(0.4, 0.8),
    "b=1": gf.SGD(0.1, 0.0, 1),
    "b=10": gf.SGD(0.3, 0.5, 10),
    "negative": gf.SGD(0.2, -0.4, 4),
    "heavy ball": gf.SGD(0.02, 0.95, 16),
    "replacement": gf.SGD(0.3, 0.0, 8, replacement=True),
    "diverging": gf.SGD(1.95, 0.0, 1),
}
NOISES = {
    "(1, 1)": gf.SpectrallyExpressible(),
    "(1, -1)": gf.SpectrallyExpressible(1.0, -1.0),
    "(0.7, 0.2)": gf.SpectrallyExpressible(0.7, 0.2),
}
