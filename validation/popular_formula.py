"""The largest learning rate with momentum: curvature alone against curvature and batch noise, decided by simulation.

Data with nu = 1.5, 1000 modes and 1024 samples on which the spectrally expressible noise is exact; b = 1, beta = 0.9.
Whether a rate is stable is judged by the mean loss, never by a typical run.
"""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.experiments import simulate
from validation.claim import Claim, simulated_curve

BETA, BATCH = 0.9, 1


def popular_max_learning_rate(lambda_max: float, momentum: float) -> float:
    """Stability of the full-batch heavy ball on a quadratic, e.g. arXiv 2103.00065; no batch size in it."""
    return 2.0 * (1.0 + momentum) / lambda_max


def data() -> gf.LinearData:
    spectrum = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=1000)
    return gf.data.translation_invariant(spectrum.eigenvalues, spectrum.signal, n_samples=1024)


def claims(fast: bool = False) -> list[Claim]:
    d = data()
    edge = gf.max_learning_rate(d.problem, BETA, BATCH)
    popular = popular_max_learning_rate(d.problem.lambda_max, BETA)
    # The mean is carried by rare runs, the later the more so: at step 300 8,000 of them know it to 2 %.
    runs = 500 if fast else 8000
    source = f"simulation with {runs} runs"
    result = [
        Claim("popular formula over the stable rate", popular / edge, 41.0, 0.5, "exact", "derived from both formulas"),
        *simulated_curve("0.8 x edge", d, gf.SGD(0.8 * edge, BETA, BATCH), (100, 300), runs, 0.0, f"theory; {source}"),
        growth(d, 1.3 * edge, 200 if fast else 2000),
    ]
    # What a stable mean says of single runs is only Markov's inequality; what diverges this fast shows in each of them.
    for rate, name in ((1.3 * edge, "1.3 x edge"), (popular, "popular formula")):
        share = simulate(d, gf.SGD(rate, BETA, BATCH), 1000, 64, record=[0, 1000]).diverged
        name = f"share of runs above their start at step 1000, alpha = {rate:.4g} ({name})"
        result.append(Claim(name, share, 1.0, 0.0, "exact", "genfun: diverges; simulation with 64 runs"))
    return result


def growth(d: gf.LinearData, rate: float, replicas: int) -> Claim:
    """Growth of the mean from step 50 to 300, before a few runs carry it, within 2.5 standard errors of its log."""
    m, steps = gf.SGD(rate, BETA, BATCH), [50, 300]
    runs = simulate(d, m, 300, replicas, record=steps)
    theory = gf.predict(d.problem, m, steps).log_loss
    # The log of a mean has the mean's relative error; the two means share their runs, hence the covariance.
    relative = runs.loss / runs.mean
    error = (relative[:, 1] - relative[:, 0]).std(ddof=1) / np.sqrt(replicas)
    span = steps[1] - steps[0]
    return Claim(
        "growth of log mean loss per step at 1.3 x edge, steps 50-300",
        float(np.diff(np.log(runs.mean)).item() / span),
        float(np.diff(theory).item() / span),
        2.5 * float(error) / span,
        "exact",
        f"simulation with {replicas} runs",
        f"late-time growth rate of the theory {gf.stability(d.problem, m).growth_rate:.6f}",
    )
