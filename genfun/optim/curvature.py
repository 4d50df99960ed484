"""The largest eigenvalue of a model's Hessian, from which `BigBatchSGD` derives its learning rate."""

from __future__ import annotations

import torch

from genfun.optim.sample_gradients import SampleGradients, squared

ITERATIONS, SETTLED = 50, 1e-2
"""Power iteration ends after so many products, or when the eigenvalue changes by less than this share."""


def largest_curvature(gradients: SampleGradients, index: torch.Tensor) -> float:
    """The Hessian's eigenvalue of largest size, by power iteration from the gradient; 0.0 at a critical point.

    Parameters
    ----------
    gradients : SampleGradients
        Model, criterion and samples.
    index : tensor
        Sample numbers that the loss is taken over.
    """
    vector, value = gradients.gradient(index), 0.0
    for _ in range(ITERATIONS):
        norm = squared(vector) ** 0.5
        if norm == 0.0:
            return value
        vector = [v / norm for v in vector]
        old, vector = value, gradients.curvature(index, vector)
        value = squared(vector) ** 0.5
        if abs(value - old) <= SETTLED * value:
            break
    return value
