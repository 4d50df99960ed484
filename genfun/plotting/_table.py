"""The numbers behind a picture: what is drawn is noted with its name, and read back as one long table."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from genfun._files import write_all
from genfun._typing import Array, Float

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLUMNS = ("panel", "series", "x", "y", "value")
DPI = 300
PAPER: Any = {"pdf.fonttype": 42, "ps.fonttype": 42}
"""Letters as TrueType fonts, which publishers ask for, and which stay text."""
Row = tuple[str, str, float, float, float | None]


@dataclass(frozen=True, eq=False)
class Series:
    """One artist as numbers.

    Parameters
    ----------
    name : str
        What it shows.
    x, y : array, any shape
        In the units of the axes.
    value : array of the same shape, or None
        What colour shows, for maps.
    """

    name: str
    x: Float[Array, "..."]
    y: Float[Array, "..."]
    value: Float[Array, "..."] | None = None


# By artist, so that what is removed from a picture leaves its table too.
_NOTES: WeakKeyDictionary[Artist, Series] = WeakKeyDictionary()


def note(artist: Artist, name: str, x: Any, y: Any, value: Any = None) -> None:
    """Keep the numbers of an artist; x, y and value broadcast.

    Parameters
    ----------
    artist : matplotlib Artist
    name : str
    x, y, value : array
    """
    given = [np.asarray(part, dtype=float) for part in (x, y) + (() if value is None else (value,))]
    _NOTES[artist] = Series(name, *np.broadcast_arrays(*given))


def series(ax: Axes) -> dict[str, list[Series]]:
    """What is drawn on the axes, by name.

    Parameters
    ----------
    ax : matplotlib Axes
    """
    found: dict[str, list[Series]] = {}
    for artist in ax.get_children():
        if artist in _NOTES:
            found.setdefault(_NOTES[artist].name, []).append(_NOTES[artist])
    return found


def table(picture: Any) -> list[Row]:
    """All numbers drawn, as rows (panel, series, x, y, value).

    **Assumptions.** The picture was drawn by `genfun.plotting`; what others add to it is left out.

    Parameters
    ----------
    picture : matplotlib Axes or Figure, or an array of Axes
        One panel or several. A panel is named by its title, or by its number.

    Returns
    -------
    list of tuple
        `x` and `y` in the units of the axes, `value` what colour shows (None for lines and marks).

    Raises
    ------
    TypeError
        If it is none of these.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.plotting import loss_curves, table
    >>> from matplotlib.figure import Figure
    >>> r = gf.predict(gf.LinearProblem([1.0], [2.0]), gf.SGD(0.5), [0, 1, 2])
    >>> table(loss_curves([r], ["half"], ax=Figure().subplots()))
    [('panel 1', 'half', 1.0, 0.25, None), ('panel 1', 'half', 2.0, 0.0625, None)]
    """
    rows: list[Row] = []
    panels = [drawn for drawn in ((ax, series(ax)) for ax in _panels(picture)) if drawn[1]]
    for number, (ax, drawn) in enumerate(panels, start=1):
        panel = ax.get_title() or f"panel {number}"
        for name, parts in drawn.items():
            for part in parts:
                values = [None] * part.x.size if part.value is None else part.value.ravel().tolist()
                points = zip(part.x.ravel().tolist(), part.y.ravel().tolist(), values, strict=True)
                rows += [(panel, name, *point) for point in points]
    return rows


def save(picture: Any, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a picture and, beside it, its numbers as CSV: both whole, or neither.

    **Assumptions.** As for `table`.

    Parameters
    ----------
    picture : matplotlib Axes or Figure, or an array of Axes
        What to write: the whole figure that it belongs to.
    path : path
        Of the picture; the ending (png, svg, pdf) says the format. The numbers go to the same name with .csv.

    Returns
    -------
    (Path, Path)
        The picture and the table: panel, series, x, y, value, with 10 digits.

    Raises
    ------
    ValueError
        If the path ends in .csv, or in nothing.
    TypeError
        If it is no picture.
    OSError
        If the files cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import genfun as gf
    >>> from genfun.plotting import phase_diagram, save
    >>> from matplotlib.figure import Figure
    >>> ax = phase_diagram({"mine": gf.PowerLaw(1.5, 0.5)}, Figure().subplots())
    >>> [p.name for p in save(ax, pathlib.Path(tempfile.mkdtemp()) / "phases.svg")]
    ['phases.svg', 'phases.csv']
    """
    from matplotlib import rc_context

    target = Path(path)
    if target.suffix in ("", ".csv"):
        raise ValueError(f"path must end in .png, .svg or .pdf, got {str(path)!r}; the CSV is written beside it")
    twin, rows = target.with_suffix(".csv"), table(picture)
    figure = figure_of(picture)
    drawn, numbers = io.BytesIO(), io.StringIO()
    with rc_context(PAPER):
        figure.savefig(drawn, format=target.suffix[1:], dpi=DPI)
    writer = csv.writer(numbers, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[f"{x:.10g}" if isinstance(x, float) else x for x in row] for row in rows])
    write_all({target: drawn.getvalue(), twin: numbers.getvalue().encode()})
    return target, twin


def figure_of(picture: Any) -> Any:
    """The whole figure that a picture belongs to.

    Parameters
    ----------
    picture : matplotlib Axes or Figure, or an array of Axes
    """
    return picture if hasattr(picture, "savefig") else _panels(picture)[0].figure.figure


def _panels(picture: Any) -> list[Axes]:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    if isinstance(picture, FigureBase):
        whole: Any = picture
        return list(whole.axes)
    found = list(np.ravel(np.asarray(picture, dtype=object)))
    if not found or not all(isinstance(ax, Axes) for ax in found):
        raise TypeError(f"picture must be matplotlib Axes, an array of them or a Figure, got {type(picture).__name__}")
    return found
