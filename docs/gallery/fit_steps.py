"""A critical batch size from measured points.

Five laws are fitted to the steps that each batch size took to one loss; the star is where samples are fewest. Here
the points are steps counted in simulated runs.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """Steps to a tenth of the initial loss at a fixed learning rate, in simulated runs."""
    law = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=64)
    spectrum = law.eigenvalues, law.signal
    data = gf.data.translation_invariant(*spectrum, n_samples=4096)
    batch_sizes = np.array([1, 2, 4, 8, 16, 32, 64, 128])
    methods = [gf.SGD(0.7, batch_size=int(b)) for b in batch_sizes]
    steps = gf.experiments.log_grid(2000, 200)
    many = gf.experiments.simulate_many(data, methods, 2000, replicas=16, record=steps)
    reached = [steps[int(np.argmax(runs.mean < 0.1 * runs.mean[0]))] for runs in many]
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    gf.fit_steps(batch_sizes, reached).plot(figure.subplots())
    return figure
