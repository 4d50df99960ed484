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


@dataclass(frozen=True)
class QuasiHyperbolic:
    """Quasi-hyperbolic momentum (arXiv 1810.06801): a share nu of momentum, the rest plain; two hyperparameters."""

    learning_rate: float
    momentum: float = 0.0
    nu: float = 0.7
    batch_size: int | None = None
    replacement: bool = False

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        return (self.momentum, self.nu)

    @staticmethod
    def update(a: Any, beta: Any, nu: Any, /) -> Any:
        # g' = beta g + (1 - beta) (a w + eps), w' = w - nu g' - (1 - nu) (a w + eps), with -g kept as the memory
        own = 1 - nu * beta
        return ((1 - own * a, nu * beta), (-(1 - beta) * a, beta)), (own, 1 - beta)


class LateKick:
    """The gradient enters w one step late, so that h_0 = 0."""

    @staticmethod
    def update(a: Any, beta: Any, /) -> Any:
        return ((1, beta), (-a, beta)), (0, 1)
