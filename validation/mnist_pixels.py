"""Linear regression on the pixels of 4,000 real MNIST digits, with the label-noise floor.

The learning rate of each batch size is half of the largest stable one, fixed before any run.
"""

from __future__ import annotations

import genfun as gf
from validation.claim import Claim, simulated_curve

SHARE_OF_EDGE = 0.5
STEPS = (1, 10, 100, 1000)


def claims(fast: bool = False) -> list[Claim]:
    data = gf.data.mnist(4000, seed=0, model="pixels")
    replicas = 60 if fast else 400
    result = []
    for b in (8,) if fast else (1, 8, 32):
        rate = SHARE_OF_EDGE * gf.max_learning_rate(data.problem, batch_size=b)
        name = f"pixels, b={b}, alpha={rate:.4g} (half the edge), beta=0"
        source = f"simulation with {replicas} runs"
        result += simulated_curve(name, data, gf.SGD(rate, 0.0, b), STEPS, replicas, 0.02, source)
    return result
