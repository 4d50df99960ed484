"""What one change of the setting would gain: learning rate, momentum, both, or batch size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genfun.answers.best.loss_map import loss_map
from genfun.answers.best.optimize import optimize
from genfun.answers.predict import predict
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel, SpectrallyExpressible, quick
from genfun.problems.problem import Problem

What = Literal["learning rate", "momentum", "learning rate and momentum", "batch size"]
MOMENTUM_CAP = 0.99
CELLS, ROUNDS, SHRINK = 21, 3, 8.0
"""Momenta of one map, how often it is drawn closer about its least loss, and by how much."""
BATCH_FACTORS = (0.25, 4.0)


@dataclass(frozen=True)
class Change:
    """A change of the setting and what it is predicted to gain.

    Parameters
    ----------
    what : str
        "learning rate", "momentum", "learning rate and momentum", or "batch size" (at the same momentum, with the
        learning rate that is best for it).
    method : SGD
        The setting after the change.
    steps : int
        Step at which it is judged: the one asked for; for another batch size, that of the same number of samples.
    loss : float
        Predicted mean loss there; `log_loss` neither over- nor underflows.
    log_loss : float
        Natural logarithm of it.
    log_gain : float
        Natural logarithm of loss before / loss after, at the same number of samples; inf if it cannot be told how
        much larger the loss before is.
    """

    what: What
    method: SGD
    steps: int
    loss: float
    log_loss: float
    log_gain: float


def changes(problem: Problem, method: SGD, steps: int, noise: NoiseModel, log_loss: float) -> tuple[Change, ...]:
    """The changes, in the order of `What`; empty where no learning rate is stable, or the loss is 0.

    Parameters
    ----------
    problem : Problem
    method : SGD
        The setting to improve on.
    steps : int
        T >= 1.
    noise : SpectrallyExpressible or Noise
    log_loss : float
        Of the setting at that step.
    """
    b, beta = method.batch_size, method.momentum
    if log_loss == -math.inf or (np.isinf(problem.trace) and b is not None):
        return ()
    if method.replacement and isinstance(noise, SpectrallyExpressible):
        problem = _streaming(problem)  # the same sampling factor, 1/b, and batches of any size
    drawn = SGD(1.0, replacement=method.replacement)

    def judged(what: What, tried: SGD, at: int) -> Change:
        found = predict(problem, tried, at, noise)
        after = float(found.log_loss)
        gain = math.inf if log_loss == math.inf else log_loss - after
        return Change(what, replace(tried, replacement=method.replacement), at, float(found.loss), after, gain)

    rate = optimize(problem, b, steps, beta, noise, method=drawn).method
    momentum = _best_momentum(problem, method, steps, noise)
    both = optimize(problem, b, steps, None, noise, method=drawn).method
    found = [
        judged("learning rate", rate, steps),
        judged("momentum", momentum, steps),
        judged("learning rate and momentum", both, steps),
    ]
    sizes = _batch_sizes(problem, b, steps)
    if sizes:
        tried = [judged("batch size", optimize(problem, c, t, beta, noise, method=drawn).method, t) for c, t in sizes]
        found.append(min(tried, key=lambda change: change.log_loss))
    return tuple(found)


def _streaming(problem: Any) -> Any:
    return replace(problem, n_samples=None)


def _best_momentum(problem: Problem, method: SGD, steps: int, noise: NoiseModel) -> SGD:
    cap, noise = math.atanh(MOMENTUM_CAP), quick(noise, MOMENTUM_CAP)
    low, high, best, least = -cap, cap, method.momentum, math.inf
    for _ in range(ROUNDS):
        betas = np.tanh(np.linspace(low, high, CELLS))
        table = loss_map(problem, [method.learning_rate], betas, steps, noise=noise, method=method).log_loss[0]
        table = np.where(np.isnan(table), np.inf, table)
        i = int(table.argmin())
        if table[i] < least:
            best, least = float(betas[i]), float(table[i])
        width = (high - low) / SHRINK
        centre = math.atanh(best)
        low, high = max(centre - width, -cap), min(centre + width, cap)
    return replace(method, momentum=best, replacement=False)


def _batch_sizes(problem: Problem, batch_size: int | None, steps: int) -> list[tuple[int, int]]:
    """Other batch sizes, with the step of the same number of samples, to 5 %."""
    old = problem.n_samples if batch_size is None else batch_size
    if old is None:
        return []
    found: dict[int, int] = {}
    for factor in BATCH_FACTORS:
        b = max(1, round(old * factor))
        t = round(steps * old / b)
        if b != old and t >= 1 and (problem.n_samples is None or b <= problem.n_samples):
            if abs(t * b / (steps * old) - 1.0) < 0.05:
                found[b] = t
    return sorted(found.items())
