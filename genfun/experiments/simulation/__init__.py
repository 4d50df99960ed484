"""Runs of SGD with real batches, on NumPy, torch, numba or one fused kernel; runs in double wells."""

from __future__ import annotations
