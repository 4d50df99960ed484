"""Four schedules at the same batch size.

Where batch noise dominates and labels have none, the noise dies with the loss: a decaying rate only slows training
down, and what pays is a growing batch.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf
from genfun.schedules import Cosine, ExponentialGrowth, Polynomial, ScheduledSGD


def draw() -> Figure:
    """Ten thousand steps of a power law in the noise-dominated phase."""
    problem = gf.PowerLaw(nu=2.0, zeta=2.0)
    settings = {
        "constant": gf.SGD(0.5, batch_size=1),
        "cosine": ScheduledSGD(Cosine(0.5, 10_000), batch_size=1),
        "rate / sqrt(1 + t/100)": ScheduledSGD(Polynomial(0.5, 0.5, period=100), batch_size=1),
        "batch doubled every 1000": ScheduledSGD(0.5, batch_size=ExponentialGrowth(1, 2.0, period=1000)),
    }
    steps = gf.experiments.log_grid(10_000, 50)
    curves = [gf.predict(problem, setting, steps) for setting in settings.values()]
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    gf.plotting.loss_curves(curves, list(settings), ax=figure.subplots())
    return figure
