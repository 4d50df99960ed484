"""Losses of schedules under the data's own noise, for a choice among those that were found with fitted constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genfun.answers.predict import predict
from genfun.case import Case
from genfun.sample_space.scheduled_steps import scheduled_steps
from genfun.schedules import ScheduledSGD

MOST_STEPS = 3_000
"""No schedule is followed further under the noise of data: a dozen of them take some seconds."""


def own_losses(case: Case, momentum: float) -> Callable[[ScheduledSGD, int], float]:
    """The mean loss of a schedule after some steps under the data's own noise, on few of its vectors.

    Parameters
    ----------
    case : Case
        With data.
    momentum : float
        The largest of either sign.

    Returns
    -------
    callable
        (schedule, steps) -> loss.
    """
    assert case.data is not None
    noise, problem = case.data.measured_noise.quick(abs(momentum)), case.problem

    def loss(method: ScheduledSGD, steps: int) -> float:
        if method.batch_size is None:
            return float(predict(problem, method, steps).loss)
        # Not the data: what is compared must be on the same vectors.
        run: Any = scheduled_steps(noise, problem, None, method, steps)
        return float(run.run(steps + 1)[0].value()[-1])

    return loss
