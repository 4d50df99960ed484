"""A torch scheduler that reads the rate and the momentum of every step from a table."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from genfun._typing import Array, Float


class TabulatedLR(LRScheduler):
    """Sets the learning rate and the momentum of every step; beyond the table the rate is 0.

    **Assumptions.** `step()` is called after every batch. All parameter groups get the same values, and a group without
    a momentum gets the rate alone.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    rates : array, shape (T,)
        alpha_t.
    momenta : array, shape (T,)
        beta_t, in torch's convention.

    Examples
    --------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.5)
    >>> scheduler = TabulatedLR(optimizer, [0.4, 0.2], [0.5, 0.9])
    >>> optimizer.step()
    >>> scheduler.step()
    >>> optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]
    (0.2, 0.9)
    """

    def __init__(self, optimizer: Any, rates: Float[Array, " T"] | Any, momenta: Float[Array, " T"] | Any) -> None:
        self.rates, self.momenta = [float(x) for x in rates], [float(x) for x in momenta]
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """The rates of the present step, one a group; the momenta are set on the way."""
        known = self.last_epoch < len(self.rates)
        for group in self.optimizer.param_groups:
            if known and "momentum" in group:
                group["momentum"] = self.momenta[self.last_epoch]
        return [self.rates[self.last_epoch] if known else 0.0] * len(self.optimizer.param_groups)
