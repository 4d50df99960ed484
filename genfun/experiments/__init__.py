"""Simulated runs on the same data, their agreement with the theory, sweeps, and the rungs from network to theory."""

from __future__ import annotations

from genfun.experiments.agree import Agreement, agree
from genfun.experiments.agreements import Agreements, agreements
from genfun.experiments.check_theory import check_theory
from genfun.experiments.cloning import ClonedRuns, cloned_runs
from genfun.experiments.diagonal import diagonal_loss
from genfun.experiments.escape import DoubleWell, Passages, occupation, passages
from genfun.experiments.ladder import Ladder, ladder
from genfun.experiments.network import TwoLayerReLU
from genfun.experiments.record import log_grid
from genfun.experiments.rung import Rung
from genfun.experiments.runs import Runs
from genfun.experiments.simulate import simulate, simulate_many
from genfun.experiments.smoothness import smooth_constants
from genfun.experiments.sweep import cells, sweep
from genfun.experiments.two_layer import DiagonalNetwork, NetworkRuns

__all__ = [
    "Agreement",
    "Agreements",
    "ClonedRuns",
    "DiagonalNetwork",
    "DoubleWell",
    "Ladder",
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
    "occupation",
    "passages",
    "simulate",
    "simulate_many",
    "smooth_constants",
    "sweep",
]
