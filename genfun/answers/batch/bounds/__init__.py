"""Upper bounds on the steps to a small gradient of a smooth, possibly nonconvex loss, against the batch size.

They are bounds: on a linear problem `steps_to_loss` and `critical_batch_size` give the numbers themselves.
"""

from __future__ import annotations

from genfun.answers.batch.bounds._bound import BatchChoice, SmoothConstants, StepsBound
from genfun.answers.batch.bounds.constant_rates import (
    adam_bound,
    constant_rate_bound,
    heavy_ball_bound,
    linear_scaling_bound,
    tuned_rate_bound,
)
from genfun.answers.batch.bounds.decaying_rates import polynomial_decay_bound, step_decay_bound

__all__ = [
    "BatchChoice",
    "SmoothConstants",
    "StepsBound",
    "adam_bound",
    "constant_rate_bound",
    "heavy_ball_bound",
    "linear_scaling_bound",
    "polynomial_decay_bound",
    "step_decay_bound",
    "tuned_rate_bound",
]
