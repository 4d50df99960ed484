"""The stability edge in the plane of learning rate and momentum, for four batch sizes, against simulated divergence.

Data on which the spectrally expressible noise is exact (nu = 1.5, 1000 modes, 1024 samples). Below and above the edge,
runs go on until the theory has the mean changed a hundredfold; a setting is on the right side if their mean has moved
that way, from the time when the transient is over. The mean, not the median: above the edge single runs may well fall.
"""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.experiments import simulate
from validation.claim import Claim

BATCHES, MOMENTA = (1, 10, 100, 1000), (-0.5, 0.0, 0.5, 0.9)
BELOW, ABOVE = 0.8, 1.3
RUNS = 64
LONGEST = 1500


def moved(data: gf.LinearData, setting: gf.SGD, runs: int) -> float:
    """Simulated over predicted log change of the mean loss over the second half of the run."""
    growth = gf.stability(data.problem, setting).growth_rate
    last = int(np.clip(np.log(100.0) / abs(growth), 20, LONGEST))
    steps = [last // 2, last]
    mean = simulate(data, setting, last, runs, record=steps, dtype="float64").mean
    predicted = gf.predict(data.problem, setting, steps).log_loss
    return float((np.log(mean[1]) - np.log(mean[0])) / (predicted[1] - predicted[0]))


def claims(fast: bool = False) -> list[Claim]:
    spectrum = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=1000)
    data = gf.data.translation_invariant(spectrum.eigenvalues, spectrum.signal, n_samples=1024)
    result = []
    for b in BATCHES[1:2] if fast else BATCHES:
        sides, notes = [], []
        for beta in MOMENTA[1:2] if fast else MOMENTA:
            edge = gf.max_learning_rate(data.problem, beta, b)
            ratios = [moved(data, gf.SGD(part * edge, beta, b), RUNS) for part in (BELOW, ABOVE)]
            sides += [ratio > 0.0 for ratio in ratios]
            notes.append(f"beta={beta:g}: {ratios[0]:.2f}, {ratios[1]:.2f}")
        result.append(
            Claim(
                f"settings on the side of the edge where the theory has them, b={b}",
                sum(sides),
                len(sides),
                0.0,
                "exact",
                f"theory; {RUNS} runs of each setting at {BELOW} and {ABOVE} x edge",
                f"simulated over predicted change of log mean loss, below and above: {'; '.join(notes)}",
            )
        )
    return result
