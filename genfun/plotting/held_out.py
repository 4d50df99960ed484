"""The loss on samples that are not trained on, beside that on those that are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genfun.answers.held_out.leave_one_out import LeaveOneOut
from genfun.answers.held_out.prediction import HeldOut
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = ("-", "--", ":")
HIGHEST = 10.0
"""Losses further above that at the start are off the picture."""


def held_out(result: HeldOut | LeaveOneOut, ax: Axes | None = None) -> Axes:
    """Held-out or leave-one-out loss against the step, with and without batch noise; where to stop; ridge regression.

    Between the steps that were asked for lie those that were looked at for the best one.

    **Assumptions.** Step 0 is left out: the axes are logarithmic.

    Parameters
    ----------
    result : HeldOut or LeaveOneOut
        From `genfun.predict_test` or `genfun.leave_one_out`.
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
    >>> d = gf.LinearData.from_features([[1.0], [2.0], [-1.0]], [1.0, 2.0, 0.0])
    >>> held_out(gf.predict_test(d, gf.SGD(0.1), 30, [[1.0]], [0.8]), Figure().subplots()).get_ylabel()
    'loss'
    """
    if int(np.max(result.steps)) == 0:
        raise ValueError("result has no step after 0; ask for a later step, e.g. 1000")
    ax = axes(ax)
    handles, lowest, start = [], result.ridge_loss, 0.0
    for (name, (steps, loss)), style in zip(result.curves.items(), STYLES, strict=False):
        shown = (steps > 0) & np.isfinite(loss) & (loss > 0.0)
        colour = COLOURS[1] if name == "training" else COLOURS[0]
        handles.append(line(ax, name, steps[shown], loss[shown], color=colour, linestyle=style, linewidth=1.6))
        lowest, start = min(lowest, float(loss[shown].min(initial=np.inf))), max(start, float(loss[0]))
    log_axes(ax, "step", "loss")
    handles.append(ax.axhline(result.ridge_loss, color="0.5", linewidth=1.0, label="ridge, leave-one-out penalty"))
    if result.best_step > 0:
        handles.append(ax.axvline(result.best_step, color=COLOURS[2], linewidth=1.0, label="best step"))
    ax.set_ylim(0.8 * lowest, min(ax.get_ylim()[1], HIGHEST * start))
    legend_below(ax, handles, 2)
    return ax


draw.register(HeldOut, held_out)
draw.register(LeaveOneOut, held_out)
