"""Which weights of the fourth moments give the better tau1 and tau2: half way to the edge, by the exact second moments.

The constants are fitted with weights lambda_j lambda_k, the feedback of the noise on itself. The note has the errors of
the two other candidates (weights of the signal, s_j lambda_k^2, and tau1 = tau2 = 1) and of the diagonal second moments
with the data's own fourth moments, which no pair of constants is meant to beat.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import genfun as gf
from genfun.experiments import diagonal_loss
from validation.claim import Claim

STEPS = (10, 30, 100, 300)
SHARE = 0.5
SETTINGS = ((0.0, 1), (0.9, 1), (-0.3, 10), (0.9, 10))
GRANTED = 0.1
MODES = np.arange(1.0, 61.0)


def odd_or_even(n: int) -> gf.LinearData:
    """Random ReLU features of digits, target -1 or 1."""
    images, labels = gf.data.mnist_arrays()
    pick = np.random.default_rng(0).choice(len(images), n, replace=False)
    weights = np.random.default_rng(1).standard_normal((784, 80)) / 28.0
    features = np.maximum(images[pick].reshape(n, -1) / 255.0 @ weights, 0.0)
    return gf.LinearData.from_features(features, 2.0 * (labels[pick] % 2) - 1.0).normalized()


def kinds(fast: bool = False) -> Iterator[tuple[str, gf.LinearData]]:
    """With their names; the first alone, and of fewer digits, in the fast part."""
    n = 80 if fast else 150
    yield f"MNIST kernel, N={n}", gf.data.mnist(n, seed=0)
    if fast:
        return
    yield "MNIST pixels, N=150", gf.data.mnist(150, seed=1, model="pixels")
    yield "random ReLU features of digits, N=200", odd_or_even(200)
    yield "Gaussian, N=250", gf.data.gaussian(MODES**-1.5, MODES**-1.375, 250, seed=0).normalized()


def weighted_by_signal(data: gf.LinearData) -> gf.SpectrallyExpressible:
    """Least squares with weights s_j lambda_k^2: what the loss feels of the noise at the start."""
    p = data.eigenfeatures**2 / data.eigenvalues
    a, b = (x / x.sum() for x in (data.signal, data.eigenvalues**2))
    diagonal = float((a * b) @ np.mean(p**2, axis=0))
    tau1 = (float(np.mean((p @ a) * (p @ b))) - diagonal) / (1.0 - a @ b)
    return gf.SpectrallyExpressible(tau1, min(1.0 + tau1 - diagonal / (a @ b), tau1))


def claims(fast: bool = False) -> list[Claim]:
    result = []
    for name, data in kinds(fast):
        noises = (data.noise, weighted_by_signal(data), gf.SpectrallyExpressible())
        errors = []
        for beta, b in SETTINGS:
            m = gf.SGD(SHARE * gf.max_learning_rate(data.problem, beta, b, data.noise), beta, b)
            exact = gf.predict(data, m, STEPS, noise="exact").log_loss
            diagonal = np.log(diagonal_loss(data, m, STEPS[-1])[list(STEPS)])
            errors.append([diagonal - exact, *(gf.predict(data.problem, m, STEPS, x).log_loss - exact for x in noises)])
        diagonal, fitted, by_signal, default = np.sqrt(np.mean(np.square(errors), axis=(0, 2)))
        result.append(
            Claim(
                f"rms of log(predicted/exact) at half the edge, fitted noise; {name}",
                float(fitted),
                0.0,
                GRANTED,
                "approximate",
                "exact second moments (noise='exact')",
                f"weights of the signal {by_signal:.3f}, tau1=tau2=1 {default:.3f}, diagonal {diagonal:.3f}; fitted "
                f"tau1={data.noise.tau1:.3f}, tau2={data.noise.tau2:.3f}",
            )
        )
    return result
