"""Analytic dynamics of mini-batch SGD on linear models, from the spectrum, without training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genfun import data
from genfun._version import __version__
from genfun.answers import (
    LossMap,
    Optimum,
    Phase,
    PowerLawFit,
    Prediction,
    Stability,
    fit_power_law,
    local_exponent,
    loss_map,
    max_learning_rate,
    noise_gain_map,
    optimize,
    phase,
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

if TYPE_CHECKING:
    from genfun import experiments, plotting, report, symbolic

__all__ = [
    "SGD",
    "GeneratingFunction",
    "LinearData",
    "LinearProblem",
    "LossMap",
    "Method",
    "Optimum",
    "Phase",
    "PowerLaw",
    "PowerLawFit",
    "Prediction",
    "SpectralMeasure",
    "SpectrallyExpressible",
    "Stability",
    "__version__",
    "data",
    "experiments",
    "fit_power_law",
    "local_exponent",
    "loss_map",
    "max_learning_rate",
    "noise_gain_map",
    "optimize",
    "phase",
    "plotting",
    "predict",
    "report",
    "stability",
    "symbolic",
]

_ON_FIRST_USE = ("experiments", "plotting", "report", "symbolic")


def __getattr__(name: str) -> Any:
    """Import the rooms that a plain `import genfun` leaves alone."""
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"genfun.{name}")
    raise AttributeError(f"module 'genfun' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
