"""The questions users ask, one file each."""

from __future__ import annotations

from genfun.answers.edge import max_learning_rate, noise_gain_map
from genfun.answers.fit import PowerLawFit, fit_power_law
from genfun.answers.loss_map import LossMap, loss_map
from genfun.answers.optimize import Optimum, optimize
from genfun.answers.phase import Phase, local_exponent, phase
from genfun.answers.predict import Prediction, predict
from genfun.answers.stability import Stability, stability

__all__ = [
    "LossMap",
    "Optimum",
    "Phase",
    "PowerLawFit",
    "Prediction",
    "Stability",
    "fit_power_law",
    "local_exponent",
    "loss_map",
    "max_learning_rate",
    "noise_gain_map",
    "optimize",
    "phase",
    "predict",
    "stability",
]
