"""Symbols: from the update matrix of a method to its generating functions, exactly; sympy is imported on first use."""

from __future__ import annotations

from genfun.symbolic.arrays import array_function, responses
from genfun.symbolic.derive import Derivation, derive
from genfun.symbolic.show import show

__all__ = ["Derivation", "array_function", "derive", "responses", "show"]
