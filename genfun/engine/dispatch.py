"""Which generating function serves a method and a noise model."""

from __future__ import annotations

from typing import Any

from genfun import _check
from genfun.engine.average_curve import UniformAverage
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.output_function import OutputFunction
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.noise import Noise, NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.problem import Problem


def transform(problem: Problem, method: Method, noise: NoiseModel) -> Any:
    """The generating function of a method on a problem under a noise model.

    Without sampling noise all models are one, and the spectrum is enough.

    Parameters
    ----------
    problem : Problem
    method : Method
    noise : SpectrallyExpressible or Noise

    Returns
    -------
    Transform

    Raises
    ------
    ValueError
        If the batch is larger than the training set.
    TypeError
        If an argument is of the wrong kind.
    """
    options = getattr(method, "options", "")
    if options:
        _check.setting(problem, method, noise, knows=True)
        quiet = sampling_factor(method.batch_size, problem.n_samples, method.replacement) == 0.0
        model = SpectrallyExpressible() if quiet else noise
        if not isinstance(model, SpectrallyExpressible):
            if getattr(model, "knows_options", False):
                return model.transform(problem, method)
            raise ValueError(
                f"{options}: derived for spectrally expressible noise and that of data, got noise={noise!r}; "
                "pass a SpectrallyExpressible, or noise='measured' with data"
            )
        setting: Any = method
        uniform = isinstance(setting, Averaged) and setting.is_uniform
        return UniformAverage(problem, setting, model) if uniform else OutputFunction(problem, setting, model)
    if isinstance(noise, SpectrallyExpressible):
        return GeneratingFunction(problem, method, noise)
    _check.setting(problem, method, SpectrallyExpressible())
    _check.rates(method.learning_rate, problem.lambda_max)
    if sampling_factor(method.batch_size, problem.n_samples, method.replacement) == 0.0:
        return GeneratingFunction(problem, method)
    if not isinstance(noise, Noise):
        raise TypeError(f"noise must be a SpectrallyExpressible or a genfun.Noise, got {type(noise).__name__}")
    return noise.transform(problem, method)
