"""The setting to use: the simplest that is as good as the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from genfun._display import percent
from genfun.answers.best.optimize import optimize
from genfun.answers.best.optimum import Optimum
from genfun.methods.averaged import Averaged
from genfun.softmax.optimize import WITHIN

USUAL = 0.9
"""The momentum that everybody uses."""


@dataclass(frozen=True)
class Advice:
    """The setting to use, and the best one.

    Parameters
    ----------
    chosen : Optimum
        To use: the best learning rate at its momentum.
    best : Optimum
        Over all momenta; the same where nothing simpler is as good.

    Examples
    --------
    >>> import genfun as gf
    >>> advice(gf.optimize(gf.PowerLaw(1.5, 2.0, n_modes=50), batch_size=1, steps=500)).method.momentum
    0.0
    """

    chosen: Optimum
    best: Optimum

    @property
    def method(self) -> Any:
        """The setting to use."""
        return self.chosen.method

    @property
    def why(self) -> str:
        """What momentum is worth, as part of a sentence; "" where none was searched, or none is best."""
        if self.best.gain == 0.0:
            return ""
        if self.method.momentum == 0.0:
            return f"momentum is worth {percent(self.best.gain)} here and is left out"
        worth = f"momentum lowers the least loss by {percent(self.best.gain)}"
        if self.chosen is self.best:
            return worth
        more, beta = max(self.chosen.loss / self.best.loss - 1.0, 0.0), self.best.method.momentum
        return f"{worth}; {self.method.momentum:g} costs {percent(more)} more than the best one, {beta:.4g}"


def advice(best: Optimum) -> Advice:
    r"""The best setting without momentum, or else with momentum 0.9, if its loss is at most 1 % above the least.

    .. math:: \beta = 0\ \text{ if }\ L_0 \le 1.01\,L,\quad\text{else}\quad
              \beta = 0.9\ \text{ if }\ L_{0.9} \le 1.01\,L,\quad\text{else that of the best},

    where L is the least loss, and L_0, L_0.9 that of the best learning rate at this momentum.

    **Assumptions.** Those of `optimize`. A momentum that was asked for is kept, and so are the settings of averaged
    weights and of epochs, whose searches are long. A simpler setting near an edge of noise is taken only where the best
    is near it too.

    Parameters
    ----------
    best : Optimum
        From `optimize`.

    Examples
    --------
    >>> import genfun as gf
    >>> advice(gf.optimize(gf.PowerLaw(1.5, 2.0, n_modes=50), batch_size=1, steps=500)).why
    'momentum is worth ... % here and is left out'
    """
    for momentum in (0.0, USUAL) if _searched(best) else ():
        # What momentum is worth is known; and a negative one is simplified to none, if at all.
        hopeless = best.gain > WITHIN if momentum == 0.0 else best.method.momentum < 0.0
        found = None if hopeless else _at(best, momentum)
        if found is not None and found.loss <= (1.0 + WITHIN) * best.loss and (best.near_edge or not found.near_edge):
            return Advice(found, best)
    return Advice(best, best)


def _searched(best: Optimum) -> bool:
    """Whether the momentum was searched and is none, and whether searching again is quick."""
    method, (low, high) = best.method, best.momentum_range
    if isinstance(method, Averaged) or getattr(method, "sampling", "fresh") == "epochs":
        return False
    return getattr(method, "momentum", 0.0) != 0.0 and low < high and 0.0 < best.loss < math.inf


def _at(best: Optimum, momentum: float) -> Optimum:
    problem, noise, most_share = best._asked
    size = best.method.batch_size
    return optimize(problem, size, best.steps, momentum, noise, method=best.method, max_share_of_edge=most_share)
