"""Hyperparameters as functions of the step."""

from __future__ import annotations

from genfun.schedules.base import Piecewise, Schedule, Table
from genfun.schedules.decay import Cosine, Polynomial, StepDecay, Warmup
from genfun.schedules.growth import ExponentialGrowth, LinearGrowth
from genfun.schedules.jacobi import jacobi_heavy_ball
from genfun.schedules.scheduled_sgd import ScheduledSGD
from genfun.schedules.trapezoid import HoldThenLinear

__all__ = [
    "Cosine",
    "ExponentialGrowth",
    "HoldThenLinear",
    "LinearGrowth",
    "Piecewise",
    "Polynomial",
    "Schedule",
    "ScheduledSGD",
    "StepDecay",
    "Table",
    "Warmup",
    "jacobi_heavy_ball",
]
