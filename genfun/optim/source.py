"""Where batches come from: tensors, a dataset, or a function of sample numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import default_collate

from genfun import _check

Source = Callable[[torch.Tensor], Any]


def batch_source(samples: Any, n_samples: int | None) -> tuple[Source, int]:
    """The function from sample numbers to (inputs, targets), and how many samples there are.

    Parameters
    ----------
    samples : pair of tensors, Dataset, or callable
        See `BigBatchSGD`.
    n_samples : int or None
        Needed with a callable; otherwise the length of the samples.
    """
    if isinstance(samples, (tuple, list)):
        return _tensors(samples, n_samples)
    if hasattr(samples, "__getitem__") and hasattr(samples, "__len__"):
        return (lambda index: tuple(default_collate([samples[int(i)] for i in index]))), _agreed(
            len(samples), n_samples
        )
    if not callable(samples):
        raise TypeError(
            "samples must be a pair (inputs, targets) of tensors, a Dataset or a callable, "
            f"got {type(samples).__name__}"
        )
    if n_samples is None:
        raise ValueError("n_samples is needed where samples is a callable; pass the number of training samples")
    return samples, _check.integer("n_samples", n_samples, 1)


def _tensors(samples: Any, n_samples: int | None) -> tuple[Source, int]:
    if len(samples) != 2 or not all(isinstance(part, torch.Tensor) for part in samples):
        raise TypeError("samples must be a pair (inputs, targets) of tensors, a Dataset or a callable")
    inputs, targets = samples
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise ValueError(
            f"samples must hold as many inputs as targets, at least one; got {len(inputs)} and {len(targets)}"
        )

    def gather(index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs[index.to(inputs.device)], targets[index.to(targets.device)]

    return gather, _agreed(len(inputs), n_samples)


def _agreed(length: int, n_samples: int | None) -> int:
    if n_samples is not None and _check.integer("n_samples", n_samples, 1) != length:
        raise ValueError(f"n_samples must be {length}, the length of samples, got {n_samples}; leave it out")
    if length == 0:
        raise ValueError("samples is empty; pass at least one sample")
    return length
