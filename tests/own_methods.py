"""Methods of one's own, as a user would write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Nesterov:
    """As torch has it with nesterov=True: the parameter is the point where the gradient is taken."""

    learning_rate: float
    momentum: float
    batch_size: int | None = None
    replacement: bool = False

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        return (self.momentum,)

    @staticmethod
    def update(a: Any, beta: Any, /) -> Any:
        # v' = beta v - a w - eps, w' = w + beta v' - a w - eps
        return ((1 - (1 + beta) * a, beta**2), (-a, beta)), (1 + beta, 1)


class GradientDescent:
    """A single state and no hyperparameter."""

    @staticmethod
    def update(a: Any, /) -> Any:
        return ((1 - a,),), (1,)
