"""Analytic dynamics of mini-batch SGD on linear models, from the spectrum, without training."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from genfun._version import __version__

if TYPE_CHECKING:
    from genfun import data, experiments, optim, plotting, report, schedules, symbolic
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
    from genfun.answers.batch import bounds
    from genfun.answers.batch.big_batch import BigBatch, big_batch
    from genfun.answers.batch.critical_batch import ClosedForm, CriticalBatch, critical_batch_size
    from genfun.answers.batch.fit_noise_scale import NoiseScaleFit, fit_noise_scale
    from genfun.answers.batch.fit_steps import StepsFit, fit_steps
    from genfun.answers.batch.noise_scale import NoiseScale, noise_scale
    from genfun.answers.batch.translate import Translation, translate
    from genfun.answers.batch.tuned import Tuned
    from genfun.answers.best.asymptotic_optimum import AsymptoticOptimum, asymptotic_optimum
    from genfun.answers.best.best_schedule import best_schedule
    from genfun.answers.best.budget import StepTime, fit_step_time
    from genfun.answers.best.budget_map import BudgetMap, budget_map
    from genfun.answers.best.held_out_optimum import HeldOutOptimum
    from genfun.answers.best.loss_map import LossMap, loss_map
    from genfun.answers.best.momentum_map import MomentumMap, momentum_map
    from genfun.answers.best.optimize import optimize
    from genfun.answers.best.optimize_schedule import ScheduleOptimum, optimize_schedule
    from genfun.answers.best.optimum import Optimum
    from genfun.answers.best.schedule_answer import BestSchedule
    from genfun.answers.convert import Conversion, convert, from_sgd, to_sgd
    from genfun.answers.epochs import EpochsCurve, epochs_curve
    from genfun.answers.escape.escape_chart import EscapeChart, escape_chart
    from genfun.answers.escape.escape_steps import EscapeSteps, escape_steps
    from genfun.answers.escape.two_minima import Escape, MinimumOdds, escape_time, minimum_odds
    from genfun.answers.held_out.leave_one_out import LeaveOneOut, leave_one_out
    from genfun.answers.held_out.prediction import HeldOut, predict_test
    from genfun.answers.spread import Spread, spread
    from genfun.answers.words.explain import Explanation, explain
    from genfun.data.linear import LinearData
    from genfun.engine.generating_function import GeneratingFunction
    from genfun.experiments.suggest import Suggestion, suggest
    from genfun.methods import QHM, SGD, Averaged, MemorySGD, Method
    from genfun.mode_space.fourth_moments import FourthMoments
    from genfun.noise import Noise, SpectrallyExpressible
    from genfun.problems.measure import SpectralMeasure
    from genfun.problems.measured_spectrum import MeasuredSpectrum
    from genfun.problems.power_law import PowerLaw
    from genfun.problems.problem import LinearProblem
    from genfun.sample_space.measured import MeasuredNoise
    from genfun.schedules import ScheduledSGD
    from genfun.softmax.data import SoftmaxData
    from genfun.softmax.explain import SoftmaxExplanation
    from genfun.softmax.optimize import SoftmaxOptimum
    from genfun.softmax.predict import SoftmaxPrediction

__all__ = [
    "QHM",
    "SGD",
    "AsymptoticOptimum",
    "Averaged",
    "BestSchedule",
    "BigBatch",
    "BudgetMap",
    "ClosedForm",
    "Conversion",
    "CriticalBatch",
    "EpochsCurve",
    "Escape",
    "EscapeChart",
    "EscapeSteps",
    "Explanation",
    "FourthMoments",
    "GeneratingFunction",
    "HeldOut",
    "HeldOutOptimum",
    "LeaveOneOut",
    "LinearData",
    "LinearProblem",
    "LossMap",
    "MeasuredNoise",
    "MeasuredSpectrum",
    "MemorySGD",
    "Method",
    "MinimumOdds",
    "MomentumMap",
    "Noise",
    "NoiseScale",
    "NoiseScaleFit",
    "Optimum",
    "Phase",
    "PowerLaw",
    "PowerLawFit",
    "Prediction",
    "ScheduleOptimum",
    "ScheduledSGD",
    "SoftmaxData",
    "SoftmaxExplanation",
    "SoftmaxOptimum",
    "SoftmaxPrediction",
    "SpectralMeasure",
    "SpectrallyExpressible",
    "Spread",
    "Stability",
    "StepTime",
    "StepsFit",
    "Suggestion",
    "Translation",
    "Tuned",
    "__version__",
    "asymptotic_optimum",
    "best_schedule",
    "big_batch",
    "bounds",
    "budget_map",
    "convert",
    "critical_batch_size",
    "data",
    "epochs_curve",
    "escape_chart",
    "escape_steps",
    "escape_time",
    "experiments",
    "explain",
    "fit_noise_scale",
    "fit_power_law",
    "fit_step_time",
    "fit_steps",
    "from_sgd",
    "leave_one_out",
    "local_exponent",
    "loss_map",
    "max_learning_rate",
    "minimum_odds",
    "momentum_map",
    "noise_gain_map",
    "noise_scale",
    "optim",
    "optimize",
    "optimize_schedule",
    "phase",
    "plotting",
    "predict",
    "predict_test",
    "report",
    "schedules",
    "spread",
    "stability",
    "steps_to_loss",
    "suggest",
    "symbolic",
    "to_sgd",
    "translate",
]

# Where everything is. A plain `import genfun` loads none of it: the command line begins here, and Ctrl-C is to find it
# ready, see `genfun.__main__`.
_ON_FIRST_USE = {
    "SoftmaxExplanation": "softmax.explain",
    "SoftmaxOptimum": "softmax.optimize",
    "SoftmaxPrediction": "softmax.predict",
    "SoftmaxData": "softmax.data",
    "leave_one_out": "answers.held_out.leave_one_out",
    "LeaveOneOut": "answers.held_out.leave_one_out",
    "predict_test": "answers.held_out.prediction",
    "HeldOut": "answers.held_out.prediction",
    "HeldOutOptimum": "answers.best.held_out_optimum",
    "AsymptoticOptimum": "answers.best.asymptotic_optimum",
    "BestSchedule": "answers.best.schedule_answer",
    "BigBatch": "answers.batch.big_batch",
    "BudgetMap": "answers.best.budget_map",
    "ClosedForm": "answers.batch.critical_batch",
    "Conversion": "answers.convert",
    "CriticalBatch": "answers.batch.critical_batch",
    "EpochsCurve": "answers.epochs",
    "Escape": "answers.escape.two_minima",
    "EscapeChart": "answers.escape.escape_chart",
    "EscapeSteps": "answers.escape.escape_steps",
    "Explanation": "answers.words.explain",
    "FourthMoments": "mode_space.fourth_moments",
    "GeneratingFunction": "engine.generating_function",
    "LinearData": "data.linear",
    "LinearProblem": "problems",
    "LossMap": "answers.best.loss_map",
    "Method": "methods",
    "MeasuredNoise": "sample_space.measured",
    "MeasuredSpectrum": "problems.measured_spectrum",
    "MinimumOdds": "answers.escape.two_minima",
    "MomentumMap": "answers.best.momentum_map",
    "Noise": "noise",
    "NoiseScale": "answers.batch.noise_scale",
    "NoiseScaleFit": "answers.batch.fit_noise_scale",
    "Optimum": "answers.best.optimum",
    "Phase": "answers",
    "PowerLaw": "problems",
    "PowerLawFit": "answers",
    "Prediction": "answers",
    "Averaged": "methods",
    "MemorySGD": "methods",
    "QHM": "methods",
    "SGD": "methods",
    "ScheduleOptimum": "answers.best.optimize_schedule",
    "ScheduledSGD": "schedules",
    "SpectralMeasure": "problems",
    "SpectrallyExpressible": "noise",
    "Spread": "answers.spread",
    "Stability": "answers",
    "StepTime": "answers.best.budget",
    "StepsFit": "answers.batch.fit_steps",
    "Suggestion": "experiments.suggest",
    "Translation": "answers.batch.translate",
    "Tuned": "answers.batch.tuned",
    "asymptotic_optimum": "answers.best.asymptotic_optimum",
    "best_schedule": "answers.best.best_schedule",
    "big_batch": "answers.batch.big_batch",
    "bounds": "answers.batch.bounds",
    "budget_map": "answers.best.budget_map",
    "convert": "answers.convert",
    "critical_batch_size": "answers.batch.critical_batch",
    "data": "data",
    "epochs_curve": "answers.epochs",
    "escape_chart": "answers.escape.escape_chart",
    "escape_steps": "answers.escape.escape_steps",
    "escape_time": "answers.escape.two_minima",
    "experiments": "experiments",
    "explain": "answers.words.explain",
    "fit_noise_scale": "answers.batch.fit_noise_scale",
    "fit_power_law": "answers",
    "fit_step_time": "answers.best.budget",
    "fit_steps": "answers.batch.fit_steps",
    "from_sgd": "answers.convert",
    "local_exponent": "answers",
    "loss_map": "answers.best.loss_map",
    "max_learning_rate": "answers",
    "minimum_odds": "answers.escape.two_minima",
    "momentum_map": "answers.best.momentum_map",
    "noise_gain_map": "answers",
    "noise_scale": "answers.batch.noise_scale",
    "optim": "optim",
    "optimize": "answers.best.optimize",
    "optimize_schedule": "answers.best.optimize_schedule",
    "phase": "answers",
    "plotting": "plotting",
    "predict": "answers",
    "report": "report",
    "schedules": "schedules",
    "spread": "answers.spread",
    "stability": "answers",
    "steps_to_loss": "answers",
    "suggest": "experiments.suggest",
    "symbolic": "symbolic",
    "to_sgd": "answers.convert",
    "translate": "answers.batch.translate",
}


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name not in _ON_FIRST_USE:
        # With name and object Python itself asks "Did you mean: ...".
        raise AttributeError(f"module 'genfun' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    place = _ON_FIRST_USE[name]
    module = importlib.import_module(f"genfun.{place}")
    # What is not in the module is the module.
    value = getattr(module, name, module)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
