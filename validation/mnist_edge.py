"""Where the stability edge lies on real digits, by the exact second moments, against the spectrally expressible one.

200 digits through the two-layer ReLU kernel. The exact edge is found by bisection on the growth of the exact mean loss
between steps 600 and 800; it should lie between the edges of tau2 = -1 (Gaussian features) and tau2 = 1 (the default).
"""

from __future__ import annotations

import genfun as gf
from validation.claim import Claim

SETTINGS = ((0.0, 1), (0.5, 1), (0.0, 6), (0.5, 6), (0.9, 6), (0.9, 32))


def exact_edge(data: gf.LinearData, beta: float, b: int, low: float, high: float) -> float:
    """Learning rate at which the exact mean loss neither grows nor falls, to 1/64 of the bracket."""
    for _ in range(6):
        middle = 0.5 * (low + high)
        log_loss = gf.predict(data, gf.SGD(middle, beta, b), [600, 800], noise="exact").log_loss
        low, high = (middle, high) if log_loss[1] < log_loss[0] else (low, middle)
    return 0.5 * (low + high)


def claims(fast: bool = False) -> list[Claim]:
    data = gf.data.mnist(200, seed=0, model="ntk")
    result = []
    for beta, b in SETTINGS[:1] if fast else SETTINGS:
        edge = gf.max_learning_rate(data.problem, beta, b)
        lower = gf.max_learning_rate(data.problem, beta, b, noise=gf.SpectrallyExpressible(1.0, -1.0)) / edge
        fitted = gf.max_learning_rate(data.problem, beta, b, noise=data.noise) / edge
        result.append(
            Claim(
                f"exact edge over that of tau2=1, beta={beta:g}, b={b}",
                exact_edge(data, beta, b, 0.5 * edge, 1.25 * edge) / edge,
                0.5 * (lower + 1.0),
                0.5 * (1.0 - lower),
                "approximate",
                "exact second moments (noise='exact')",
                f"claim: between {lower:.3f} (tau2=-1) and 1; fitted noise {fitted:.3f}",
            )
        )
    return result
