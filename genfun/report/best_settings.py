"""The best setting of each batch size, the phase of every setting shown, and one setting in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from genfun.answers._band import loss_band
from genfun.answers.best.optimize import optimize
from genfun.answers.words.explain import Explanation, explain, phase_or_none
from genfun.data.linear import LinearData
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.report.model import BestSetting, SettingPhase


def best_settings(
    problem: Problem,
    sizes: Sequence[int | None],
    step: int,
    noise: SpectrallyExpressible,
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
    noise : SpectrallyExpressible
    say : callable
        Called with the fraction done.
    """
    for i, b in enumerate(sizes):
        say(i / len(sizes))
        if b is not None and math.isinf(problem.trace):
            continue
        found = optimize(problem, b, step, noise=noise)
        band = loss_band(problem, found.method, step)
        yield BestSetting(
            batch_size=b,
            learning_rate=found.method.learning_rate,
            momentum=found.method.momentum,
            step=step,
            loss=found.loss,
            at_tau2_plus=float(band.plus),
            at_tau2_minus=float(band.minus),
            share_of_edge=found.share_of_edge,
            gain=found.gain,
            learning_rate_range=found.learning_rate_range,
            momentum_range=found.momentum_range,
            bounds=found.bounds,
        )


def setting_phase(problem: Problem, method: SGD, choice: str, noise: SpectrallyExpressible) -> SettingPhase:
    """The phase of a setting; all but its name is nan or None where the spectrum has no exponents.

    Parameters
    ----------
    problem : Problem
    method : SGD
    choice : str
        Why the setting is shown.
    noise : SpectrallyExpressible
    """
    f = phase_or_none(problem, method, noise)
    nan = math.nan
    return SettingPhase(
        batch_size=method.batch_size,
        momentum=method.momentum,
        learning_rate=method.learning_rate,
        choice=choice,
        name=None if f is None else f.name,
        exponent=nan if f is None else f.exponent,
        constant=nan if f is None else f.constant,
        transition_step=nan if f is None else f.transition_step,
        divergence_step=nan if f is None else f.divergence_step,
        end_step=nan if f is None else f.end_step,
        notes=() if f is None else f.notes,
    )


def in_words(
    source: object, problem: Problem, best: Sequence[BestSetting], noise: SpectrallyExpressible, estimated: bool
) -> Explanation | None:
    """The best setting of the middle one of the mini-batch sizes, or else of the full batch, explained.

    Parameters
    ----------
    source : LinearData or a problem
    problem : Problem
        What is computed with.
    best : sequence of BestSetting
    noise : SpectrallyExpressible
    estimated : bool
        Whether problem and noise are those of the data as they are.
    """
    if not best:
        return None
    small = [setting for setting in best if setting.batch_size is not None] or list(best)
    chosen = small[len(small) // 2]
    method = SGD(chosen.learning_rate, chosen.momentum, chosen.batch_size)
    if estimated and isinstance(source, LinearData):
        return explain(source, method, chosen.step)
    return explain(problem, method, chosen.step, noise)
