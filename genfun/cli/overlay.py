"""A user's own runs on the picture of a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun.own_runs.overlay import Overlay

SIGMAS = 2.5
"""Standard errors that bars are long, as where simulated runs are compared."""


def draw(runs: Overlay, ax: Any) -> Any:
    """The runs, thin, and the mean of several with its standard errors, on the picture of a prediction.

    Parameters
    ----------
    runs : Overlay
    ax : matplotlib Axes
    """
    from genfun.plotting.agreement import mean_with_errors
    from genfun.plotting.style import COLOURS, legend_below, line

    handles = list(ax.get_legend().legend_handles)
    several = len(runs.runs) > 1
    lowest, highest = ax.get_ylim()
    for name, (steps, losses) in runs.runs.items():
        shown = (steps > 0) & np.isfinite(losses) & (losses > 0.0)
        if not shown.any():
            continue
        style: dict[str, Any] = {"color": COLOURS[2], "linewidth": 0.8 if several else 1.4, "alpha": 0.8}
        label = "measured runs" if several else "measured"
        drawn = line(ax, f"measured {name}".strip(), steps[shown], losses[shown], zorder=2, label=label, **style)
        handles += [drawn] if len(handles) == len(ax.get_legend().legend_handles) else []
        highest = max(highest, min(2.0 * float(losses[shown].max()), 1e3 * highest))
        lowest = min(lowest, max(0.5 * float(losses[shown].min()), 1e-3 * lowest))
    steps = runs.steps[runs.steps > 0]
    mean, error = runs.mean(steps), SIGMAS * runs.error(steps)
    if several and (known := np.isfinite(mean) & np.isfinite(error)).any():
        handles.append(mean_with_errors(ax, steps[known], mean[known], error[known], SIGMAS))
    ax.set_ylim(lowest, highest)
    legend_below(ax, handles, 2)
    return ax
