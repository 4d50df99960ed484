"""The mean and the scatter of single samples' gradients, gathered in chunks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.func import functional_call, grad_and_value, vmap

from genfun.optim.source import Source

CHUNK_NUMBERS = 1 << 24
"""Numbers in the gradients held at once, where the user names no chunk size."""


class SampleGradients:
    """Gradients and losses of a model, sample by sample or for a whole batch.

    Parameters
    ----------
    model : torch.nn.Module
    criterion : callable
        (outputs, targets) -> mean loss.
    source : callable
        Sample numbers -> (inputs, targets).
    chunk_size : int or None
        Samples evaluated at once.
    """

    def __init__(self, model: torch.nn.Module, criterion: Any, source: Source, chunk_size: int | None) -> None:
        self.model, self.criterion, self.source = model, criterion, source
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        size = sum(p.numel() for p in self.parameters.values())
        self.chunk = max(1, CHUNK_NUMBERS // max(size, 1)) if chunk_size is None else chunk_size

    def _one(self, free: Any, fixed: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.criterion(functional_call(self.model, (free, fixed), (x.unsqueeze(0),)), y.unsqueeze(0))

    def each(self, index: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Gradients of the samples, each of shape (samples, *parameter), and their losses (samples,)."""
        free = {name: p.detach() for name, p in self.parameters.items()}
        fixed = {name: p.detach() for name, p in self.model.named_parameters() if name not in free}
        fixed |= dict(self.model.named_buffers())
        # Made anew in every call: a copy of this object must not keep the original's model.
        of_each = vmap(grad_and_value(self._one), in_dims=(None, None, 0, 0), randomness="different")
        gradients, losses = of_each(free, fixed, *self.source(index))
        return [gradients[name] for name in self.parameters], losses

    @torch.no_grad()
    def loss(self, index: torch.Tensor) -> float:
        """Mean loss of the samples."""
        return sum(
            len(part) * float(self.criterion(self.model(x), y))
            for part in index.split(self.chunk)
            for x, y in (self.source(part),)
        ) / len(index)

    def gradient(self, index: torch.Tensor) -> list[torch.Tensor]:
        """Gradient of the mean loss of the samples."""
        return self._summed(index, None)

    def curvature(self, index: torch.Tensor, vector: list[torch.Tensor]) -> list[torch.Tensor]:
        """Hessian of the mean loss of the samples times a vector."""
        return self._summed(index, vector)

    def _summed(self, index: torch.Tensor, vector: list[torch.Tensor] | None) -> list[torch.Tensor]:
        """Derivatives summed over chunks: the first, or the second along a vector."""
        parameters = list(self.parameters.values())
        total = [torch.zeros_like(p) for p in parameters]
        for part in index.split(self.chunk):
            x, y = self.source(part)
            with torch.enable_grad():
                loss = self.criterion(self.model(x), y) * (len(part) / len(index))
                found = torch.autograd.grad(loss, parameters, create_graph=vector is not None)
                if vector is not None:
                    slope = torch.stack([(g * v).sum() for g, v in zip(found, vector, strict=True)]).sum()
                    if not slope.requires_grad:  # a loss linear in the parameters
                        continue
                    found = torch.autograd.grad(slope, parameters, materialize_grads=True)
            for sum_, g in zip(total, found, strict=True):
                sum_ += g
        return total


class Scatter:
    r"""Running mean of gradients and their sample variance.

    .. math:: V_B = \frac{1}{|B|-1}\sum_{i\in B}|\nabla f_i - \nabla L_B|^2

    The two scalars are summed in double precision: where their difference is lost to rounding, the variance is
    negligible beside the squared gradient.
    """

    def __init__(self, gradients: SampleGradients) -> None:
        self._gradients = gradients
        self._sum = [torch.zeros_like(p) for p in gradients.parameters.values()]
        self._squares, self._losses, self.count = 0.0, 0.0, 0

    def add(self, index: torch.Tensor) -> None:
        """Take more samples into the batch."""
        for part in index.split(self._gradients.chunk):
            gradients, losses = self._gradients.each(part)
            for total, g in zip(self._sum, gradients, strict=True):
                total += g.sum(dim=0)
            self._squares += sum(float(g.double().square().sum()) for g in gradients)
            self._losses += float(losses.double().sum())
            self.count += len(part)

    @property
    def mean(self) -> list[torch.Tensor]:
        """The gradient of the batch's mean loss."""
        return [total / self.count for total in self._sum]

    @property
    def loss(self) -> float:
        """Mean loss of the batch."""
        return self._losses / self.count

    @property
    def squared_norm(self) -> float:
        """|grad L_B|^2."""
        return squared(self._sum) / self.count**2

    @property
    def variance(self) -> float:
        """V_B; inf for a single sample, which says nothing about it."""
        if self.count == 1:
            return math.inf
        return max(self._squares - self.count * self.squared_norm, 0.0) / (self.count - 1)


def squared(tensors: list[torch.Tensor]) -> float:
    """Sum of squares of all entries, in double precision."""
    return sum(float(t.double().square().sum()) for t in tensors)
