"""Simulated runs on the same data, and their agreement with the theory."""

from __future__ import annotations

from genfun.experiments.agree import Agreement, agree
from genfun.experiments.simulate import Runs, simulate

__all__ = ["Agreement", "Runs", "agree", "simulate"]
