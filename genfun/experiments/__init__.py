"""Simulated runs on the same data, their agreement with the theory, sweeps, and the rungs from network to theory."""

from __future__ import annotations

from genfun.experiments.agreement.agree import Agreement, agree
from genfun.experiments.agreement.agreements import Agreements, agreements
from genfun.experiments.agreement.check_theory import check_theory
from genfun.experiments.agreement.diagonal import diagonal_loss
from genfun.experiments.agreement.ladder import Ladder, ladder
from genfun.experiments.agreement.rung import Rung
from genfun.experiments.networks.network import TwoLayerReLU
from genfun.experiments.networks.smoothness import smooth_constants
from genfun.experiments.networks.two_layer import DiagonalNetwork, NetworkRuns
from genfun.experiments.simulation.cloning import ClonedRuns, cloned_runs
from genfun.experiments.simulation.escape import DoubleWell, Passages, occupation, passages
from genfun.experiments.simulation.record import log_grid
from genfun.experiments.simulation.runs import Runs
from genfun.experiments.simulation.simulate import simulate, simulate_many
from genfun.experiments.steps.measure import measure_steps
from genfun.experiments.steps.measured import MeasuredSteps
from genfun.experiments.sweeps.sweep import cells, sweep

__all__ = [
    "Agreement",
    "Agreements",
    "ClonedRuns",
    "DiagonalNetwork",
    "DoubleWell",
    "Ladder",
    "MeasuredSteps",
    "NetworkRuns",
    "Passages",
    "Rung",
    "Runs",
    "TwoLayerReLU",
    "agree",
    "agreements",
    "cells",
    "check_theory",
    "cloned_runs",
    "diagonal_loss",
    "ladder",
    "log_grid",
    "measure_steps",
    "occupation",
    "passages",
    "simulate",
    "simulate_many",
    "smooth_constants",
    "sweep",
]
