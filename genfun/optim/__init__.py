"""Optimizers for torch models: SGD with momentum of either sign, and SGD that chooses its own batch size.

Needs torch: `pip install "genfun[experiments]"`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if importlib.util.find_spec("torch") is None:
    raise ImportError('genfun.optim needs torch; install it with: pip install "genfun[experiments]"')

if TYPE_CHECKING:
    from genfun.optim.big_batch import BigBatchSGD
    from genfun.optim.sgd import SGD

__all__ = ["SGD", "BigBatchSGD"]

_ON_FIRST_USE = {"SGD": "sgd", "BigBatchSGD": "big_batch"}


def __getattr__(name: str) -> Any:
    """Import on first use: torch takes a second to load."""
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'genfun.optim' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"genfun.optim.{_ON_FIRST_USE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
