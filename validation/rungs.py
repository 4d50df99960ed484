"""Simulated runs against the exact second moments in twelve settings, and trained networks against the theory."""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.experiments.agreement.ladder import ladder
from genfun.experiments.networks.network import TwoLayerReLU
from validation.claim import Claim

STEPS = (3, 10, 30, 100)
SHARE = 0.3
"""Of the largest stable rate: half-way to the edge the fourth moments of the runs begin to grow without bound."""
SETTINGS = tuple((b, beta) for b in (1, 10, 50) for beta in (-0.5, 0.0, 0.5, 0.8))
ALL_AT_ONCE = 3.71
"""Standard errors that the largest of 48 normal deviations exceeds once in a hundred (Bonferroni)."""
NETWORKS = (
    (1000, gf.SGD(1.0, -0.3, 10)),
    (1000, gf.SGD(0.5, 0.5, 10)),
    (1000, gf.SGD(1.2, -0.3, 100)),
    (2000, gf.SGD(1.0, -0.3, 10)),
)
NETWORK_STEPS = (1, 10, 100, 1000)


def digit_inputs(n: int) -> np.ndarray:
    """The inputs behind `gf.data.mnist(n, seed=0)`; the network checks that their kernel is the data's."""
    images, labels = gf.data.mnist_arrays(n)
    chosen = np.random.default_rng(0).choice(len(labels), n, replace=False)
    x = images[chosen].reshape(n, -1).astype(float)
    return (x - x.mean()) / x.std()


def exact_and_simulated(fast: bool) -> list[Claim]:
    """N = 100: digits through the kernel (b = 1), and 30 features with label noise (larger batches)."""
    rng = np.random.default_rng(0)
    features, noise = rng.standard_normal((100, 30)) * np.arange(1.0, 31.0) ** -0.75, rng.standard_normal(100)
    noisy = gf.LinearData.from_features(features, features @ np.ones(30) + 0.5 * noise).normalized()
    digits = gf.data.mnist(100)
    replicas = 2000
    claims, z = [], []
    for b, beta in SETTINGS[::4] if fast else SETTINGS:
        data, name = (digits, "MNIST kernel") if b == 1 else (noisy, "features with label noise")
        m = gf.SGD(SHARE * gf.max_learning_rate(data.problem, beta, b, data.noise), beta, b)
        climb = ladder(data, m, STEPS, ["linearised", "exact"], replicas=replicas)
        (pair,) = climb.neighbours
        z += list(pair.z)
        claims.append(
            Claim(
                f"mean of runs, {name}, N=100, b={b}, alpha={m.learning_rate:.3g}, beta={beta:g}, loss at {STEPS[-1]}",
                pair.mean[-1],
                pair.theory[-1],
                2.5 * pair.sem[-1],
                "exact",
                f"exact second moments; simulation with {replicas} runs",
                f"z = {', '.join(f'{value:.2f}' for value in pair.z)} at steps {', '.join(map(str, STEPS))}",
            )
        )
    beyond, expected = int(np.sum(np.abs(z) > 2.5)), 0.0124 * len(z)
    claims.append(
        Claim(
            f"largest |z| of the {len(z)} comparisons of runs with exact second moments",
            float(np.max(np.abs(z))),
            0.0,
            ALL_AT_ONCE,
            "exact",
            "normal distribution; 1 in 100 for 48 at once",
            f"{beyond} beyond 2.5 standard errors, {expected:.1f} expected",
        )
    )
    return claims


def networks(fast: bool) -> list[Claim]:
    """Two-layer ReLU networks on digits: mean loss over that of the generating function, to 10 %."""
    n, replicas, runs = (300, 4, 100) if fast else (1000, 8, 400)
    data, x = gf.data.mnist(n), digit_inputs(n)
    claims = []
    for width, m in NETWORKS[:1] if fast else NETWORKS:
        steps = NETWORK_STEPS[: 3 if fast else None]
        names = ["network", "linearised", "spectrally expressible"]
        climb = ladder(data, m, steps, names, TwoLayerReLU(x, width, replicas), runs)
        theory = climb["spectrally expressible"].loss
        drift = climb.neighbours[0].ratio
        for i, step in enumerate(steps):
            claims.append(
                Claim(
                    f"network of width {width} over the theory, MNIST N={n}, b={m.batch_size}, "
                    f"alpha={m.learning_rate:g}, beta={m.momentum:g}, loss at {step}",
                    climb.loss[0, i] / theory[i],
                    1.0,
                    0.1,
                    "approximate",
                    f"arXiv 2206.11124, section 6 (setting); {replicas} networks beside {runs} linearised runs",
                    f"standard error {climb.sem[0, i] / theory[i]:.1%}; network over the linearised runs with the same "
                    f"batches {drift[i]:.4f}",
                )
            )
    return claims


def claims(fast: bool = False) -> list[Claim]:
    return exact_and_simulated(fast) + networks(fast)
