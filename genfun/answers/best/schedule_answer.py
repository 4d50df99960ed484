"""The answer to which schedule is best: in words, as a table, and as torch takes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._display import Displayed, percent
from genfun._typing import Array, Float
from genfun.methods.averaged import Averaged
from genfun.schedules import ScheduledSGD
from genfun.schedules.trapezoid import HoldThenLinear

HOLD, TAIL, MOVING = "hold then linear", "constant, tail averaged", "moving momentum"
OWN_NOISE, FITTED_NOISE, NOISE_MODEL = "the data's measured noise", "the fitted noise", "the noise model"
"""Whose an edge or a loss is."""


def over(loss: float, least: float) -> float:
    """Their ratio; 1 where targets of zeros leave nothing of both.

    Parameters
    ----------
    loss, least : float

    Examples
    --------
    >>> over(3.0, 2.0), over(0.0, 0.0)
    (1.5, 1.0)
    """
    return loss / least if least != 0.0 else 1.0 if loss == 0.0 else math.inf


@dataclass(frozen=True, eq=False, repr=False)
class BestSchedule(Displayed):
    """The best simple schedule, and how far it is from the best of all.

    Attributes
    ----------
    method : ScheduledSGD
        The answer, with torch's momentum.
    loss : float
        Predicted mean loss after `steps`.
    family : str
        "hold then linear", or the family that beats it.
    averaged : Averaged
        What needs no schedule: the best constant rate, with the weights of its last steps averaged. Its loss is
        `gaps["constant, tail averaged"] * free_loss`.
    steps : int
        T; fewer than asked for where the batches grow.
    free_rates, free_momenta : array, shape (T,)
        Those of the free optimum below the same cap, at the first batch size.
    free_loss : float
        Its loss, the yardstick.
    gaps : dict of str to float
        Family -> its loss at its best over `free_loss`.
    at_20_percent_more : float
        Loss of the answer with every rate 20 % larger; inf if the largest is beyond the edge and the loss overflows.
    edge : float
        The largest stable learning rate, at the largest momentum and the first batch size of the answer.
    edge_of : str
        Which noise that edge is of.
    share_of_edge : float
        The cap of every rate, as a share of the edge.
    noise_error : float
        Where `loss_of` is the data's own noise, what that leaves out of the loss, relative; where it is the fitted one,
        how far that is from the data's own: the relative difference of the loss at the best constant rate, after as
        many steps; nan without data.
    loss_of : str
        Which noise the losses are of, by which the families are compared.

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    >>> gf.best_schedule(problem, steps=100)
    BestSchedule(... of the edge: loss ... at step 100, ... times the free optimum's, ... at 20 % more rate)
    """

    method: ScheduledSGD
    loss: float
    family: str
    averaged: Averaged
    steps: int
    free_rates: Float[Array, " T"]
    free_momenta: Float[Array, " T"]
    free_loss: float
    gaps: dict[str, float]
    at_20_percent_more: float
    edge: float
    edge_of: str
    share_of_edge: float
    noise_error: float
    loss_of: str

    @property
    def peak(self) -> float:
        """The largest learning rate of the answer."""
        return float(self.method.at(np.arange(self.steps))[0].max())

    @property
    def shape(self) -> str:
        """The schedule in words."""
        rates, momenta, sizes = self.method.at(np.arange(self.steps))
        if self.family == MOVING:
            top = int(momenta.argmax())
            return (
                f"momentum {momenta[0]:.2g} to {momenta[top]:.2g} at {percent(top / self.steps)} and to "
                f"{momenta[-1]:.2g}, rate from {rates[0]:.3g} to {rates[top]:.3g} there"
            )
        share = f"{self.peak / self.edge:.2g} of the edge"
        rate = self.method.learning_rate
        if sizes is not None and sizes[-1] > sizes[0]:
            return f"{self.family} from {share}, batches from {sizes[0]:,} to {sizes[-1]:,}"
        if not isinstance(rate, HoldThenLinear):
            return f"{self.family} from {share}"
        if rate.hold == 1.0:
            return f"hold at {share} to the end"
        if rate.hold == 0.0:
            return f"from {share} in a line to 0"
        return f"hold at {share} for {percent(rate.hold)}, then to 0"

    def table(self) -> dict[str, Array]:
        """Step, learning rate, momentum and batch size of every step; a full batch stands as 0."""
        every = np.arange(self.steps)
        rates, momenta, sizes = self.method.at(every)
        sizes = np.zeros(every.size, dtype=np.int64) if sizes is None else sizes
        return {"step": every, "learning_rate": rates, "momentum": momenta, "batch_size": sizes}

    def lambda_lr(self) -> Callable[[int], float]:
        """The function for `torch.optim.lr_scheduler.LambdaLR`, with an optimizer whose lr is `peak`.

        `torch.optim.SGD(parameters, lr=best.peak, momentum=best.method.momentum)` under it, stepped after every batch,
        has the rates and the momentum (in torch's convention) of `method`. A momentum that moves needs `scheduler`.
        """
        if self.family == MOVING:
            raise ValueError("the momentum of this schedule moves, which LambdaLR cannot do; use scheduler(optimizer)")
        rates = self.method.at(np.arange(self.steps))[0] / self.peak

        def factor(step: int) -> float:
            return float(rates[step]) if step < rates.size else 0.0

        return factor

    def scheduler(self, optimizer: Any) -> Any:
        """A torch scheduler that sets the rate and the momentum of every step, whatever lr the optimizer has.

        To be stepped after every batch, as `LambdaLR` is; its state is saved and loaded as that of torch's own.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            A `torch.optim.SGD` or `genfun.optim.SGD`; one without momentum gets the rates alone.
        """
        from genfun.optim.tabulated import TabulatedLR

        rates, momenta, _ = self.method.at(np.arange(self.steps))
        return TabulatedLR(optimizer, rates, momenta)

    @property
    def averaging(self) -> str:
        """What needs no schedule, in words."""
        part = 1.0 - self.averaged.start / self.free_rates.size
        rate = self.averaged.learning_rate
        averaged = f"constant at {rate:.3g} with the last {percent(part)} averaged"
        return f"{averaged}: {self.gaps[TAIL]:.4g} times the free optimum's"

    def __repr__(self) -> str:
        off = f", noise error about {self.noise_error:.1e}" if self.noise_error > 0.0 else ""
        times = over(self.loss, self.free_loss)
        return (
            f"BestSchedule({self.shape}: loss {self.loss:.6g} at step {self.steps}, {times:.3g} "
            f"times the free optimum's, {self.at_20_percent_more:.4g} at 20 % more rate{off})"
        )
