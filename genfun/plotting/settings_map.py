"""Maps of the loss over learning rate and momentum, one for each batch size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genfun.answers.best.loss_map import loss_map as compute
from genfun.answers.best.optimize import optimize
from genfun.answers.best.optimum import Optimum
from genfun.answers.max_learning_rate import max_learning_rate
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.plotting._draw import draw
from genfun.plotting.loss_map import loss_map, momenta_between, shades
from genfun.problems.problem import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST_MOMENTUM = 0.98
PANEL, LEGEND, ALONE = (4.3, 3.6), 0.6, (6.4, 4.8)
"""Inches: a panel of several, the legend under them, and the figure of one map, whose legend is wider than a panel."""
LEAST_SHARE = 0.02
"""The least learning rate of the maps, as a share of the smallest edge at momentum 0."""


def settings_map(
    problem: Problem | LinearData,
    step: int,
    batch_sizes: Sequence[int | None],
    noise: NoiseChoice = None,
    cells: int = 100,
    ax: Any = None,
) -> list[Axes]:
    r"""The loss at one step over learning rate and momentum for several batch sizes, edges and optima marked.

    .. math:: \log_{10} L(T;\ \alpha, \beta, b)

    **Assumptions.** As for `predict`. Momenta from -0.98 to 0.98, or to the largest of the optima; rates up to
    4/lambda_max, the curvature limit of momentum 1. One colour scale for all maps.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    step : int
        T >= 1.
    batch_sizes : sequence of int or None
        One panel each; None means the full batch.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    cells : int
        On a side of each map.
    ax : sequence of matplotlib Axes, or one, or None
        Where to draw, one for each batch size; None makes a new figure.

    Returns
    -------
    list of matplotlib Axes
        One for each batch size.

    Raises
    ------
    ValueError
        If there are no batch sizes or not as many axes, or no learning rate is stable.

    References
    ----------
    arXiv 2206.11124, figure 4.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> panels = settings_map(gf.PowerLaw(1.5, 0.5, n_modes=30), 100, [1, 10], cells=6, ax=Figure().subplots(1, 2))
    >>> [ax.get_title() for ax in panels]
    ['batch size 1', 'batch size 10']
    """
    if len(batch_sizes) == 0:
        raise ValueError("batch_sizes is empty; pass at least one, e.g. batch_sizes=[1, 10, 100]")
    panels: list[Axes] = _row(len(batch_sizes)) if ax is None else list(np.ravel(np.asarray(ax, dtype=object)))
    if len(panels) != len(batch_sizes):
        raise ValueError(f"ax must have one entry for each of the {len(batch_sizes)} batch sizes, got {len(panels)}")
    case = Case.of(problem, noise=noise)
    problem, noise = case.problem, case.noise
    best = [optimize(problem, b, step, noise=noise).method for b in batch_sizes]
    least = min(max_learning_rate(problem, 0.0, b, noise) for b in batch_sizes)
    low = min(LEAST_SHARE * least, *(0.5 * m.learning_rate for m in best))
    rates = np.geomspace(low, 4.0 / problem.lambda_max, cells)
    # Denser towards 1, where the best settings lie in a narrow valley along the edge.
    momenta = momenta_between(-LARGEST_MOMENTUM, max([LARGEST_MOMENTUM, *(m.momentum for m in best)]), cells)
    maps = [compute(problem, rates, momenta, step, size, noise) for size in batch_sizes]
    initial = 0.5 * (problem.signal_total + problem.noise_variance)
    start = float(np.log10(initial)) if initial > 0.0 else 0.0
    ends = [shades(found.log_loss / np.log(10.0), start) for found in maps]
    limits = min(bottom for bottom, _ in ends), max(top for _, top in ends)
    for panel, found, setting in zip(panels, maps, best, strict=True):
        loss_map(found, setting, panel, limits)
    if len(panels) > 1:
        _share_legend(panels)
        _share_bar(panels)
    return panels


def figure_size(rows: int, columns: int) -> tuple[float, float]:
    """Width and height in inches for a grid of maps.

    Parameters
    ----------
    rows, columns : int
    """
    return ALONE if rows == columns == 1 else (PANEL[0] * columns, PANEL[1] * rows + LEGEND)


def _row(count: int) -> list[Axes]:
    import matplotlib.pyplot as plt

    columns = count if count < 4 else 2 if count == 4 else 3
    rows = -(-count // columns)
    figure, grid = plt.subplots(rows, columns, figsize=figure_size(rows, columns), layout="constrained")
    found = list(np.ravel(np.asarray(grid, dtype=object)))
    for spare in found[count:]:
        figure.delaxes(spare)
    return found[:count]


def _share_legend(panels: list[Axes]) -> None:
    """One legend for the figure, under the panels, in place of one in each."""
    entries: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
        legend = panel.get_legend()
        if legend is not None:
            legend.remove()
    root: Any = panels[0].figure
    root.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize="small",
    )


def _share_bar(panels: list[Axes]) -> None:
    """One bar of colours, which are the same in all panels, in place of one beside each."""
    meshes = [next(c for c in panel.collections if getattr(c, "colorbar", None) is not None) for panel in panels]
    bars: list[Any] = [mesh.colorbar for mesh in meshes]
    low, high = (any(bar.extend in (end, "both") for bar in bars) for end in ("min", "max"))
    extend: Any = "both" if low and high else "min" if low else "max" if high else "neither"
    label = bars[0].ax.get_ylabel()
    for bar in bars:
        bar.remove()
    root: Any = panels[0].figure
    root.colorbar(meshes[0], ax=panels, extend=extend, pad=0.02).set_label(label, fontsize="small")


def _of_optimum(result: Optimum, ax: Axes | None = None) -> Axes:
    problem, noise, _ = result._asked
    return settings_map(problem, result.steps, [result.method.batch_size], noise, ax=ax)[0]


draw.register(Optimum, _of_optimum)
