"""A loss curve and its two parts, signal and noise.

This problem ends in the noise-dominated phase: after the transition the noise part carries the loss, and the slope
changes from zeta to 2 - 1/nu.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """A million steps of batch size 1 on a power law."""
    problem = gf.PowerLaw(nu=2.0, zeta=2.0)
    steps = gf.experiments.log_grid(1_000_000, 60)
    prediction = gf.predict(problem, gf.SGD(0.05, batch_size=1), steps)
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    prediction.plot(figure.subplots())
    return figure
