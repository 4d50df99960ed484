"""How far a setting is from the largest stable learning rate, and which limit that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun.answers.max_learning_rate import max_learning_rate, noise_gain_map
from genfun.engine.edge import curvature_limit
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel
from genfun.plotting.style import COLOURS, axes, legend_below, line
from genfun.problems.problem import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 120
TALLEST = 2.0
"""Noise gains above are off the picture."""


def stability_edge(problem: Problem, method: SGD, noise: NoiseModel, ax: Axes | None = None) -> Axes:
    r"""The noise gain U~(1) against the learning rate, with the limits of noise and of curvature and the setting.

    .. math:: \tilde U(1) < 1\quad\text{and}\quad\alpha < 2(1+\beta)/\lambda_{max}

    **Assumptions.** Those of the noise model; heavy-ball SGD.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
    method : SGD
        The setting, which is marked.
    noise : SpectrallyExpressible or Noise
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If no learning rate is stable.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> problem = gf.PowerLaw(1.5, 0.5, n_modes=20)
    >>> ax = stability_edge(problem, gf.SGD(0.3, 0.5, 10), gf.SpectrallyExpressible(), Figure().subplots())
    >>> ax.get_xlabel()
    'learning rate'
    """
    edge, top = max_learning_rate(problem, method.momentum, method.batch_size, noise), curvature_limit(problem, method)
    if edge == 0.0:
        raise ValueError(
            "no learning rate is stable, so there is nothing to draw; the trace of the Hessian is infinite"
        )
    ax = axes(ax)
    last = 1.15 * min(max(method.learning_rate, edge), 4.0 * edge)
    rates = np.union1d(np.linspace(last / POINTS, last, POINTS), [edge])
    gains = noise_gain_map(problem, rates, [method.momentum], method.batch_size, noise)[:, 0]
    shown = np.isfinite(gains) & (gains <= 2.0 * TALLEST)
    handles: list[Any] = [
        line(ax, "noise gain", rates[shown], gains[shown], color=COLOURS[0], linewidth=2.0),
        line(ax, "largest stable rate", [edge, edge], [0.0, TALLEST], color="black", linewidth=1.4),
    ]
    ax.axhline(1.0, color="0.5", linewidth=1.0, linestyle=(0, (2, 2)))
    handles.append(ax.axvspan(edge, last, color="0.93", zorder=0, label="diverges"))
    if top <= last:
        name = "limit of curvature, $2(1+\\beta)/\\lambda_{max}$"
        dashes: dict[str, Any] = {"color": COLOURS[1], "linestyle": "--", "linewidth": 1.6}
        handles.append(line(ax, name, [top, top], [0.0, TALLEST], **dashes))
    gain = float(noise_gain_map(problem, [method.learning_rate], [method.momentum], method.batch_size, noise)[0, 0])
    if method.learning_rate <= last:
        place = min(gain, TALLEST) if np.isfinite(gain) else TALLEST
        mark = line(ax, "this setting", [method.learning_rate], [place], linestyle="", marker="o", zorder=5)
        mark.set(color=COLOURS[2], markersize=8, clip_on=False)
        handles.append(mark)
    ax.set(xlim=(0.0, last), ylim=(0.0, TALLEST), xlabel="learning rate", ylabel=r"noise gain $\tilde U(1)$")
    ax.spines[["top", "right"]].set_visible(False)
    legend_below(ax, handles, 2)
    return ax
