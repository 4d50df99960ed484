"""The best setting of each batch size, and the one to use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from genfun.answers.band import loss_band
from genfun.answers.best.advice import Advice, advice
from genfun.answers.best.loss_map import LossMap, loss_map
from genfun.answers.best.optimize import optimize
from genfun.answers.words.explain import Explanation, explain
from genfun.case import NoiseChoice
from genfun.data.linear import LinearData
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel, SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.report.model import BestSetting

CELLS = 24, 21
"""Learning rates and momenta of the map."""
DECADES, LARGEST_MOMENTUM = 300.0, 0.98
"""It spans learning rates over this factor, and momenta up to this."""


def best_settings(
    problem: Problem,
    sizes: Sequence[int | None],
    step: int,
    noise: NoiseModel,
    say: Callable[[float], None] = lambda fraction: None,
) -> Iterator[BestSetting]:
    """The learning rate and momentum of least loss at one step; none where no learning rate is stable.

    Parameters
    ----------
    problem : Problem
    sizes : sequence of int or None
        Batch sizes; None means the full batch.
    step : int
        T >= 1.
    noise : SpectrallyExpressible or Noise
    say : callable
        Called with the fraction done.
    """
    for i, b in enumerate(sizes):
        say(i / len(sizes))
        if b is not None and math.isinf(problem.trace):
            continue
        found = optimize(problem, b, step, noise=noise)
        band = loss_band(problem, found.method, step) if isinstance(noise, SpectrallyExpressible) else None
        yield BestSetting(found, band)


def to_use(best: Sequence[BestSetting]) -> Advice | None:
    """What to use at the middle one of the mini-batch sizes, or else with full batches.

    Parameters
    ----------
    best : sequence of BestSetting
    """
    if not best:
        return None
    optima = [setting.optimum for setting in best]
    small = [optimum for optimum in optima if optimum.method.batch_size is not None] or optima
    return advice(small[len(small) // 2])


def in_words(source: object, problem: Problem, found: Advice, noise: NoiseModel, own: NoiseChoice) -> Explanation:
    """The setting to use, explained.

    Parameters
    ----------
    source : LinearData or a problem
    problem : Problem
        What is computed with.
    found : Advice
    noise : SpectrallyExpressible or Noise
    own : "measured", "exact", "fitted" or None
        The name of the noise where problem and noise are those of the data as they are.
    """
    chosen = found.chosen
    if own is not None and isinstance(source, LinearData):
        return explain(source, chosen.method, chosen.steps, own)
    return explain(problem, chosen.method, chosen.steps, noise)


def chart_about(problem: Problem, method: SGD, step: int, noise: NoiseModel) -> LossMap:
    """The loss over learning rate and momentum about a setting, at its batch size.

    Parameters
    ----------
    problem : Problem
    method : SGD
        The setting, which lies in the map.
    step : int
        T.
    noise : SpectrallyExpressible or Noise
    """
    high = 4.0 / problem.lambda_max
    rates = np.geomspace(min(high / DECADES, method.learning_rate / 5.0), high, CELLS[0])
    most = max(LARGEST_MOMENTUM, abs(method.momentum))
    return loss_map(problem, rates, np.linspace(-most, most, CELLS[1]), step, method.batch_size, noise)
