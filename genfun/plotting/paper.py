"""Pictures as a paper prints them: as wide as a column, with the letters of its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

COLUMN, PAGE = 3.4, 7.0
"""Inches: a column of two, and both."""
THIN, GAP = 0.7, 0.03
"""How much thinner lines are, and how far below the axis label a legend is, in heights of the axes."""
ALONE = 6.5
"""Pictures up to this width go into a column, wider ones over the page."""
LETTERS: Any = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
}
"""STIX, which comes with matplotlib, looks like Times; formulas have the same letters. What it lacks is DejaVu's."""


@contextmanager
def for_paper(draw: Callable[[], Any]) -> Iterator[Any]:
    """A picture in the size and letters of print, within which it must be saved.

    Lines and marks are thinner; a legend that is wider than the picture has one column.

    **Assumptions.** The layout follows the size of the figure, as it does for all pictures here.

    Parameters
    ----------
    draw : callable
        Makes the picture, as axes or a figure.

    Returns
    -------
    context manager
        That gives the picture.

    Examples
    --------
    >>> import genfun as gf
    >>> prediction = gf.predict(gf.PowerLaw(1.5, 0.5), gf.SGD(0.1, batch_size=1), [1, 10, 100])
    >>> with for_paper(prediction.plot) as ax:
    ...     print(f"{ax.figure.get_size_inches()[0]:.1f} inches wide")
    3.4 inches wide
    """
    from matplotlib import rc_context

    from genfun.plotting._table import figure_of

    with rc_context(LETTERS):
        picture = draw()
        figure = figure_of(picture)
        width, height = figure.get_size_inches()
        wide = COLUMN if width <= ALONE else PAGE
        figure.set_size_inches(wide, height * wide / width)
        _thin(figure)
        for _ in range(2):  # what is moved below the labels moves the axes
            figure.draw_without_rendering()
            _place_legends(figure)
        yield picture


def _thin(figure: Any) -> None:
    """Lines and marks as much thinner as the picture is smaller, or nearly."""
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    holders = [*figure.axes, *figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend() is not None)]
    drawn = [line for ax in figure.axes for line in ax.lines]
    drawn += [line for legend in holders[len(figure.axes) :] for line in legend.findobj(Line2D)]
    for line in drawn:
        line.set_linewidth(THIN * line.get_linewidth())
        line.set_markersize(THIN * line.get_markersize())
    for bars in (bars for holder in holders for bars in holder.findobj(LineCollection)):
        bars.set_linewidth([THIN * one for one in bars.get_linewidth()])


def _place_legends(figure: Any) -> None:
    """Legends below the axis labels, which are larger against the picture here, and no wider than the picture."""
    legends = [(ax, ax.get_legend()) for ax in figure.axes if ax.get_legend() is not None]
    for legend in (*figure.legends, *(legend for _, legend in legends)):
        if legend.get_window_extent().width > figure.bbox.width:
            legend.set_ncols(1)
    for ax, legend in legends:
        if legend.get_window_extent().y1 < ax.get_window_extent().y0:
            bottom = ax.transAxes.inverted().transform(ax.xaxis.get_tightbbox())[0, 1]
            legend.set_bbox_to_anchor((0.5, bottom - GAP))
