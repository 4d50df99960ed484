"""SGD on 1,000 real MNIST digits through the neural tangent kernel of a two-layer ReLU network."""

from __future__ import annotations

import genfun as gf
from validation.claim import Claim, simulated_curve

SETTINGS = (gf.SGD(1.0, 0.0, 10), gf.SGD(0.5, 0.5, 10), gf.SGD(1.2, -0.3, 100))
STEPS = (1, 10, 100, 1000)


def claims(fast: bool = False) -> list[Claim]:
    data = gf.data.mnist(1000, seed=0, model="ntk")
    result = []
    for m in SETTINGS[: 1 if fast else None]:
        name = f"NTK, b={m.batch_size}, alpha={m.learning_rate:g}, beta={m.momentum:g}"
        source = "arXiv 2206.11124, section 6 (setting); simulation with 400 runs"
        replicas = 60 if fast else 400
        result += simulated_curve(name, data, m, STEPS, replicas, 0.02, source.replace("400", str(replicas)))
    return result
