"""The loss over learning rate and momentum, for four batch sizes.

Each point is a training run that nobody has to make. Black lines: the edge of stability; stars: the best settings.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """The loss at step 1000 of a power law with 200 modes, at batch sizes 1 to 64."""
    problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=200)
    figure = Figure(figsize=(8.0, 7.4), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    gf.plotting.settings_map(problem, 1000, [1, 4, 16, 64], cells=40, ax=axes)
    return figure
