"""What a batch size costs: steps and samples to a tenth of the loss that can be learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from genfun.answers.batch.noise_scale import noise_scale
from genfun.answers.batch.tuned import tuned_steps
from genfun.noise import NoiseModel, SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.report.model import BatchCost

SHARE = 0.1
"""Of the signal that is left at the target."""


def batch_costs(
    problem: Problem,
    sizes: Sequence[int | None],
    noise: NoiseModel,
    fitted: SpectrallyExpressible,
    say: Callable[[float], None] = lambda fraction: None,
) -> Iterator[BatchCost]:
    """Steps and samples at the best learning rate without momentum, batch size by batch size.

    Parameters
    ----------
    problem : Problem
    sizes : sequence of int or None
        Batch sizes; None means the full batch, which has a cost only where N is known.
    noise : SpectrallyExpressible or Noise
    fitted : SpectrallyExpressible
        For the noise scale, which knows no other.
    say : callable
        Called with the fraction done.
    """
    target = 0.5 * (SHARE * problem.signal_total + problem.noise_variance)
    if not 0.0 < target < math.inf or problem.signal_total == 0.0 or math.isinf(problem.trace):
        return
    for i, size in enumerate(sizes):
        say(i / len(sizes))
        b = problem.n_samples if size is None else size
        if b is None:
            continue
        steps, setting = tuned_steps(problem, b, target, noise=noise)
        rate, scale = math.nan, math.nan
        if setting is not None and math.isfinite(steps):
            rate = setting.learning_rate
            scale = float(noise_scale(problem, setting, int(steps), fitted).samples)
        yield BatchCost(size, rate, target, steps, steps * b, scale)
