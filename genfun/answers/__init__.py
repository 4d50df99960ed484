"""The questions users ask, one file each. `import genfun` reaches all of them; those named here load with it."""

from __future__ import annotations

from genfun.answers.exponents.fit import PowerLawFit, fit_power_law
from genfun.answers.max_learning_rate import max_learning_rate, noise_gain_map
from genfun.answers.phase import Phase, local_exponent, phase
from genfun.answers.predict import Prediction, predict
from genfun.answers.stability import Stability, stability
from genfun.answers.steps_to_loss import steps_to_loss

__all__ = [
    "Phase",
    "PowerLawFit",
    "Prediction",
    "Stability",
    "fit_power_law",
    "local_exponent",
    "max_learning_rate",
    "noise_gain_map",
    "phase",
    "predict",
    "stability",
    "steps_to_loss",
]
