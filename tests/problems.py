"""Random problems and settings of the shapes that the engine must handle."""

from __future__ import annotations

import numpy as np

import genfun as gf


def random_problem(rng: np.random.Generator) -> gf.LinearProblem:
    """3 to 400 modes over 8 decades, with and without label noise, streaming or finite."""
    n = int(np.exp(rng.uniform(np.log(3), np.log(400))))
    noise = 0.0 if rng.random() < 0.5 else 10.0 ** rng.uniform(-6, 0)
    return gf.LinearProblem(
        10.0 ** rng.uniform(-8, 0, n),
        10.0 ** rng.uniform(-6, 0, n),
        n_samples=int(max(n, 41)) if rng.random() < 0.5 else None,
        noise_variance=noise,
    )


def random_setting(rng: np.random.Generator, problem: gf.LinearProblem, noise: gf.SpectrallyExpressible) -> gf.SGD:
    """b 1..40, beta -0.98..0.98, the rate from 1 % to 102 % of the largest stable one."""
    batch, beta = int(rng.integers(1, 41)), float(rng.uniform(-0.98, 0.98))
    limit = gf.max_learning_rate(problem, beta, batch, noise)
    share = rng.uniform(0.01, 1.02) if rng.random() < 0.6 else 10.0 ** rng.uniform(-2, 0)
    return gf.SGD(limit * float(share), beta, batch)


def features(d: int, outputs: int, seed: int = 0) -> gf.LinearData:
    """30 samples; d = 4 is run on the weights, d = 20 on the residuals."""
    rng = np.random.default_rng(seed)
    return gf.LinearData.from_features(rng.standard_normal((30, d)) / np.sqrt(d), rng.standard_normal((30, outputs)))
