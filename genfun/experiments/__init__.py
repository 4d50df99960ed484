"""Simulated runs on the same data, and their agreement with the theory."""

from __future__ import annotations

from genfun.experiments.agree import Agreement, agree
from genfun.experiments.record import log_grid
from genfun.experiments.runs import Runs
from genfun.experiments.simulate import simulate, simulate_many

__all__ = ["Agreement", "Runs", "agree", "log_grid", "simulate", "simulate_many"]
