"""What the diagonal and the spectrally expressible rung miss of the exact second moments, for five kinds of features.

The fit of (tau1, tau2) reports by how much it misses the noise along the noiseless descent, d = noise_fit.path_misfit.
If the noise is known up to a factor 1 +- d, the loss lies between those predicted with the noise scaled by 1 - d and by
1 + d. Twice d is granted, as a margin: training leaves the noiseless descent. For translation-invariant data d = 0.
"""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.experiments.agreement.ladder import ladder
from validation.claim import Claim, Kind

STEPS = (10, 100, 1000)
SETTINGS = (gf.SGD(0.5, -0.3, 10), gf.SGD(0.25, 0.5, 10))
GRANTED = 2.0
ROUNDING = 1e-10
MODES = np.arange(1.0, 101.0)
EIGENVALUES, SIGNAL = MODES**-1.5, MODES**-1.375


def student(elliptical: bool) -> gf.LinearData:
    """400 samples of Student's t with 5 degrees of freedom: each feature by itself, or one radius for all of them."""
    rng = np.random.default_rng(0)
    radius = np.sqrt(3.0 / rng.chisquare(5, (400, 1 if elliptical else MODES.size)))
    z = rng.standard_normal((400, MODES.size)) * radius
    return gf.LinearData.from_features(z * np.sqrt(EIGENVALUES), z @ np.sqrt(SIGNAL)).normalized()


def kinds() -> dict[str, gf.LinearData]:
    """By name."""
    return {
        "translation-invariant": gf.data.translation_invariant(EIGENVALUES, SIGNAL, n_samples=512),
        "Gaussian": gf.data.gaussian(EIGENVALUES, SIGNAL, 400, seed=0).normalized(),
        "MNIST kernel, N=300": gf.data.mnist(300),
        "heavy tails, independent": student(elliptical=False),
        "heavy tails, elliptical": student(elliptical=True),
    }


def granted(data: gf.LinearData, m: gf.SGD) -> np.ndarray:
    """Half the width between the losses with less and with more noise."""
    fit, error = data.noise_fit, GRANTED * data.noise_fit.path_misfit
    low, high = (
        gf.predict(data.problem, m, STEPS, gf.SpectrallyExpressible(fit.tau1 * scale, fit.tau2 * scale)).loss
        for scale in (max(1.0 - error, 0.0), 1.0 + error)
    )
    return 0.5 * (high - low)


def claims(fast: bool = False) -> list[Claim]:
    result = []
    for name, data in list(kinds().items())[: 2 if fast else None]:
        fit = data.noise_fit
        exactly = fit.path_misfit < ROUNDING
        kind: Kind = "exact" if exactly else "approximate"
        for m in SETTINGS:
            names = ["exact", "diagonal", "spectrally expressible"]
            climb = ladder(data, m, STEPS, names, noise=fit.noise)
            exact, diagonal, fitted = climb.loss
            setting = f"alpha={m.learning_rate:g}, beta={m.momentum:g}"
            default = gf.predict(data.problem, m, STEPS).loss
            tolerance = np.full(len(STEPS), ROUNDING) if exactly else granted(data, m) / exact
            for i, step in enumerate(STEPS):
                note = (
                    f"over exact: diagonal {diagonal[i] / exact[i]:.4f}, fitted {fitted[i] / exact[i]:.4f}, "
                    f"tau1=tau2=1 {default[i] / exact[i]:.4f}; fitted tau1={fit.tau1:.3f}, tau2={fit.tau2:.3f}, "
                    f"path misfit {fit.path_misfit:.3f}"
                )
                for rung, loss in (("diagonal", diagonal), ("spectrally expressible", fitted)):
                    result.append(
                        Claim(
                            f"{rung} over exact, {name}, {setting}, loss at {step}",
                            loss[i] / exact[i],
                            1.0,
                            tolerance[i],
                            kind,
                            "exact second moments (noise='exact')",
                            note,
                        )
                    )
    return result
