"""Symbols: from the update matrix of a method to its generating functions, exactly; sympy is imported on first use."""

from __future__ import annotations

from genfun.symbolic.arrays import array_function, responses
from genfun.symbolic.asymptotics import asymptotics, phase_constants
from genfun.symbolic.derive import Derivation, derive
from genfun.symbolic.optimum import optimum
from genfun.symbolic.show import show

__all__ = ["Derivation", "array_function", "asymptotics", "derive", "optimum", "phase_constants", "responses", "show"]
