"""The spread of the loss across runs: a band about the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genfun.answers.spread import Spread
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = ((0.05, 0.95, 0.2), (0.25, 0.75, 0.4))
"""Lower and upper share of the runs, and how opaque the band is."""


def spread(result: Spread, ax: Axes | None = None) -> Axes:
    """Mean and median of the loss against the step, in the bands that half of the runs and 90 % of them stay in.

    **Assumptions.** Those of `genfun.spread`: the loss of single runs is lognormal above the floor of label noise.
    Step 0 is left out: the axes are logarithmic.

    Parameters
    ----------
    result : Spread
        From `genfun.spread`, at several steps.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there is no step after 0 with a finite spread.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> found = gf.spread(gf.LinearProblem([1.0, 0.1], [1.0, 1.0]), gf.SGD(0.3, batch_size=2), [1, 10, 100])
    >>> [text.get_text() for text in spread(found, Figure().subplots()).get_legend().texts]
    ['mean', 'median run', '5 to 95 % of runs', '25 to 75 % of runs']
    """
    steps, mean = np.atleast_1d(result.steps).ravel(), np.atleast_1d(result.mean).ravel()
    order = np.argsort(steps)
    shares = [0.5, *(share for low, high, _ in BANDS for share in (low, high))]
    with np.errstate(over="ignore", invalid="ignore"):
        levels = np.reshape(result.quantile(shares), (len(shares), -1))
    kept = (steps > 0) & (mean > 0.0) & np.asarray(np.isfinite(levels)).all(axis=0)
    shown = order[kept[order]]
    if shown.size == 0:
        raise ValueError("result has no step after 0 with a finite spread; ask for several steps, e.g. 1 to 1000")
    ax, t = axes(ax), steps[shown]
    median, *ends = levels[:, shown]
    bands = []
    for (low, high, opaque), lower, upper in zip(BANDS, ends[::2], ends[1::2], strict=True):
        label = f"{100 * low:.0f} to {100 * high:.0f} % of runs"
        bands.append(ax.fill_between(t, lower, upper, color=COLOURS[5], alpha=opaque, linewidth=0.0, label=label))
        for share, edge in ((low, lower), (high, upper)):
            line(ax, f"{100 * share:.0f} %", t, edge, color=COLOURS[5], linewidth=0.8)
    handles = [
        line(ax, "mean", t, mean[shown], color="black", linewidth=2.2),
        line(ax, "median run", t, median, color=COLOURS[0], linewidth=1.6, linestyle="--"),
    ]
    log_axes(ax, "step", "loss of a run")
    if result.floor > 0.0:
        floor = {"color": COLOURS[2], "linewidth": 1.4, "linestyle": (0, (6, 1.5, 1, 1.5))}
        handles.append(line(ax, "label noise", [t[0], t[-1]], [result.floor] * 2, **floor))
    legend_below(ax, [*handles, *bands], 2)
    return ax


draw.register(Spread, spread)
