"""Two-layer networks of width 4,000 on 1,000 MNIST digits, beside the linearised runs and the theory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.machine import wait
from genfun.experiments.agreement.ladder import ladder
from genfun.experiments.networks.network import TwoLayerReLU
from validation.rungs import SHARE, digit_inputs

BATCHES = (1, 10, 100, 1000)
MOMENTA = (-0.3, 0.5)
STEPS = (1, 10, 100, 1000, 3000, 10_000)
REPLICAS = 4
RATE = 1.1
"""The learning rate at zero momentum of arXiv 2206.11124, where it is stable."""
RUNS = {1: 400, 10: 200, 100: 40, 1000: 4}
"""Linearised runs: drawing batches of 100 on the host is what takes long."""


def measure(findings: Findings) -> None:
    n, width = (60, 50) if findings.small else (1000, 4000)
    batches = (1, n) if findings.small else BATCHES
    data, x = gf.data.mnist(n), digit_inputs(n)
    network = TwoLayerReLU(x, width, REPLICAS, device=findings.device)
    settings = [setting(data, b, beta) for b in batches for beta in MOMENTA]
    for place, m in enumerate(settings):
        b = m.batch_size
        assert b is not None
        name = f"b={b}, beta={m.momentum:g}"

        def work(m: gf.SGD = m, b: int = b, place: int = place) -> dict[str, Any]:
            share = findings.left / (len(settings) - place)
            return climbed(data, network, m, min(RUNS.get(b, 20), 20 if findings.small else 400), share, findings)

        findings.attempt(name, work, needs=0.0 if findings.small else 4.0)


def setting(data: gf.LinearData, b: int, beta: float) -> gf.SGD:
    """The paper's effective rate, but at most a share of the edge: nearer to it rare runs carry the mean."""
    edge = gf.max_learning_rate(data.problem, beta, b, data.noise)
    stable = SHARE if b < data.n_samples else 0.75
    return gf.SGD(min(RATE * (1.0 - beta), stable * edge), beta, b)


def climbed(
    data: gf.LinearData, network: TwoLayerReLU, m: gf.SGD, runs: int, budget: float, findings: Findings
) -> dict[str, Any]:
    """The ladder at as many of the steps as fit into the seconds given, by the pace of the first hundred."""
    network.train(data, m, [1])
    # The difference of two lengths leaves out the drawing of the weights.
    spent, lengths = [], (1, 6) if findings.small else (1, 101)
    for length in lengths:
        start = time.perf_counter()
        network.train(data, m, [length])
        wait(findings.device)
        spent.append(time.perf_counter() - start)
    pace = max(spent[1] - spent[0], 1e-6) / (lengths[1] - lengths[0])
    most = 20 if findings.small else max(100, 0.6 * budget / pace)
    steps = [step for step in STEPS if step <= most]
    start = time.perf_counter()
    climb = ladder(data, m, steps, ["network", "linearised", "spectrally expressible"], network, runs)
    theory, drift = climb["spectrally expressible"].loss, climb.neighbours[0].ratio
    return {
        "width": network.width,
        "learning_rate": m.learning_rate,
        "networks": network.replicas,
        "linearised_runs": runs,
        "steps": steps,
        "steps_left_out_for_time": [step for step in STEPS if step > most],
        "s": time.perf_counter() - start,
        "s_per_step_of_all_networks_at_the_start": pace,
        "loss_of_network": climb.loss[0].tolist(),
        "loss_of_theory": theory.tolist(),
        "network_over_theory": (climb.loss[0] / theory).tolist(),
        "standard_error_over_theory": np.where(np.isfinite(climb.sem[0]), climb.sem[0] / theory, -1.0).tolist(),
        "network_over_linearised_with_the_same_batches": drift.tolist(),
        "words": list(climb.words),
    }
