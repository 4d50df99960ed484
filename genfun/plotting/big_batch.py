"""The batch sizes that Big Batch SGD is predicted to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun.answers.batch.big_batch import BigBatch
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def big_batch(result: BigBatch, ax: Axes | None = None) -> Axes:
    """Mean batch size against the step, its 5 to 95 % range over runs, and the noise scale along such a run.

    **Assumptions.** The noise scale is that of runs whose batches grow, not of a fixed
    batch size (`genfun.noise_scale`). The axis shows step + 1: it is logarithmic, and step 0 has a batch too.

    Parameters
    ----------
    result : BigBatch
        From `genfun.big_batch`, at several steps.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there is no step.

    References
    ----------
    arXiv 1610.05792.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> problem = gf.PowerLaw(1.5, 0.5, n_modes=50, n_samples=500)
    >>> big_batch(gf.big_batch(problem, gf.SGD(0.5, batch_size=10), [1, 3, 9]), Figure().subplots()).get_ylabel()
    'samples'
    """
    order = np.argsort(result.steps, axis=None)
    if order.size == 0:
        raise ValueError("result has no steps; ask for several, e.g. 0 to 1000")
    ax = axes(ax)
    t = result.steps.ravel()[order] + 1
    low, high = result.low.ravel()[order], result.high.ravel()[order]
    band = ax.fill_between(t, low, high, color=COLOURS[5], alpha=0.35, linewidth=0.0, label="5 to 95 % of runs")
    for name, edge in (("5 %", low), ("95 %", high)):
        line(ax, name, t, edge, color=COLOURS[5], linewidth=0.8)
    dot: dict[str, Any] = {"marker": "o"} if t.size == 1 else {}  # of one step a line would show nothing
    style: dict[str, Any] = {"linewidth": 1.4, "linestyle": "--"} | dot
    mean: dict[str, Any] = {"color": COLOURS[0], "linewidth": 2.0} | dot
    handles = [
        line(ax, "batch size, mean over runs", t, result.batch_size.ravel()[order], **mean),
        band,
        line(ax, "noise scale along these runs", t, result.noise_scale.ravel()[order], color=COLOURS[1], **style),
    ]
    log_axes(ax, "step + 1", "samples")
    if result.full_batch_step:
        handles.append(ax.axvline(result.full_batch_step + 1, color="0.5", linewidth=1.0, label="full batch from here"))
    legend_below(ax, handles, 2)
    return ax


draw.register(BigBatch, big_batch)
