"""The gradient noise scale along training, and the batch sizes that Big Batch SGD would take.

The noise scale is the batch size at which the noise of the gradient equals the gradient. It grows as the loss falls.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """A power law, batch size 10 against a batch that grows with the noise."""
    problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=200, n_samples=100_000)
    setting = gf.SGD(0.5, batch_size=10)
    steps = gf.experiments.log_grid(1000, 40)
    scale = gf.noise_scale(problem, setting, steps)
    grown = gf.big_batch(problem, setting, steps, theta=0.5)
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.plot(scale.steps, scale.samples, color="#0072B2", label="noise scale at batch size 10")
    ax.plot(grown.steps, grown.batch_size, color="#D55E00", label="batch size of Big Batch SGD")
    ax.fill_between(grown.steps, grown.low, grown.high, color="#D55E00", alpha=0.2, linewidth=0)
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="samples")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return figure
