"""Optimisation methods, one file each. A method is known to the engine by its impulse responses (see `base`)."""

from __future__ import annotations

from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.methods.memory_sgd import MemorySGD
from genfun.methods.qhm import QHM
from genfun.methods.sgd import SGD

__all__ = ["QHM", "SGD", "Averaged", "Family", "MemorySGD", "Method"]
