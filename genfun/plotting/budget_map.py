"""Batch size against steps: where a budget of samples is best spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float
from genfun.answers.best.budget_map import BudgetMap
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, cells, halo, legend_below, level, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = 9
"""Iso-loss lines, about."""
BUDGETS = 12
MARGIN = 0.1
DECADES = 16.0
"""Losses further below the largest share the darkest colour."""


def budget_map(result: BudgetMap, ax: Axes | None = None) -> Axes:
    r"""Least loss over batch size and steps, with lines of equal loss and of equal samples, and the best batches.

    .. math:: b^*(B) = \arg\min_b L_{min}(b,\ T = B/b)

    **Assumptions.** The best batch is one of the map's, and is marked only where the budget can be spent on batch
    sizes on either side of it, or where it is 1 or N. Beside it the largest batch that costs at most 10 % more loss.

    Parameters
    ----------
    result : BudgetMap
        At least two batch sizes and two steps.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on; a colour bar is added to their figure.

    Raises
    ------
    ValueError
        If the map has a single batch size or step.

    References
    ----------
    arXiv 2206.11124, section 6; arXiv 2402.15344.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers.best.budget_map import budget_map as compute
    >>> from matplotlib.figure import Figure
    >>> m = compute(gf.PowerLaw(1.5, 0.5, n_modes=50), [1, 2, 4, 8], [100, 200, 400])
    >>> budget_map(m, Figure().subplots()).get_xlabel()
    'batch size $b$'
    """
    if min(result.log_loss.shape) < 2:
        raise ValueError(f"result must have two batch sizes and two steps or more, got {result.log_loss.shape}")
    ax = axes(ax)
    ax.set(xscale="log", yscale="log", xlabel=r"batch size $b$", ylabel=r"steps $T$")
    sizes, steps, decades = result.batch_sizes, result.steps, result.log_loss / np.log(10.0)
    top = float(decades.max())
    bottom = max(float(decades.min()), top - DECADES)
    mesh = cells(ax, "log10 loss", sizes, steps, decades, cmap="viridis", vmin=bottom, vmax=top)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, extend="min" if decades.min() < bottom else "neither")
    bar.set_label(r"$\log_{10}$ of the least loss over learning rates", fontsize="small")
    from matplotlib.ticker import MaxNLocator

    dark: dict[str, Any] = {"color": "black", "linewidth": 1.0, "path_effects": halo(2.2)}
    drawn = []
    for at in MaxNLocator(LINES).tick_values(bottom, top):
        drawn += level(ax, "equal loss", sizes, steps, decades, float(at), **dark)
    handles = drawn[:1] + _budgets(ax, result)
    best = _best(result)
    if best.size:
        mark: dict[str, Any] = {"linestyle": "", "markeredgecolor": "black", "zorder": 5, "clip_on": False}
        handles.append(line(ax, "best batch", best[:, 0], best[:, 1], marker="o", color="white", markersize=7, **mark))
        mark |= {"marker": "s", "color": COLOURS[4], "markersize": 4.5, "label": r"largest with $\leq$ 10 % more loss"}
        handles.append(line(ax, "largest batch within 10 %", best[:, 2], best[:, 3], **mark))
    ax.set(xlim=(sizes[0], sizes[-1]), ylim=(steps[0], steps[-1]))
    ax.set_title(rf"momentum {result.momentum:.3g}", fontsize="medium")
    legend_below(ax, handles, 2)
    return ax


def _budgets(ax: Axes, result: BudgetMap) -> list[Any]:
    """Lines b T = 10^k across the map."""
    sizes, steps = result.batch_sizes.astype(float), result.steps.astype(float)
    low, high = np.log10(sizes[0] * steps[0]), np.log10(sizes[-1] * steps[-1])
    ends = sizes[[0, -1]]
    style: dict[str, Any] = {"color": "white", "linewidth": 1.3, "linestyle": (0, (4, 2))}
    style |= {"label": r"equal samples $bT$", "path_effects": halo(2.6, "0.25")}
    box = {"boxstyle": "round,pad=0.1", "facecolor": "0.2", "edgecolor": "none"}
    lines = []
    for power in range(int(np.ceil(low + 0.1)), int(np.ceil(high - 0.1))):
        t = 10.0**power / ends
        lines.append(line(ax, f"samples 1e{power}", ends, t, **style))
        # Named where the line enters the map, on its left or its top side.
        x = max(ends[0], 10.0**power / steps[-1])
        ax.annotate(
            rf"$10^{{{power}}}$", (x, 10.0**power / x), (4, -3), textcoords="offset points", va="top", ha="left",
            fontsize="small", color="white", bbox=box,
        )  # fmt: skip
    return lines[:1]


def _best(result: BudgetMap) -> Float[Array, "budgets four"]:
    """(b, T) of the best batch and of the largest that is nearly as good, for every budget where they are inside."""
    first, last = (float(result.batch_sizes[i]) * float(result.steps[i]) for i in (0, -1))
    found = []
    for samples in np.geomspace(first, last, BUDGETS):
        b, losses = result.along(float(samples))
        if b.size < 3:
            continue
        i = int(losses.argmin())
        near = int(np.flatnonzero(losses <= losses[i] + np.log1p(MARGIN))[-1])
        lowest, highest = b[0] == 1, b[-1] == result.n_samples
        if (i > 0 or lowest) and (i < b.size - 1 or highest) and (near < b.size - 1 or highest):
            found.append((b[i], samples / b[i], b[near], samples / b[near]))
    return np.array(found, dtype=float).reshape(-1, 4)


draw.register(BudgetMap, budget_map)
