"""Theory and simulated runs in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._display import percent
from genfun.experiments.agreement.agree import Agreement
from genfun.experiments.agreement.agreements import Agreements
from genfun.plotting._draw import draw
from genfun.plotting._table import note
from genfun.plotting.style import COLOURS, HIGHEST, axes, legend_below, line, log_axes, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 14
"""Means marked with their errors along the curve; more would hide the line."""
TALLEST = 1e4
"""Losses further above the largest at the first step are off the picture."""
DEEPEST = 1e-12
"""Losses further below it are, too."""


def agreement(found: Agreement, ax: Axes | None = None) -> Axes:
    """Predicted mean, simulated mean with its standard errors, median and band of the runs, on logarithmic axes.

    Step 0 is left out. Bars that reach below zero end at a thousandth of the mean.

    **Assumptions.** None; what is not finite or not positive is left out.

    Parameters
    ----------
    found : Agreement
        From `genfun.experiments.agree`.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there is no step beside 0.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments import agree, simulate
    >>> from matplotlib.figure import Figure
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> runs = simulate(data, gf.SGD(0.1, batch_size=1), steps=20, replicas=8)
    >>> ax = agreement(agree(gf.predict(data.problem, runs.method, runs.steps), runs), Figure().subplots())
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['predicted mean', 'mean of the runs ± 2.5 standard errors', 'median of the runs', 'middle 90 % of the runs']
    """
    after = found.steps > 0
    if not after.any():
        raise ValueError("found has no step beside 0, which logarithmic axes cannot show; record more steps")
    ax = axes(ax)
    steps, theory, mean, median = (a[after] for a in (found.steps, found.theory, found.mean, found.median))
    error = found.sigmas * np.where(np.isfinite(found.sem), found.sem, 0.0)[after]
    low, high = found.band[:, after]
    handles = []
    if np.isfinite(low).any():
        known, name = low < HIGHEST, "middle 90 % of the runs"
        top = np.minimum(high[known], HIGHEST)
        shade = ax.fill_between(steps[known], low[known], top, color="0.85", linewidth=0.0, zorder=1, label=name)
        note(shade, name, np.tile(steps, 2), np.concatenate([low, high]))
        style = {"color": COLOURS[2], "linestyle": "--", "linewidth": 1.3, "zorder": 2}
        handles = [shade, line(ax, "median of the runs", steps, median, **style)]
    bars = mean_with_errors(ax, steps, mean, error, found.sigmas)
    shown = np.isfinite(theory) & (theory > 0.0)
    predicted = line(ax, "predicted mean", steps[shown], theory[shown], color=COLOURS[0], linewidth=1.8, zorder=3)
    handles += [bars, predicted]
    log_axes(ax, "step", "loss")
    seen = np.concatenate([theory, mean, low, high])
    seen = seen[np.isfinite(seen) & (seen > 0.0)]
    if seen.size:
        start = max(theory[0], mean[0])
        top = min(seen.max(), TALLEST * start)
        ax.set_ylim(max(min(seen.min(), top) / 2.0, DEEPEST * start), 2.0 * top)
    legend_below(ax, handles[::-1], 2)
    return ax


def mean_with_errors(ax: Axes, steps: Any, mean: Any, error: Any, sigmas: float) -> Any:
    """Marks at some means of runs along the curve, with bars.

    Parameters
    ----------
    ax : matplotlib Axes
    steps, mean, error : array, shape (t,)
        Of bars, the half length: standard errors times sigmas.
    sigmas : float
        For the name.
    """
    places = np.flatnonzero((mean > 0.0) & (mean + error < HIGHEST))
    if places.size > MARKS:
        wanted = np.geomspace(steps[places[0]], steps[places[-1]], MARKS)
        places = np.unique(places[np.abs(np.log(steps[places][:, None] / wanted)).argmin(axis=0)])
    name = f"mean of the runs ± {sigmas:g} standard errors"
    bars = ax.errorbar(
        steps[places], mean[places], [np.minimum(error[places], 0.999 * mean[places]), error[places]],
        fmt="o", color=COLOURS[1], markersize=4.0, capsize=2.5, linewidth=1.2, zorder=4, label=name,
    )  # fmt: skip
    note(bars.lines[0], name, steps[places], mean[places], error[places])
    return bars


def agreement_panels(found: Agreements, most: int = 12) -> Any:
    """A panel for each of many settings, the first ones, with the legend of the first under all.

    Parameters
    ----------
    found : Agreements
    most : int
        Panels.
    """
    figure, places = panels(min(most, len(found.parts)), (4.2, 3.4))
    for method, part, share, ax in zip(found.methods, found.parts, found.shares, places, strict=False):
        agreement(part, ax)
        size = "full batch" if method.batch_size is None else f"batch {method.batch_size}"
        beta = getattr(method, "momentum", 0.0)
        ax.set_title(f"{size}, momentum {beta:g}, {percent(share)} of the edge", fontsize="medium")
    legends: list[Any] = [ax.get_legend() for ax in places]
    labels = [text.get_text() for text in legends[0].texts]
    named = dict(zip(*reversed(places[0].get_legend_handles_labels()), strict=True))
    shown = [named[label] for label in labels]  # the bars with their marks, which the legend's own handles lack
    for legend in legends:
        legend.remove()
    figure.legend(shown, labels, loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


draw.register(Agreement, agreement)
