"""Analytic dynamics of mini-batch SGD on linear models, from the spectrum, without training."""

from __future__ import annotations

from genfun._version import __version__
from genfun.answers import (
    Prediction,
    Stability,
    max_learning_rate,
    noise_gain_map,
    predict,
    stability,
)
from genfun.data.linear import LinearData
from genfun.generating_function import GeneratingFunction
from genfun.measure import SpectralMeasure
from genfun.methods import SGD, Method
from genfun.noise import SpectrallyExpressible
from genfun.power_law import PowerLaw
from genfun.problem import LinearProblem

__all__ = [
    "SGD",
    "GeneratingFunction",
    "LinearData",
    "LinearProblem",
    "Method",
    "PowerLaw",
    "Prediction",
    "SpectralMeasure",
    "SpectrallyExpressible",
    "Stability",
    "__version__",
    "max_learning_rate",
    "noise_gain_map",
    "predict",
    "stability",
]
