"""One look for all pictures: the Okabe-Ito colours, which colour-blind readers tell apart, and few lines."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun.plotting._table import note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.lines import Line2D

# Okabe and Ito, "Color Universal Design" (2008); their yellow is left out, too faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
HIGHEST = 1e200
SUBDIVIDED = 2.5
"""Decades of a logarithmic axis up to which there are marks between the powers of ten."""
POWER, RAISED = re.compile(r"\$\\mathdefault\{(.*)\^\{(-?\d+)\}\}\$"), str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PLAIN = -3.0, 5.0
"""Powers of ten between which labels beside a single power are plain numbers, 20 and not 2×10¹."""
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


def panels(count: int, size: tuple[float, float] = (4.6, 4.2)) -> tuple[Any, list[Axes]]:
    """A figure of several panels, three in a row at most, and its axes.

    Parameters
    ----------
    count : int
    size : (float, float)
        Of a panel, in inches.
    """
    from matplotlib.figure import Figure

    across = min(count, 3)
    down = -(-count // across)
    figure = Figure(figsize=(size[0] * across, size[1] * down), layout="constrained")
    places = list(figure.subplots(down, across, squeeze=False).flat)
    for extra in places[count:]:
        figure.delaxes(extra)
    return figure, places[:count]


def _digits(decades: float) -> tuple[int, ...]:
    """First digits of the labels of an axis so wide, on which at most one power of ten stands.

    Of 1, 2, 5 two stand on any 0.7 decades; more of them run into each other.
    """
    return (1, 2, 5) if decades > 0.7 else (1, 2, 3, 4, 6) if decades > 0.4 else tuple(range(10))


@lru_cache(maxsize=1)
def _powers() -> tuple[Any, Any]:
    """Labels of logarithmic axes as plain text, and few marks on them: each takes a sixth off a picture's time."""
    from matplotlib import rcParams
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    class Powers(LogFormatterSciNotation):
        def __init__(self) -> None:
            super().__init__(minor_thresholds=(np.inf, np.inf))  # which have a label is decided here

        def __call__(self, x: float, pos: Any = None) -> str:
            axis: Any = self.axis
            low, high = sorted(np.log10(axis.get_view_interval()))
            between = np.floor(high + 1e-9) - np.ceil(low - 1e-9) < 1.0
            digit = round(x / 10.0 ** np.floor(np.log10(x) + 1e-9))
            if digit % 10 not in (_digits(high - low) if between else (1,)):
                return ""
            if between and low >= PLAIN[0] and high <= PLAIN[1]:
                return f"{x:,.6g}"
            text = super().__call__(x, pos)
            if rcParams["mathtext.fontset"] == "stix":  # whose letters have no raised ones
                return text
            found = POWER.fullmatch(text)
            return "" if found is None else found[1].replace(r"\times", "×") + found[2].translate(RAISED)

    class Between(LogLocator):
        def tick_values(self, vmin: float, vmax: float) -> Any:
            # Beyond, the powers of ten are near enough to each other to read by.
            few = 0.0 < vmin < vmax <= vmin * 10.0**SUBDIVIDED
            return super().tick_values(vmin, vmax) if few else np.array([])

    return Powers, Between


def label_powers(axis: Any) -> None:
    """Powers of ten of a logarithmic axis as plain text; where there is at most one, numbers between that do not touch.

    Marks between the powers of ten stand where these are few.

    Parameters
    ----------
    axis : matplotlib Axis
    """
    powers, between = _powers()
    axis.set_major_formatter(powers())
    axis.set_minor_formatter(powers())
    axis.set_minor_locator(between(subs="auto"))


def log_axes(ax: Axes, x: str, y: str) -> None:
    """Logarithmic axes with labels and a faint grid.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y : str
        Axis labels.
    """
    ax.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    for axis in (ax.xaxis, ax.yaxis):
        label_powers(axis)
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


def line(ax: Axes, name: str, x: Any, y: Any, **style: Any) -> Line2D:
    """A line or marks whose numbers go to the table.

    Parameters
    ----------
    ax : matplotlib Axes
    name : str
        Of the series, and of the line in legends.
    x, y : array
    **style
        As for `Axes.plot`.
    """
    style.setdefault("label", name)
    # Beyond, logarithmic axes overflow; it is off every picture, but not off its table.
    (artist,) = ax.plot(x, np.minimum(y, HIGHEST), **style)
    note(artist, name, x, y)
    return artist


def cells(ax: Axes, name: str, x: Any, y: Any, values: Any, most: float = np.inf, **style: Any) -> QuadMesh:
    """A map of cells about the points (x_i, y_j) whose numbers go to the table.

    Parameters
    ----------
    ax : matplotlib Axes
    name : str
        Of the series: what the values are.
    x : array, shape (n,)
    y : array, shape (m,)
    values : array, shape (n, m)
    most : float
        Cells above are drawn in the "bad" colour of the map.
    **style
        As for `Axes.pcolormesh`.
    """
    shown = np.ma.masked_where(np.asarray(values) > most, values).T
    mesh = ax.pcolormesh(x, y, shown, shading="nearest", rasterized=True, **style)
    note(mesh, name, np.asarray(x)[:, None], np.asarray(y)[None, :], values)
    return mesh


def level(ax: Axes, name: str, x: Any, y: Any, values: Any, at: float, **style: Any) -> list[Line2D]:
    """The lines along which the values on a grid equal `at`; none where the values do not cross it.

    Parameters
    ----------
    ax : matplotlib Axes
    name : str
    x : array, shape (n,)
    y : array, shape (m,)
    values : array, shape (n, m)
    at : float
    **style
        As for `line`.
    """
    values = np.asarray(values)
    if min(values.shape) < 2 or not np.nanmin(values) < at < np.nanmax(values):
        return []
    contour = ax.contour(x, y, np.transpose(values), levels=[at])
    segments = contour.allsegs[0]
    contour.remove()
    return [line(ax, name, segment[:, 0], segment[:, 1], **style) for segment in segments]


def halo(width: float = 3.0, colour: str = "white") -> list[Any]:
    """White about a dark line, or the reverse, which keeps it visible on any colour.

    Parameters
    ----------
    width : float
        In points.
    colour : str
    """
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=colour)]
