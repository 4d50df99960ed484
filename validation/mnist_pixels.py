"""Linear regression on the pixels of 4,000 real MNIST digits, with the label-noise floor.

The learning rates of each batch size are a quarter and a half of the largest stable one, fixed before any run.
"""

from __future__ import annotations

import genfun as gf
from validation.claim import Claim, simulated_curve

SHARES_OF_EDGE = (0.25, 0.5)
STEPS = (1, 10, 100, 1000)
KNOWN = {
    (0.5, 1): "at half the edge and b=1 the default noise is short by about 6 %; the band tau2 = 1 to -1 holds the mean"
}


def claims(fast: bool = False) -> list[Claim]:
    data = gf.data.mnist(4000, seed=0, model="pixels")
    replicas = 60 if fast else 400
    result = []
    for share in SHARES_OF_EDGE[:1] if fast else SHARES_OF_EDGE:
        for b in (8,) if fast else (1, 8, 32):
            rate = share * gf.max_learning_rate(data.problem, batch_size=b)
            name = f"pixels, b={b}, alpha={rate:.4g} ({share:g} of the edge), beta=0"
            source = f"simulation with {replicas} runs"
            result += simulated_curve(
                name, data, gf.SGD(rate, 0.0, b), STEPS, replicas, 0.02, source, KNOWN.get((share, b), "")
            )
    return result
