"""The phase diagram, with four problems in it.

Exponents say who limits training late: the signal or the batch noise. The bars are the intervals of a fit.
"""

from __future__ import annotations

from matplotlib.figure import Figure

import genfun as gf


def draw() -> Figure:
    """A fit to digits and three exact power laws in the plane of the exponents."""
    points = {
        "digits": gf.fit_power_law(gf.data.mnist(n=500, seed=0, model="ntk").problem),
        "signal": gf.PowerLaw(nu=1.5, zeta=0.5),
        "noise": gf.PowerLaw(nu=2.0, zeta=2.0),
        "diverges": gf.PowerLaw(nu=0.75, zeta=1.0),
    }
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    gf.plotting.phase_diagram(points, figure.subplots())
    return figure
