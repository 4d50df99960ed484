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
        return Checked(FromDataset(samples)), _agreed(len(samples), n_samples)
    if not callable(samples):
        raise TypeError(
            "samples must be a pair (inputs, targets) of tensors, a Dataset or a callable, "
            f"got {type(samples).__name__}"
        )
    if n_samples is None:
        raise ValueError("n_samples is needed where samples is a callable; pass the number of training samples")
    return Checked(samples), _check.integer("n_samples", n_samples, 1)


class Checked:
    """A source whose batches must be of the samples asked for: all counts of the test rest on that."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __call__(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these sample numbers, in their order."""
        batch = self.source(index)
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"samples must give pairs (inputs, targets), got {got}; leave out or join the others")
        for name, part in zip(("inputs", "targets"), batch, strict=True):
            if not isinstance(part, torch.Tensor):
                raise TypeError(f"samples must give tensors, got {name} of type {type(part).__name__}; convert them")
            if part.ndim == 0 or len(part) != len(index):
                raise ValueError(
                    f"samples gave {name} of shape {tuple(part.shape)} for {len(index)} sample numbers; "
                    "return one row for each number, in their order"
                )
        return batch[0], batch[1]


class FromDataset:
    """Batches from an indexable dataset."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __call__(self, index: torch.Tensor) -> Any:
        """Inputs and targets of these sample numbers, in their order."""
        return default_collate([self.samples[int(i)] for i in index])


class FromTensors:
    """Batches from two tensors."""

    def __init__(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __call__(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these sample numbers, in their order."""
        return self.inputs[index.to(self.inputs.device)], self.targets[index.to(self.targets.device)]

    def __deepcopy__(self, memo: dict[int, Any]) -> FromTensors:
        return self  # samples are read only


def _tensors(samples: Any, n_samples: int | None) -> tuple[Source, int]:
    if len(samples) != 2 or not all(isinstance(part, torch.Tensor) for part in samples):
        raise TypeError("samples must be a pair (inputs, targets) of tensors, a Dataset or a callable")
    inputs, targets = samples
    if inputs.ndim == 0 or targets.ndim == 0:
        raise ValueError("samples must hold one row a sample, got a tensor without dimensions; reshape it")
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise ValueError(
            f"samples must hold as many inputs as targets, at least one; got {len(inputs)} and {len(targets)}"
        )
    return FromTensors(inputs, targets), _agreed(len(inputs), n_samples)


def _agreed(length: int, n_samples: int | None) -> int:
    if n_samples is not None and _check.integer("n_samples", n_samples, 1) != length:
        raise ValueError(f"n_samples must be {length}, the length of samples, got {n_samples}; leave it out")
    if length == 0:
        raise ValueError("samples is empty; pass at least one sample")
    return length
