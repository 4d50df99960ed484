"""The learning rates of the best schedule beside the free optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genfun._display import percent
from genfun.answers.best.schedule_answer import BestSchedule, over
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, DASHES, axes, legend_below, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 2000
"""Of a line."""


def schedule(result: BestSchedule, ax: Axes | None = None) -> Axes:
    """Learning rate against the step: the answer, the free optimum, and the constant rate whose tail is averaged.

    **Assumptions.** Of more than 2,000 steps every few are drawn, the last always.

    Parameters
    ----------
    result : BestSchedule
        What to draw.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> best = gf.best_schedule(gf.LinearProblem([1.0, 0.1], [1.0, 1.0]), steps=50)
    >>> schedule(best, Figure().subplots()).get_ylabel()
    'learning rate'
    """
    ax = axes(ax)
    free = result.free_rates.size
    constant, start = result.averaged.learning_rate, result.averaged.start
    handles = []
    for i, (name, steps) in enumerate((("answer", result.steps), ("free optimum", free))):
        shown = np.unique(np.linspace(0, steps - 1, min(steps, MOST_POINTS)).astype(np.int64))
        rates = result.method.at(shown)[0] if i == 0 else result.free_rates[shown]
        times = over(result.loss, result.free_loss) if i == 0 else 1.0
        label = f"{result.family}: {times:.3g} times the free optimum's loss" if i == 0 else name
        style = {"color": COLOURS[i], "linewidth": 2.0 if i == 0 else 1.3, "label": label}
        handles.append(line(ax, name, shown, rates, linestyle=DASHES[i], **style))
    label = f"constant, averaged from step {start + 1:,}: {result.gaps['constant, tail averaged']:.3g} times"
    tail = line(
        ax, "averaged tail", [start, free], [constant, constant], color=COLOURS[2], linestyle=DASHES[2], label=label
    )
    tail.set_linewidth(1.6)
    ax.plot([0, start], [constant, constant], color=COLOURS[2], linewidth=0.6, linestyle=DASHES[2])
    handles.append(tail)
    if result.family != "moving momentum":
        cap = result.share_of_edge * result.edge
        if cap < 3.0 * max(result.peak, constant):
            label = f"{percent(result.share_of_edge)} of the edge by {result.edge_of}"
            handles.append(line(ax, "cap", [0, free], [cap, cap], color="0.5", linewidth=0.9, label=label))
    ax.set(xlabel="step", ylabel="learning rate", ylim=(0.0, None), xlim=(0, free))
    ax.spines[["top", "right"]].set_visible(False)
    legend_below(ax, handles, 1)
    return ax


draw.register(BestSchedule, schedule)
