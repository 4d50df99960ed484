"""The optimizers that steps are measured for, by name, at torch's own defaults but for what the name says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Maker = Callable[[Iterable[Any], float], Any]
"""(parameters, learning rate) to a torch optimizer."""
MOMENTUM = 0.9
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": MOMENTUM}),
    "nesterov": ("SGD", {"momentum": MOMENTUM, "nesterov": True}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "rmsprop": ("RMSprop", {}),
}
"""Name to the class of `torch.optim` and its arguments."""


def maker(optimizer: str | Maker) -> tuple[str, Maker]:
    """Name and maker of an optimizer.

    Parameters
    ----------
    optimizer : str or callable
        One of `OPTIMIZERS`, or (parameters, learning rate) to an optimizer, named as its `__name__`.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither.
    """
    if callable(optimizer):
        return getattr(optimizer, "__name__", type(optimizer).__name__), optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer must be a name or a callable, got {type(optimizer).__name__}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}; or pass a function of "
            "(parameters, learning_rate) that returns a torch optimizer"
        )
    kind, arguments = OPTIMIZERS[optimizer]

    def make(parameters: Iterable[Any], learning_rate: float) -> Any:
        import torch

        return getattr(torch.optim, kind)(parameters, lr=learning_rate, **arguments)

    return optimizer, make
