"""Steps and samples to a loss against the batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._display import plain
from genfun.answers.batch.critical_batch import CriticalBatch
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def samples(result: CriticalBatch, ax: Axes | None = None) -> Axes:
    """Samples K b and steps K against the batch size, the critical batch size and its 10 % range.

    **Assumptions.** Batch sizes at which the loss is never reached are left out.

    Parameters
    ----------
    result : CriticalBatch
        What to draw.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If the loss is reached at no batch size.

    References
    ----------
    arXiv 2402.15344: SFO complexity against batch size.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> c = gf.critical_batch_size(gf.PowerLaw(1.5, 0.25, n_modes=50), gf.SGD(0.5), loss=0.3)
    >>> samples(c, Figure().subplots()).get_xlabel()
    'batch size $b$'
    """
    reached = np.isfinite(result.steps)
    if not reached.any():
        raise ValueError(f"result has no batch size that reaches loss {result.loss:.4g}; choose a larger loss")
    ax = axes(ax)
    b = result.batch_sizes[reached].astype(float)
    handles: list[Any] = [
        line(ax, "samples $K b$", b, result.samples[reached], color=COLOURS[0], marker="o", markersize=3.5),
        line(ax, "steps $K$", b, result.steps[reached], color=COLOURS[1], linestyle="--", marker="s", markersize=3.0),
    ]
    closed = result.closed_form
    if closed is not None:
        fine = np.geomspace(max(b[0], 1.001 * closed.noise_gain), b[-1], 200)
        style: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.4}
        handles.append(line(ax, "samples, signal-phase formula", fine, fine * closed.steps(fine), **style))
    if result.batch_size is not None and result.interval is not None:
        least = float(result.samples[np.searchsorted(result.batch_sizes, result.batch_size)])
        mark = line(ax, "fewest samples", [result.batch_size], [least], linestyle="", marker="*")
        mark.set(color=COLOURS[4], markersize=14, markeredgecolor="black")
        handles.append(mark)
        low, high = result.interval
        if high > low:
            handles.append(ax.axvspan(low, high, color="0.93", zorder=0, label="at most 10 % more samples"))
    log_axes(ax, "batch size $b$", f"to loss {plain(result.loss, 3)}")
    legend_below(ax, handles, 2)
    return ax


draw.register(CriticalBatch, samples)
