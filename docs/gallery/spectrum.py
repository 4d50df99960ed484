"""The spectrum of real digits and the power law fitted to it.

Shaded: the window of the fit. Check it before you trust an exponent.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """500 MNIST digits through a neural tangent kernel."""
    problem = gf.data.mnist(n=500, seed=0, model="ntk").problem
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    gf.plotting.spectrum(problem, gf.fit_power_law(problem), figure.subplots())
    return figure
