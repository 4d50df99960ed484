"""Analytic dynamics of mini-batch SGD on linear models, from the spectrum, without training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genfun import data
from genfun._version import __version__
from genfun.answers import (
    Phase,
    PowerLawFit,
    Prediction,
    Stability,
    fit_power_law,
    local_exponent,
    max_learning_rate,
    noise_gain_map,
    phase,
    predict,
    stability,
    steps_to_loss,
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
    from genfun.answers.convert import Conversion, convert, from_sgd, to_sgd
    from genfun.answers.explain import Explanation, explain
    from genfun.answers.loss_map import LossMap, loss_map
    from genfun.answers.optimize import Optimum, optimize
    from genfun.answers.translate import Translation, translate

__all__ = [
    "SGD",
    "Conversion",
    "Explanation",
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
    "Translation",
    "__version__",
    "convert",
    "data",
    "experiments",
    "explain",
    "fit_power_law",
    "from_sgd",
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
    "steps_to_loss",
    "symbolic",
    "to_sgd",
    "translate",
]

# What a plain `import genfun` leaves alone, and the module that has it.
_ON_FIRST_USE = {
    "Conversion": "answers.convert",
    "Explanation": "answers.explain",
    "LossMap": "answers.loss_map",
    "Optimum": "answers.optimize",
    "Translation": "answers.translate",
    "convert": "answers.convert",
    "experiments": "experiments",
    "explain": "answers.explain",
    "from_sgd": "answers.convert",
    "loss_map": "answers.loss_map",
    "optimize": "answers.optimize",
    "plotting": "plotting",
    "report": "report",
    "symbolic": "symbolic",
    "to_sgd": "answers.convert",
    "translate": "answers.translate",
}


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'genfun' has no attribute {name!r}")
    place = _ON_FIRST_USE[name]
    module = importlib.import_module(f"genfun.{place}")
    value = module if place == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
