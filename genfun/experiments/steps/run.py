"""One training run to a target loss, which is looked for often enough that neither epochs nor checks round it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from genfun.experiments.steps.optimizers import Maker

CHECK_SHARE = 0.02
"""The loss is looked at whenever the step has grown by this share."""
HOPELESS = 1e4
"""A run whose loss is so many times that of the start is given up."""
CHUNK = 4096
"""Samples evaluated together."""


@dataclass(frozen=True)
class TrainingTask:
    """What is trained, on what, and to which loss.

    Parameters
    ----------
    model : torch.nn.Module
        With the weights that every run starts from; it is not changed.
    loss_fn : callable
        (outputs, targets) to the mean loss of a batch.
    inputs, targets : tensors
        N samples.
    target : float
        The loss over all samples that counts as reached.
    sampling : "fresh" or "epochs"
        Batches drawn anew at every step, or one shuffle an epoch.
    """

    model: Any
    loss_fn: Callable[[Any, Any], Any]
    inputs: Any
    targets: Any
    target: float
    sampling: str

    def loss(self, model: Any) -> float:
        """The mean loss over all samples."""
        import torch

        total, n = 0.0, len(self.inputs)
        with torch.no_grad():
            for start in range(0, n, CHUNK):
                part = slice(start, start + CHUNK)
                size = len(self.inputs[part])
                total += float(self.loss_fn(model(self.inputs[part]), self.targets[part])) * size
        return total / n

    def batches(self, size: int, generator: Any) -> Iterator[Any]:
        """Indices of one batch after the other, without end."""
        import torch

        n, left = len(self.inputs), torch.zeros(0, dtype=torch.long)
        while True:
            if self.sampling == "fresh":
                # Keeping the smallest of random numbers would sort; a few repeats redrawn are quicker than a shuffle.
                yield _distinct(n, size, generator)
                continue
            while len(left) < size:
                left = torch.cat((left, torch.randperm(n, generator=generator)))
            yield left[:size]
            left = left[size:]


def _distinct(n: int, size: int, generator: Any) -> Any:
    import torch

    if 8 * size > n:
        return torch.randperm(n, generator=generator)[:size]
    while True:
        drawn = torch.randint(n, (size,), generator=generator)
        if len(torch.unique(drawn)) == size:
            return drawn
        kept = torch.unique(drawn)
        while len(kept) < size:
            kept = torch.unique(torch.cat((kept, torch.randint(n, (size,), generator=generator))))
        return kept[torch.randperm(len(kept), generator=generator)[:size]]


def steps_to_target(
    task: TrainingTask, make: Maker, learning_rate: float, batch_size: int, seed: int, limit: int
) -> float:
    """Steps until the loss over all samples is at the target, between two checks by its logarithm; inf beyond a limit.

    Parameters
    ----------
    task : TrainingTask
    make : callable
        (parameters, learning rate) to an optimizer.
    learning_rate : float
    batch_size : int
    seed : int
        Of the batches.
    limit : int
        Steps after which the run is given up.
    """
    import torch

    model = copy.deepcopy(task.model)
    generator = torch.Generator().manual_seed(seed)
    optimizer = make([p for p in model.parameters() if p.requires_grad], learning_rate)
    start = task.loss(model)
    if start <= task.target:
        return 0.0
    before, seen, check = start, 0, 1
    stream = task.batches(batch_size, generator)
    for step in range(1, limit + 1):
        pick = next(stream)
        optimizer.zero_grad()
        task.loss_fn(model(task.inputs[pick]), task.targets[pick]).backward()
        optimizer.step()
        if step < check and step < limit:
            continue
        now = task.loss(model)
        if now <= task.target:
            part = _part(before, now, task.target)
            return seen + part * (step - seen)
        if not now < HOPELESS * start:
            return math.inf
        before, seen, check = now, step, step + max(int(CHECK_SHARE * step), 1)
    return math.inf


def _part(before: float, now: float, target: float) -> float:
    if not (math.isfinite(before) and now > 0.0 and before > now):
        return 1.0
    return (math.log(before) - math.log(target)) / (math.log(before) - math.log(now))
