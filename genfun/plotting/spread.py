"""The spread of the loss across runs: a band about the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array
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
    shown, t = _shown(result)
    ax = axes(ax)
    ranges = bands(ax, result)
    mean = np.atleast_1d(result.mean).ravel()[shown]
    median = np.atleast_1d(result.quantile(0.5)).ravel()[shown]
    handles = [
        line(ax, "mean", t, mean, color="black", linewidth=2.2),
        line(ax, "median run", t, median, color=COLOURS[0], linewidth=1.6, linestyle="--"),
    ]
    log_axes(ax, "step", "loss of a run")
    if result.floor > 0.0:
        floor = {"color": COLOURS[2], "linewidth": 1.4, "linestyle": (0, (6, 1.5, 1, 1.5))}
        handles.append(line(ax, "label noise", [t[0], t[-1]], [result.floor] * 2, **floor))
    legend_below(ax, [*handles, *ranges], 2)
    return ax


def bands(ax: Axes, result: Spread) -> list[Any]:
    """Draw the bands of a spread; their handles.

    Parameters
    ----------
    ax : matplotlib Axes
    result : Spread
    """
    shown, t = _shown(result)
    handles = []
    for low, high, opaque in BANDS:
        lower, upper = np.reshape(result.quantile([low, high]), (2, -1))[:, shown]
        label = f"{100 * low:.0f} to {100 * high:.0f} % of runs"
        handles.append(ax.fill_between(t, lower, upper, color=COLOURS[5], alpha=opaque, linewidth=0.0, label=label))
        for share, edge in ((low, lower), (high, upper)):
            line(ax, f"{100 * share:.0f} %", t, edge, color=COLOURS[5], linewidth=0.8)
    return handles


def _shown(result: Spread) -> tuple[Array, Array]:
    """Which steps have a finite spread, in their order, and they themselves."""
    steps, mean = np.atleast_1d(result.steps).ravel(), np.atleast_1d(result.mean).ravel()
    order = np.argsort(steps)
    with np.errstate(over="ignore", invalid="ignore"):
        ends = np.reshape(result.quantile([BANDS[0][0], 0.5, BANDS[0][1]]), (3, -1))
    kept = (steps > 0) & (mean > 0.0) & np.asarray(np.isfinite(ends)).all(axis=0)
    shown = order[kept[order]]
    if shown.size == 0:
        raise ValueError(
            "result has no step after 0 with a finite spread; ask for several steps, e.g. 1 to 1000, before it diverges"
        )
    return shown, steps[shown]


draw.register(Spread, spread)
