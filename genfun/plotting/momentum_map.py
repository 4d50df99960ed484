"""The sign of the best momentum over the exponents of power laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun.answers.best.momentum_map import MomentumMap
from genfun.plotting._draw import draw
from genfun.plotting.style import axes, cells, halo, legend_below, level, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def momentum_map(result: MomentumMap, ax: Axes | None = None) -> Axes:
    r"""The best momentum over (nu, kappa), where it changes sign, and where theory says so.

    .. math:: \beta^*(\nu,\kappa) = 0;\qquad
              \sum\lambda\sum s = \frac{\nu-1}{\nu}\sum\lambda^2\sum\frac{s}{\lambda};\qquad
              \kappa = 2\nu - 1\ (\zeta = 2 - 1/\nu)

    **Assumptions.** The condition is that of the noise-dominated phase, above kappa = 2 nu - 1, at late times: below
    that line it says nothing. At finite T and finitely many modes the true change of sign lies elsewhere; the picture
    shows how far. Negative cells are hatched, so that grey prints show the sign.

    Parameters
    ----------
    result : MomentumMap
        Of `genfun.answers.best.momentum_map`.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on; a colour bar is added to their figure.

    References
    ----------
    arXiv 2206.11124, section 6; the condition is derived by `genfun.symbolic`.

    Examples
    --------
    >>> from genfun.answers.best.momentum_map import momentum_map as compute
    >>> from matplotlib.figure import Figure
    >>> m = compute([1.5, 2.0], [1.0, 4.0], batch_size=1, steps=200, n_modes=20)
    >>> momentum_map(m, Figure().subplots()).get_ylabel()
    'signal exponent $\\kappa = \\nu\\zeta$'
    """
    ax = axes(ax)
    nu, kappa = result.nu, result.kappa
    mesh = cells(ax, "best momentum", nu, kappa, result.momentum, cmap="PuOr", vmin=-1.0, vmax=1.0)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.set_label(r"best momentum $\beta^*$", fontsize="small")
    _hatch(ax, result)
    dark: dict[str, Any] = {"color": "black", "path_effects": halo(3.4)}
    handles: list[Any] = level(
        ax, "sign of best momentum changes", nu, kappa, result.momentum, 0.0, linewidth=2.0, **dark
    )[:1]
    handles += level(
        ax, "sign condition", nu, kappa, result.condition, 0.0, linewidth=1.6, linestyle=(0, (5, 1.6)), **dark
    )[:1]
    ends = np.array([nu.min(), nu.max()])
    handles.append(
        line(
            ax, "kappa = 2 nu - 1", ends, 2.0 * ends - 1.0, linewidth=1.6, linestyle=(0, (1, 1.3)),
            label=r"noise-dominated above: $\kappa = 2\nu-1$", **dark,
        )
    )  # fmt: skip
    ax.set(xlabel=r"capacity exponent $\nu$", ylabel=r"signal exponent $\kappa = \nu\zeta$")
    for limits, values in ((ax.set_xlim, nu), (ax.set_ylim, kappa)):
        if values.size > 1:
            limits(float(values.min()), float(values.max()))
    modes = "all modes" if result.n_modes is None else f"{result.n_modes:,} modes"
    ax.set_title(f"step {result.steps:,}, batch size {result.batch_size:,}, {modes}", fontsize="medium")
    legend_below(ax, handles, 1)
    return ax


def _hatch(ax: Axes, result: MomentumMap) -> None:
    negative = result.momentum < 0.0
    if min(negative.shape) < 2 or not negative.any():
        return
    area = ax.contourf(result.nu, result.kappa, result.momentum.T, levels=[-2.0, 0.0], colors="none", hatches=["////"])
    area.set_edgecolor("0.35")
    area.set_linewidth(0.0)


draw.register(MomentumMap, momentum_map)
