"""The rungs of a ladder in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Float
from genfun.experiments.agreement.ladder import Ladder
from genfun.plotting._draw import draw
from genfun.plotting._table import note
from genfun.plotting.loss_curves import HasLoss
from genfun.plotting.style import COLOURS, DASHES, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "os^Dv"


@runtime_checkable
class HasMean(HasLoss, Protocol):
    """A named mean loss with its standard error, as in `genfun.experiments.Rung`."""

    @property
    def name(self) -> str:
        """What the curve is."""
        ...

    @property
    def sem(self) -> Float[Array, " t"]:
        """Standard error; 0 where nothing is drawn at random."""
        ...


def ladder(curves: Sequence[HasMean], ax: Axes | None = None) -> Axes:
    """Mean losses with their standard errors, on logarithmic axes (step 0 is left out).

    Sampled curves are points with error bars of one standard error; the others are lines, each thinner than the one
    before, so that curves on top of each other can all be seen.

    **Assumptions.** None; what is not finite or not positive is left out.

    Parameters
    ----------
    curves : sequence of Rung
        Anything with `name`, `steps`, `loss` and `sem`.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there are no curves.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments.agreement.ladder import ladder as climb
    >>> from matplotlib.figure import Figure
    >>> result = climb(gf.data.mnist(20), gf.SGD(0.5, batch_size=1), [1, 10, 20], replicas=5)
    >>> [text.get_text() for text in ladder(result.rungs, ax=Figure().subplots()).get_legend().texts]
    ['linearised', 'exact', 'measured', 'diagonal', 'spectrally expressible']
    """
    if len(curves) == 0:
        raise ValueError("curves is empty; pass at least one rung")
    ax = axes(ax)
    handles = []
    for i, curve in enumerate(curves):
        shown = (curve.steps > 0) & (curve.loss > 0.0) & np.isfinite(curve.loss)
        steps, loss, error = curve.steps[shown], curve.loss[shown], curve.sem[shown]
        colour = COLOURS[i % len(COLOURS)]
        if (curve.sem > 0.0).any():
            bars = np.where(np.isfinite(error), error, 0.0)
            style = {"fmt": MARKERS[i % len(MARKERS)], "markersize": max(5.5 - i, 2.0), "capsize": 2.5, "zorder": 3 + i}
            bar = ax.errorbar(steps, loss, bars, color=colour, label=curve.name, **style)
            note(bar.lines[0], curve.name, steps, loss)
            note(bar.lines[2][0], f"{curve.name}, standard error", steps, error)
            handles.append(bar)
        else:
            style = {"linestyle": DASHES[i % len(DASHES)], "linewidth": max(3.6 - 0.6 * i, 1.0)}
            handles.append(line(ax, curve.name, steps, loss, color=colour, **style))
    log_axes(ax, "step", "mean loss")
    legend_below(ax, handles, 3)
    return ax


def _of_ladder(result: Ladder, ax: Axes | None = None) -> Axes:
    return ladder(result.rungs, ax)


draw.register(Ladder, _of_ladder)
