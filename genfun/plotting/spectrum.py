"""Spectrum and signal, with the fitted power laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun.answers.exponents.fit import PowerLawFit
from genfun.answers.exponents.spectrum_points import SpectrumPoints, spectrum_points
from genfun.data.linear import LinearData
from genfun.plotting._draw import draw
from genfun.plotting.style import COLOURS, axes, legend_below, line, log_axes
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import LinearProblem, Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(problem: Problem | SpectrumPoints, fit: PowerLawFit | None = None, ax: Axes | None = None) -> Axes:
    r"""Eigenvalues and signal tails against the mode number, both relative to the first.

    .. math:: \lambda_k/\lambda_1,\qquad \sum_{j\ge k}s_j\Big/\sum_j s_j

    **Assumptions.** None.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or SpectrumPoints
        What to draw.
    fit : PowerLawFit or None
        Drawn as dashed lines over its window, which is shaded.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> ax = spectrum(gf.PowerLaw(1.5, 0.5), ax=Figure().subplots())
    >>> ax.get_xscale(), len(ax.lines)
    ('log', 2)
    """
    points = problem if isinstance(problem, SpectrumPoints) else spectrum_points(problem)
    ax = axes(ax)
    first, learned = float(points.eigenvalues[0]), points.signal_tails > 0.0
    total = float(points.signal_tails[0]) if learned.any() else 1.0
    style = {"marker": "o", "markersize": 2.5, "linewidth": 1.0}
    handles = [
        line(
            ax, "eigenvalues", points.modes, points.eigenvalues / first,
            color=COLOURS[0], label=r"eigenvalue $\lambda_k$", **style,
        ),
        line(
            ax, "signal tails", points.modes[learned], points.signal_tails[learned] / total,
            color=COLOURS[1], label=r"signal from mode $k$ on", **style,
        ),
    ]  # fmt: skip
    if fit is not None and np.isfinite(fit.nu) and np.isfinite(fit.zeta):
        last = int(points.modes[-1]) if fit.window[1] is None else fit.window[1]
        k = np.array([float(fit.window[0]), float(last)])
        lam = fit.eigenvalue_scale * k**-fit.nu
        doubt = "" if fit.is_power_law else "?"
        style = {"color": "black", "linewidth": 1.6}
        nu = rf"$k^{{-{fit.nu:.3g}}}$ ($\nu${doubt})"
        zeta = rf"$\lambda_k^{{{fit.zeta:.3g}}}$ ($\zeta${doubt})"
        tails = fit.signal_scale * lam**fit.zeta
        handles.append(line(ax, "fitted eigenvalues", k, lam / first, linestyle="--", label=nu, **style))
        handles.append(line(ax, "fitted signal tails", k, tails / total, linestyle=":", label=zeta, **style))
        ax.axvspan(k[0], k[1], color="0.95", zorder=0)
    log_axes(ax, r"mode number $k$ (largest eigenvalue first)", "relative to the first")
    legend_below(ax, handles, 2)
    return ax


def _of_fit(result: PowerLawFit, ax: Axes | None = None) -> Axes:
    if result._problem is None:
        raise ValueError("this fit has no spectrum; draw it by genfun.plotting.spectrum(problem, fit, ax)")
    return spectrum(result._problem, result, ax)


def _of_problem(result: Any, ax: Axes | None = None) -> Axes:
    return spectrum(getattr(result, "problem", result), None, ax)


draw.register(PowerLawFit, _of_fit)
for kind in (LinearProblem, PowerLaw, LinearData):
    draw.register(kind, _of_problem)
