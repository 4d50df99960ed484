"""One look for all pictures: the Okabe-Ito colours, which colour-blind readers tell apart, and few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito, "Color Universal Design" (2008); their yellow is left out, too faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1, 1.4)), (0, (6, 1.5, 1, 1.5)))


def axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new pyplot figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(5.6, 4.4), layout="constrained")[1]


def log_axes(ax: Axes, x: str, y: str) -> None:
    """Logarithmic axes with labels and a faint grid.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y : str
        Axis labels.
    """
    ax.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    ax.grid(True, which="major", color="0.9", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def legend_below(ax: Axes, handles: list[Any], columns: int) -> None:
    """A legend under the axes, where it covers no line.

    Parameters
    ----------
    ax : matplotlib Axes
    handles : list of artists
    columns : int
    """
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.17),
        ncols=columns,
        frameon=False,
        fontsize="small",
        borderaxespad=0.0,
    )
