"""Measured samples to a target against the batch size, with the fitted families."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._display import percent
from genfun.answers.batch.fit_steps import StepsFit
from genfun.answers.batch.step_families import FAMILIES
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, DASHES, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_WEIGHT = 0.02
"""Families of less weight are left out, the chosen one excepted."""


def steps_fit(result: StepsFit, ax: Axes | None = None) -> Axes:
    """Samples K b against the batch size: points, families, the batch size of fewest samples and its interval.

    **Assumptions.** Families of a weight below 2 % are not drawn.

    Parameters
    ----------
    result : StepsFit
        What to draw.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> from genfun.answers.batch.fit_steps import fit_steps
    >>> from matplotlib.figure import Figure
    >>> b = np.array([4, 8, 16, 32, 64, 128])
    >>> steps_fit(fit_steps(b, 1000 * (1 + 20 / b) ** 2), Figure().subplots()).get_xlabel()
    'batch size $b$'
    """
    ax = axes(ax)
    b = np.geomspace(result.batch_sizes.min(), result.batch_sizes.max(), 201)
    points = line(ax, "measured", result.batch_sizes, result.steps * result.batch_sizes, linestyle="", marker="o")
    points.set(color="black", markersize=4.5)
    handles: list[Any] = [points]
    drawn = [f for i, f in enumerate(result.families) if i == 0 or f.weight >= LEAST_WEIGHT]
    for i, f in enumerate(drawn):
        samples = b * f.steps(b)
        names = [family.name for family in FAMILIES]
        style = {"color": COLOURS[names.index(f.name)], "linewidth": 2.0 if i == 0 else 1.2}
        label = f"{f.name} (weight {f.weight:.2f})"
        handles.append(line(ax, f.name, b, samples, linestyle=DASHES[i % len(DASHES)], label=label, **style))
    ax.axvspan(*result.interval, color="0.93", zorder=0, label=f"{percent(result.level)} interval")
    if np.isfinite(result.batch_size):
        least = result.batch_size * float(result.predict(result.batch_size))
        mark = line(ax, "fewest samples", [result.batch_size], [least], linestyle="", marker="*")
        mark.set(color=COLOURS[1], markersize=13, markeredgecolor="black")
        handles.append(mark)
    log_axes(ax, "batch size $b$", "samples to the target, $K(b)\\,b$")
    handles.append(ax.patches[-1])
    legend_below(ax, handles, 2)
    return ax


draw.register(StepsFit, steps_fit)
