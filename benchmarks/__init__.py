"""Timings with the machine they ran on, made by `python -m benchmarks`."""

from __future__ import annotations
