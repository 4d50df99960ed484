"""Which minima are kept, which are left and how soon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun import _check
from genfun.answers.escape.escape_chart import Axis, EscapeChart
from genfun.answers.max_learning_rate import max_learning_rate
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, halo, label_powers, legend_below, level, line, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLOWEST, FASTEST = 4.0, 0.0
"""log10 of the steps between which the colour changes."""
LETTER = 0.027
"""Width of a letter as a share of the axes: a region is named where its name fits between its borders."""


def escape_chart(result: EscapeChart, ax: Axes | None = None, against: Axis = "sharpness", at: int = 0) -> Axes:
    r"""Stable, escapes in so many steps, diverges: learning rate across, sharpness or batch size upwards.

    .. math:: \tilde U(1) = 1:\ \text{edge of stability};\qquad c\,\alpha\,\lambda_{max} = 2(1+\beta):\
              \text{curvature limit}

    **Assumptions.** None. Colours end at 1 and 10^4 steps; lines mark 10, 100 and 1000.

    Parameters
    ----------
    result : EscapeChart
        From `genfun.escape_chart`, at least two rates and two values upwards.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.
    against : str
        "sharpness" or "batch_size": what the vertical axis shows.
    at : int
        Index of the value of the other one.

    Returns
    -------
    matplotlib Axes
        The axes drawn on; a colour bar is added to their figure.

    Raises
    ------
    ValueError
        If `against` is neither, `at` is out of range, or the grid has a single row or column.

    References
    ----------
    arXiv 2206.11124, section 4.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers.escape.escape_chart import escape_chart as compute
    >>> from matplotlib.figure import Figure
    >>> chart = compute(gf.LinearProblem([1.0] * 8, [1.0] * 8), [0.1, 0.4, 1.6], [1], sharpness=[0.5, 1.0, 2.0])
    >>> escape_chart(chart, Figure().subplots()).get_title()
    'batch size 1'
    """
    _check.choice("against", against, ("sharpness", "batch_size"))
    by_sharpness = against == "sharpness"
    others = result.batch_sizes if by_sharpness else result.sharpness
    if not -others.size <= at < others.size:
        raise ValueError(f"at must be an index of the {others.size} values of the other axis, got {at}")
    pick: Any = (slice(None), at) if by_sharpness else (slice(None), slice(None), at)
    status, steps = result.status[pick], result.steps[pick]
    heights = (result.sharpness if by_sharpness else result.batch_sizes).astype(float)
    rates = result.learning_rates
    if min(status.shape) < 2:
        raise ValueError(f"result must have two rates and two values of {against} or more, got {status.shape}")
    ax = axes(ax)
    ax.set(xscale="log", yscale="log", xlabel=r"learning rate $\alpha$", ylabel=_label(by_sharpness))
    label_powers(ax.xaxis)
    label_powers(ax.yaxis)
    with np.errstate(divide="ignore"):
        decades = np.log10(steps)
    # Shaded smoothly everywhere; what is stable and what diverges covers it up to the exact borders.
    smooth = np.clip(np.nan_to_num(decades, nan=SLOWEST), FASTEST, SLOWEST).T
    mesh = ax.pcolormesh(
        rates,
        heights,
        smooth,
        shading="gouraud",
        rasterized=True,
        cmap=_colours(),
        vmin=FASTEST,
        vmax=SLOWEST,
        zorder=1,
    )
    note(
        mesh, "log10 steps to escape", rates[:, None], heights[None, :], np.where(status == "escapes", decades, np.inf)
    )
    bar = ax.figure.colorbar(mesh, ax=ax, extend="max", pad=0.02)
    bar.set_label(rf"$\log_{{10}}$ steps until the mean loss is $\times$ {result.factor:g}", fontsize="small")
    handles = _edges(ax, result, heights, by_sharpness, others[at])
    edge, top = (np.asarray(handle.get_xdata(), dtype=float) for handle in handles)
    ax.fill_betweenx(heights, rates.min(), edge, color=STABLE, linewidth=0.0, zorder=1.5)
    ax.fill_betweenx(heights, top, max(rates.max(), top.max()), color="0.45", linewidth=0.0, zorder=1.5)
    # Under the region that diverges: where nothing settles there is nothing to escape from.
    thin: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (4, 1.6)), "zorder": 1.2}
    finite = np.where(status == "stable", SLOWEST + 2.0, np.minimum(decades, SLOWEST + 2.0))
    for power in (1.0, 2.0, 3.0):
        drawn = level(ax, f"escape in 1e{power:.0f} steps", rates, heights, finite, power, **thin)
        handles += [drawn[0]] if drawn and power == 1.0 else []
    if handles and handles[-1].get_label() == "escape in 1e1 steps":
        handles[-1].set_label("escape in 10, 100, 1000 steps")
    _names(ax, rates, heights, status)
    other = f"batch size {others[at]:,}" if by_sharpness else f"sharpness {others[at]:g}"
    ax.set(xlim=(rates.min(), rates.max()), ylim=(heights.min(), heights.max()))
    ax.set_title(other + (f", momentum {result.momentum:g}" if result.momentum else ""), fontsize="medium")
    legend_below(ax, handles, 2)
    return ax


def _label(by_sharpness: bool) -> str:
    return r"sharpness $c$ (Hessian $= cH$)" if by_sharpness else r"batch size $b$"


STABLE = "#BBD9EE"
MARGIN = 0.15
"""Share of an axis: how far names of regions are set towards the middle, so that the frame does not cut them."""


def _colours() -> Any:
    """From orange (gone at once) to pale (gone late)."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    pale = tuple(1.0 - 0.12 * (1.0 - c) for c in to_rgb(COLOURS[1]))
    found = LinearSegmentedColormap.from_list("escape", [COLOURS[1], COLOURS[4], pale])
    return found


def _edges(ax: Axes, result: EscapeChart, heights: Any, by_sharpness: bool, other: Any) -> list[Any]:
    problem, beta, noise = result.problem, result.momentum, result.noise
    if by_sharpness:
        noisy = max_learning_rate(problem, beta, int(other), noise) / heights
        scale = heights
    else:
        noisy = np.array([max_learning_rate(problem, beta, int(b), noise) for b in heights]) / other
        scale = np.full(heights.size, other)
    top = 2.0 * (1.0 + beta) / problem.lambda_max / scale
    style: dict[str, Any] = {"path_effects": halo(3.2), "zorder": 4}
    return [
        line(ax, r"edge of stability", noisy, heights, color="black", linestyle="-", linewidth=2.0, **style),
        line(ax, r"curvature limit", top, heights, color="black", linestyle=(0, (1, 1.2)), linewidth=1.6, **style),
    ]


def _names(ax: Axes, rates: Any, heights: Any, status: Any) -> None:
    """Each region named at the cell that lies deepest in it, unless the name is wider than the region there."""
    for name in ("stable", "escapes", "diverges"):
        inside = status == name
        if not inside.any():
            continue
        x, y = np.meshgrid(np.linspace(0.0, 1.0, rates.size), np.linspace(0.0, 1.0, heights.size), indexing="ij")
        outside = np.stack([x[~inside], y[~inside]], axis=1)
        own = np.stack([x[inside], y[inside]], axis=1)
        room = np.minimum(own, 1.0 - own).min(axis=1)
        if outside.size:
            gaps = np.sqrt(((own[:, None, :] - outside[None, :, :]) ** 2).sum(axis=2)).min(axis=1)
            room = np.minimum(room, gaps)
        # Where many cells lie equally deep, the one nearest to the middle of the region.
        room = room - 0.1 * np.abs(own - own.mean(axis=0)).sum(axis=1)
        i, j = np.argwhere(inside)[int(room.argmax())]
        free = 2.0 * min((~inside[i::-1, j]).argmax() or i + 0.5, (~inside[i:, j]).argmax() or rates.size - i - 0.5)
        if free / rates.size < LETTER * len(name):
            continue
        across = i / (rates.size - 1)
        side, shift = ("left", 6) if across < MARGIN else ("right", -6) if across > 1.0 - MARGIN else ("center", 0)
        ax.annotate(
            name, (rates[i], heights[j]), (shift, 0), textcoords="offset points", ha=side, va="center",
            fontsize="medium", path_effects=halo(2.6), zorder=5,
        )  # fmt: skip


draw.register(EscapeChart, escape_chart)
