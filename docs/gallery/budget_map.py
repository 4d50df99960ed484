"""What a budget of steps and samples buys, with the learning rate tuned for every cell.

Along a diagonal the number of samples is fixed. Where lines of equal loss follow it, batch size and steps are
interchangeable; where they turn, larger batches no longer pay.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """The lowest loss over batch sizes and steps of a power law."""
    problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=200)
    batch_sizes = [2**i for i in range(0, 11, 2)]
    found = gf.budget_map(problem, batch_sizes, [10, 30, 100, 300, 1000, 3000])
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    found.plot(figure.subplots())
    return figure
