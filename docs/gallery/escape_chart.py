"""Which minima SGD keeps, and how soon it leaves the others.

Minima with the spectrum of digits, flatter or sharper by a factor. Only learning rate times sharpness counts.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """Batch size 1, where noise drives SGD out long before curvature does."""
    problem = gf.data.mnist(n=300, seed=0, model="ntk").problem
    rates, sharpness = np.geomspace(0.1, 10.0, 60), np.geomspace(0.3, 3.0, 60)
    chart = gf.escape_chart(problem, rates, [1], sharpness=sharpness)
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    chart.plot(figure.subplots())
    return figure
