"""Symbols: from the update matrix of a method to its generating functions, exactly; all on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genfun.symbolic.arrays import array_function, responses
    from genfun.symbolic.best_settings import optimum
    from genfun.symbolic.derivation import Derivation, derive
    from genfun.symbolic.page import show
    from genfun.symbolic.pairs import PairDerivation, derive_pair
    from genfun.symbolic.phases import asymptotics, phase_constants

__all__ = [
    "Derivation",
    "PairDerivation",
    "array_function",
    "asymptotics",
    "derive",
    "derive_pair",
    "optimum",
    "phase_constants",
    "responses",
    "show",
]

_PLACES = {
    "Derivation": "derivation",
    "PairDerivation": "pairs",
    "array_function": "arrays",
    "asymptotics": "phases",
    "derive": "derivation",
    "derive_pair": "pairs",
    "optimum": "best_settings",
    "phase_constants": "phases",
    "responses": "arrays",
    "show": "page",
}


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name not in _PLACES:
        raise AttributeError(f"module 'genfun.symbolic' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"genfun.symbolic.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
