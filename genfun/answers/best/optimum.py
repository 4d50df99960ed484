"""The best setting, and how much depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from genfun._display import Displayed, digits_of, percent
from genfun.engine.edge import curvature_limit
from genfun.noise import NoiseModel
from genfun.problems.problem import Problem

EPOCHS_UNCERTAIN = (
    "epochs uncertain: the theory is not trusted here, and this need not be the best setting; compare its runs with "
    "those of the best with sampling='fresh', by simulate(..., order='epochs')"
)
"""Without label noise, on rows of a few kinds, the latter went to 0 where the former stayed at 1e-10 to 1e-8."""
NEAR_EDGE = 0.9
"""Share of the edge beyond which digits of the loss are not to be believed."""


@dataclass(frozen=True, repr=False)
class Optimum(Displayed):
    """The best setting, and how much depends on it.

    Parameters
    ----------
    method : Method
        Learning rate, momentum and batch size; an SGD unless another was asked for.
    loss : float
        Predicted mean loss at `steps`.
    steps : int
        T.
    at_bound : bool
        Whether the optimum sits on a bound of the search, so that the true one may lie beyond.
    bounds : tuple of str
        Which.
    share_of_edge : float
        Learning rate over the largest stable one at this momentum and batch.
    gain : float
        1 - loss / (least loss with momentum 0): what momentum, of either sign, is worth.
    learning_rate_range, momentum_range : (float, float)
        How far each can move, the other kept, for 5 % more loss.
    loss_band : (float, float) or None
        The loss of this setting at tau2 = -tau1 and tau2 = tau1: what spectrally expressible noise leaves open. None
        for another noise, such as that of data, which has a `noise_error`.
    noise_error : float
        Estimated relative error of the loss by what the noise model leaves out; nan for a model that does not know.
    smaller_rate_cost : float
        What a learning rate 10 % smaller costs: its loss over that of this setting, less 1.
    status : str
        As of `predict` at this setting; "epochs uncertain" also shows in the words, with what to do: such a setting
        need not be the best.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.optimize(gf.PowerLaw(1.5, 2.0, n_modes=50), batch_size=1, steps=500, momentum=0.0)
    Optimum(loss ... at step 500: learning_rate=..., momentum=0, batch_size=1)
    """

    method: Any
    loss: float
    steps: int
    at_bound: bool
    bounds: tuple[str, ...]
    share_of_edge: float
    gain: float
    learning_rate_range: tuple[float, float]
    momentum_range: tuple[float, float]
    loss_band: tuple[float, float] | None
    noise_error: float = field(compare=False)
    smaller_rate_cost: float = field(compare=False)
    status: str = field(default="ok", compare=False)
    _asked: tuple[Problem, NoiseModel, float] = field(init=False, repr=False, compare=False)

    @property
    def near_edge(self) -> bool:
        """Whether the learning rate is so near an edge set by batch noise that rare runs carry the mean."""
        largest = self.method.learning_rate / self.share_of_edge
        return self.share_of_edge > NEAR_EDGE and largest < (1.0 - 1e-6) * curvature_limit(self._asked[0], self.method)

    @property
    def digits(self) -> int:
        """Significant digits that the loss deserves."""
        return 2 if self.near_edge else digits_of(self.noise_error)

    @property
    def caution(self) -> str:
        """What a 10 % smaller learning rate costs, with a warning near the edge."""
        more = self.smaller_rate_cost
        times = f"{1.0 + more:.3g}" if more < 1e6 else "over a million"
        share = percent(more, 3) if more >= 0.0005 else "less than 0.1 %"
        cost = f"costs {share} more loss" if more < 10.0 else f"has {times} times the loss"
        text = f"a learning rate 10 % smaller {cost}"
        if not self.near_edge:
            return text
        return f"near the edge: the mean is carried by rare runs, and a single run may well blow up; {text}"

    def __repr__(self) -> str:
        m, beta = self.method, getattr(self.method, "momentum", None)
        momentum = "" if beta is None else f"momentum={beta:.4g}, "
        sign = "negative " if beta is not None and beta < 0.0 else ""
        size = "full batch" if m.batch_size is None else f"batch_size={m.batch_size}"
        worth = f", {sign}momentum worth {percent(self.gain)}" if self.gain > 0.0 else ""
        bound = f", at a bound: {'; '.join(self.bounds)}" if self.at_bound else ""
        return (
            f"Optimum(loss {self.loss:.{self.digits}g} at step {self.steps}: learning_rate={m.learning_rate:.4g}, "
            f"{momentum}{size}{worth}{bound}{self._doubts()})"
        )

    def _doubts(self) -> str:
        noise = f", noise error about {self.noise_error:.1e}" if self.noise_error > 0.0 else ""
        noise += f", {EPOCHS_UNCERTAIN}" if self.status == "epochs uncertain" else ""
        return f"{noise}, {self.caution}" if self.near_edge else noise
