"""Which contours of a generating function are to pass outside what oscillates, and with how many nodes they can."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array
from genfun.engine.inversion import nodes_of
from genfun.engine.singularity import Singularity, mode_roots
from genfun.engine.tall_contour import FADED, OffAxis
from genfun.engine.transform import Transform


def beside(G: Transform, steps: Array, singular: Singularity) -> OffAxis | None:
    """What a contour must enclose off the axis; None where that has faded, or is not known to be all there is.

    Parameters
    ----------
    G : Transform
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
    """
    shift, outside = singular.shift, singular.unresolved_rate
    if not G.by_roots or steps.size == 0 or (shift - outside) * float(steps[0]) >= FADED:
        return None
    found = OffAxis.of(mode_roots(getattr(G, "inner", G))[1], G.keeps, shift, G.spacing)
    return found if found.covers(outside) and found.turned(steps) <= G.most_turned else None


def encloses(G: Transform, steps: Array, singular: Singularity) -> bool:
    """Whether contours leave nothing outside that has not faded.

    Parameters
    ----------
    G : Transform
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
    """
    gap = singular.shift - singular.unresolved_rate
    if steps.size == 0 or gap * float(steps[0]) >= FADED:
        return True
    found = beside(G, steps, singular)
    return found is not None and bool(np.isfinite(nodes_of(steps.astype(np.float64), found)))


def nodes_and_turning(G: Transform, steps: Array, singular: Singularity) -> tuple[float, float]:
    """How many nodes the contours of steps have, and the radians by which modes that they enclose have turned.

    Parameters
    ----------
    G : Transform
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
    """
    found = beside(G, steps, singular)
    return nodes_of(steps.astype(np.float64), found), 0.0 if found is None else found.turned(steps)
