"""The loss over learning rates and momenta, with the edge of stability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float
from genfun.answers.best.loss_map import LossMap
from genfun.answers.edge_asymptotes import critical_eigenvalue, small_rate_limit
from genfun.engine.edge import curvature_limits, edges_of
from genfun.methods.family import Family
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible, for_maps, sampling_factor
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, cells, halo, label_powers, legend_below, level, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEEPEST = 1e-16
"""Losses further below the start than this share the darkest colour."""
SHARE = 0.95
"""Of the cells that learn; the rest, mostly close to the edge, share the lightest colour."""
EDGE_POINTS = 81
ENCLOSED = 6
"""Cells that the line about the best one has to enclose: about fewer it would be the shape of cells."""
NEAR, CLIPPED = 2.0, 0.5
"""The line about the best cell is drawn at this many times its loss; decades above it that all cells beyond stand at:
between a cell and one that diverges a line by interpolation would follow the cells, as stairs."""


def loss_map(
    result: LossMap, best: SGD | None = None, ax: Axes | None = None, limits: tuple[float, float] | None = None
) -> Axes:
    r"""Log loss over learning rate and momentum, the edge of stability, and the limits that it follows.

    A thin white line encloses the settings with at most twice the loss of the best cell, where these are six or more.

    .. math:: \alpha_{max}(\beta):\ \tilde U(1) = 1\ \text{or}\ \alpha\lambda_{max} = 2(1+\beta);\qquad
              \frac{\alpha}{1-\beta} = \frac{2}{\gamma\tau_1\operatorname{Tr}H};\qquad
              \frac{\alpha}{1-\beta} = \frac{2}{\gamma\lambda_{crit}}

    **Assumptions.** None. Cells with more loss than at the start are white; the highest 5 % of the others share a
    colour, as do losses below 1e-16 of the start.

    Parameters
    ----------
    result : LossMap
        From `genfun.loss_map`.
    best : SGD or None
        A setting to mark with a star, as `genfun.optimize(...).method`.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.
    limits : (float, float) or None
        log10 losses of the darkest and the lightest colour, to compare maps; None: those of this map.

    Returns
    -------
    matplotlib Axes
        The axes drawn on; a colour bar is added to their figure.

    Raises
    ------
    ValueError
        If the problem has neither signal nor label noise.

    References
    ----------
    arXiv 2206.11124, figure 4.

    Examples
    --------
    >>> import numpy as np
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> m = gf.loss_map(gf.PowerLaw(1.5, 0.5, n_modes=50), np.linspace(0.1, 2, 8), [-0.5, 0, 0.5], 100, batch_size=5)
    >>> loss_map(m, ax=Figure().subplots()).get_title()
    'batch size 5'
    """
    initial = 0.5 * (result.problem.signal_total + result.problem.noise_variance)
    if initial == 0.0:
        raise ValueError("result has no loss to draw: its problem has neither signal nor label noise")
    ax, start = axes(ax), np.log10(initial)
    decades = result.log_loss / np.log(10.0)
    seen = decades[decades <= start]
    bottom, top = shades(decades, float(start)) if limits is None else limits
    scale: dict[str, Any] = {"cmap": _colours(), "vmin": bottom, "vmax": top}
    mesh = cells(ax, "log10 loss", result.learning_rates, result.momenta, decades, start, **scale)
    beyond = bool((seen < bottom).any()), bool((seen > top).any())
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    bar = ax.figure.colorbar(mesh, ax=ax, extend=extend, pad=0.02)
    bar.set_label(rf"$\log_{{10}}$ loss at step {result.step:,}  (white: above the start)", fontsize="small")
    handles = _limits(ax, result)
    near = float(np.min(decades)) + np.log10(NEAR)
    thin: dict[str, Any] = {"color": "white", "linewidth": 1.0, "path_effects": halo(2.0, "0.25"), "zorder": 3}
    if int((decades <= near).sum()) >= ENCLOSED:
        low = np.minimum(decades, near + CLIPPED)
        handles += level(ax, "twice the least loss", result.learning_rates, result.momenta, low, near, **thin)[:1]
    if best is not None:
        style: dict[str, Any] = {"marker": "*", "markersize": 13, "linestyle": "", "zorder": 5}
        at = ([best.learning_rate], [best.momentum])
        # On top of the frame, should the best setting lie at a bound.
        handles.append(line(ax, "best setting", *at, color="white", markeredgecolor="black", clip_on=False, **style))
    low, high = float(result.learning_rates.min()), float(result.learning_rates.max())
    if _geometric(result.learning_rates):
        ax.set_xscale("log")
        label_powers(ax.xaxis)
    ax.set(xlabel=r"learning rate $\alpha$", ylabel=r"momentum $\beta$", title=_title(result.batch_size))
    if high > low:
        ax.set_xlim(low, high)
    if result.momenta.max() > result.momenta.min():
        ax.set_ylim(float(result.momenta.min()), float(result.momenta.max()))
    legend_below(ax, handles, 2)
    return ax


def shades(decades: Float[Array, "r m"], start: float) -> tuple[float, float]:
    """log10 losses of the darkest and the lightest colour of a map.

    Parameters
    ----------
    decades : array, shape (r, m)
        log10 of the loss.
    start : float
        That of the loss at step 0; what lies above is white.
    """
    seen = decades[decades <= start]
    if not seen.size:
        return start - 1.0, start
    bottom = max(float(seen.min()), start + float(np.log10(DEEPEST)))
    return bottom, max(float(np.quantile(seen, SHARE)), bottom + 0.1)


def _geometric(rates: Float[Array, " r"]) -> bool:
    """Whether the rates are spaced rather by a factor than by a difference."""
    if rates.size < 3:
        return False
    ratios, differences = np.diff(np.log(rates)), np.diff(rates)
    return bool(np.ptp(ratios) / abs(ratios.mean()) < np.ptp(differences) / abs(differences.mean()))


def _title(batch_size: int | None) -> str:
    return "full batch" if batch_size is None else f"batch size {batch_size:,}"


def _colours() -> Any:
    """Lightness falls with the loss, so that the map reads in grey too."""
    from matplotlib import colormaps

    return colormaps["viridis"].with_extremes(bad="white")


def _limits(ax: Axes, result: LossMap) -> list[Any]:
    problem, noise, size = result.problem, result.noise, result.batch_size
    beta = momenta_between(float(result.momenta.min()), float(result.momenta.max()), EDGE_POINTS)
    gamma = sampling_factor(size, problem.n_samples)
    style: dict[str, Any] = {"path_effects": halo(3.2), "zorder": 4}
    largest = edges_of(problem, Family(), beta, size, for_maps(noise, float(np.abs(beta).max())))
    lines = [
        (r"edge of stability", largest, "black", "-", 2.0),
        (
            r"$2(1+\beta)/\lambda_{max}$",
            curvature_limits(SGD, (beta,), problem.lambda_max),
            "black",
            (0, (1, 1.2)),
            1.6,
        ),
    ]
    small = late = np.full(beta.size, np.nan)
    if isinstance(noise, SpectrallyExpressible):  # the limits are derived for it alone
        with np.errstate(divide="ignore"):
            small = (1.0 - beta) * small_rate_limit(problem, gamma, noise)
            late = (1.0 - beta) * np.divide(2.0, gamma * critical_eigenvalue(problem, noise))
    lines += [
        (r"small rates: $\alpha_{eff} = 2/(\gamma\tau_1$Tr$H)$", small, COLOURS[1], (0, (5, 1.6)), 1.6),
        (r"$\beta\to1$: $\alpha_{eff} = 2/(\gamma\lambda_{crit})$", late, COLOURS[3], (0, (6, 1.5, 1, 1.5)), 1.6),
    ]
    names = ("edge of stability", "curvature limit", "small-rate limit", "momentum-1 limit")
    handles = []
    for name, (label, rates, colour, dash, width) in zip(names, lines, strict=True):
        shown = np.isfinite(rates) & (rates > 0.0)
        if shown.any():
            look = {"color": colour, "linestyle": dash, "linewidth": width, "label": label}
            handles.append(line(ax, name, rates[shown], beta[shown], **look, **style))
    return handles


def momenta_between(low: float, high: float, count: int) -> Float[Array, " m"]:
    """Momenta, denser towards -1 and 1, where the edge turns.

    Parameters
    ----------
    low, high : float
    count : int
    """
    if low == high:
        return np.array([low])
    return np.clip(np.tanh(np.linspace(np.arctanh(low), np.arctanh(high), count)), low, high)


draw.register(LossMap, loss_map)
