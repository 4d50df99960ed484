"""Four schedules at the same number of steps, and what the growing batch costs.

In this noise-dominated problem without label noise, decaying the rate from 0.5 ends higher than keeping it. Doubling
the batch every 1000 steps ends lower, but takes 1,023,000 samples in place of 10,000; a constant batch of 102, with as
many samples in as many steps, ends lower still.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf
from genfun.schedules import Cosine, ExponentialGrowth, Polynomial, ScheduledSGD


def draw() -> Figure:
    """Ten thousand steps of a power law in the noise-dominated phase."""
    problem = gf.PowerLaw(nu=2.0, zeta=2.0)
    growth = ExponentialGrowth(1, 2.0, period=1000)
    settings = {
        "constant": gf.SGD(0.5, batch_size=1),
        "cosine": ScheduledSGD(Cosine(0.5, 10_000), batch_size=1),
        "rate / sqrt(1 + t/100)": ScheduledSGD(Polynomial(0.5, 0.5, 100), batch_size=1),
        "constant, batch size 102": gf.SGD(0.5, batch_size=102),
        "batch doubled every 1000": ScheduledSGD(0.5, 0.0, growth),
    }
    steps = gf.experiments.log_grid(10_000, 50)
    curves = [gf.predict(problem, setting, steps) for setting in settings.values()]
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    gf.plotting.loss_curves(curves, list(settings), ax=figure.subplots())
    return figure
