"""What lies off the real axis, where the contour does not pass: how much of a later loss it leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.singularity import mode_roots
from genfun.engine.transform import Transform

FADED = 30.0
"""What has decayed by exp(-FADED) relative to the loss no longer counts."""
OUTSIDE = 20.0
"""A singularity at the angle y off the real axis is outside the contour from step OUTSIDE/y on (measured: enclosed to
12 digits at .4/y, lost from 20/y on)."""


def judged_from(G: Transform, step: float, fallen: float) -> float:
    """The step from which a comparison of the contour with the recursion holds for later steps as well.

    The contour closes in on the real axis as 1/t. A singularity beside the axis that it still encloses at one step is
    outside at a later one, and must have faded by then.

    Parameters
    ----------
    G : Transform
    step : float
        Of the comparison.
    fallen : float
        log L(0)/L(step).

    Returns
    -------
    float
        0 where everything off the axis has faded by that step.
    """
    _, roots = mode_roots(getattr(G, "inner", G))
    products = (roots[:, :, None] * roots[:, None, :]).ravel()
    with np.errstate(divide="ignore"):
        lasting = np.log(np.abs(products)) * step > -fallen - FADED
    angles = np.abs(np.angle(products[lasting]))
    angles = angles[angles > 1e-12]
    return OUTSIDE / float(angles.min()) if angles.size else 0.0


def missed(log_loss: Array, steps: Array, reach: tuple[int, Any], mismatch: float, rate: float, known: bool) -> Array:
    """What the contour leaves out at later steps, relative to the loss there.

    Parameters
    ----------
    log_loss : array, shape (t,)
        By the contour.
    steps : array, shape (t,)
        Those of the losses.
    reach : (int, float)
        The last step of the comparison, and log L there.
    mismatch : float
        Relative disagreement there.
    rate : float
        Of what the contour does not see: next to a loss that falls faster it would grow.
    known : bool
        Whether the comparison holds for later steps, see `judged_from`; else all of the loss might have been enclosed.
    """
    fading = reach[1] + rate * (steps - reach[0]) - log_loss
    with np.errstate(over="ignore", invalid="ignore"):
        share = np.exp(np.minimum(np.nan_to_num(fading, nan=700.0), 700.0))
    return np.maximum(mismatch, mismatch * share) if known else share
