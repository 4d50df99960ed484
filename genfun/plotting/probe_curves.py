"""The mean cross-entropy of a linear probe against the step, on training and on held-out samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.plotting._draw import draw
from genfun.plotting.loss_curves import loss_curves
from genfun.plotting.style import COLOURS
from genfun.softmax.predict import SoftmaxPrediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class _Curve:
    steps: Int[Array, " t"]
    loss: Float[Array, " t"]


def probe_curves(result: SoftmaxPrediction, ax: Axes | None = None) -> Axes:
    """Mean loss against the step, in nats; of `predict_test` the held-out one beside it, and where that is least.

    Between the steps that were asked for lie four in each doubling.

    **Assumptions.** Step 0 is left out: the axes are logarithmic.

    Parameters
    ----------
    result : SoftmaxPrediction
        From `genfun.predict` or `genfun.predict_test`.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there is no step after 0.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> d = gf.SoftmaxData.from_features([[1.0], [2.0], [-1.0], [0.5]], [1, 1, 0, 0])
    >>> probe_curves(gf.predict(d, gf.SGD(0.1), 30), Figure().subplots()).get_ylabel()
    'mean loss, nats'
    """
    if int(np.max(result.steps)) == 0:
        raise ValueError("result has no step after 0; ask for a later step, e.g. 1000")
    curves = result.curves
    ax = loss_curves([_Curve(*curve) for curve in curves.values()], list(curves), ax=ax)
    ax.set_ylabel("mean loss, nats")
    if "held-out" in curves and result.best_step > 0:
        ax.axvline(result.best_step, color=COLOURS[2], linewidth=1.0, label="best step")
    return ax


draw.register(SoftmaxPrediction, probe_curves)
