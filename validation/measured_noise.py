"""The measured noise of data, a few vectors of sample space, against the exact operator and the exact recursion.

Edges against the matrix-free exact edge, and losses at a quarter and at four fifths of it against the exact second
moments, on digits and on tables with outlying rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import genfun as gf
from genfun.sample_space.edge import sample_edge
from genfun.sample_space.measured import measure_noise
from genfun.sample_space.moments import exact_curve
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_curve import projected_curve
from genfun.sample_space.projected_function import ProjectedFunction
from validation.claim import Claim

SETTINGS = ((0.0, 1), (-0.4, 8), (0.9, 8), (0.9, 32))
STEPS = np.array([1, 3, 10, 30, 100, 300])


def tables() -> Iterator[tuple[str, gf.LinearData]]:
    """Digits through a kernel, and tables whose fourth moments no two constants describe."""
    yield "digits, NTK, n=150", gf.data.mnist(n=150, model="ntk")
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(40)
    lognormal = np.exp(rng.standard_normal((400, 40)))
    yield "log-normal", gf.LinearData.from_features(lognormal, lognormal @ weights + rng.standard_normal(400))
    tails = rng.standard_t(3, (400, 40)) * np.arange(1, 41) ** -0.5
    yield "t3", gf.LinearData.from_features(tails, tails @ weights + rng.standard_normal(400))
    rare = np.concatenate([rng.standard_normal((400, 20)), np.arange(400)[:, None] < 4], axis=1)
    rare = (rare - rare.mean(axis=0)) / rare.std(axis=0)
    yield "1 % indicator, standardised", gf.LinearData.from_features(rare, rare.sum(axis=1) + rng.standard_normal(400))


def claims(fast: bool = False) -> list[Claim]:
    result, source = [], "exact operator in sample space; exact second moments"
    for name, data in list(tables())[1:] if fast else tables():
        noise, features = measure_noise(data), SampleFeatures(data.eigenfeatures, data.eigenvalues)
        errors = []
        for beta, b in SETTINGS[:2] if fast else SETTINGS:
            edge, exact = (
                noise.leading(gf.SGD(1.0, beta, b)).learning_rate,
                sample_edge(features, gf.SGD(1.0, beta, b)).learning_rate,
            )
            result.append(
                Claim(
                    f"{name}: edge on {noise.pairs.size} vectors over exact, beta={beta:g}, b={b}",
                    edge / exact,
                    1.0,
                    2e-3,
                    "approximate",
                    source,
                )
            )
            for share in (0.25, 0.8):
                method = gf.SGD(share * exact, beta, b)
                found = projected_curve(ProjectedFunction(noise, data.problem, method), STEPS).loss.log()
                errors.extend(np.abs(found - exact_curve(data, method, STEPS).loss.log()).tolist())
        for word, value, margin in (("median", np.median(errors), 2e-3), ("largest", np.max(errors), 3e-2)):
            result.append(
                Claim(f"{name}: {word} |log error| of losses", float(value), 0.0, margin, "approximate", source)
            )
    return result
