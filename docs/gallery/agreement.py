"""Simulated runs laid over the prediction.

The band holds most of the runs, the marks are their mean. Agreement is claimed for the mean only.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """Digits through a neural tangent kernel, batch size 10, momentum 0.5, and 32 runs."""
    data = gf.data.mnist(n=300, seed=0, model="ntk")
    setting = gf.SGD(learning_rate=0.3, momentum=0.5, batch_size=10)
    steps = gf.experiments.log_grid(1000, 30)
    runs = gf.experiments.simulate(data, setting, 1000, replicas=32, record=steps)
    agreement = gf.experiments.agree(gf.predict(data.problem, setting, runs.steps), runs)
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    agreement.plot(figure.subplots())
    return figure
