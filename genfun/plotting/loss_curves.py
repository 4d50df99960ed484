"""Loss curves of several settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.plotting.style import COLOURS, DASHES, axes, legend_below, line, log_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEEPEST = 1e-12
"""Losses further below the start than this are off the picture."""
HIGHEST = 1e2


@runtime_checkable
class HasLoss(Protocol):
    """Steps and losses, as in `genfun.Prediction`."""

    @property
    def steps(self) -> Int[Array, "..."]:
        """t."""
        ...

    @property
    def loss(self) -> Float[Array, "..."]:
        """E L(t)."""
        ...


def loss_curves(
    curves: Sequence[HasLoss],
    labels: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean loss against the step, on logarithmic axes (step 0 is left out).

    **Assumptions.** None; losses above 100 times or below 1e-12 times the largest at the first step are cut off.

    Parameters
    ----------
    curves : sequence of Prediction
        Anything with `steps` and `loss`.
    labels : sequence of str or None
        One for each curve; curves of one label share a colour.
    kinds : sequence of str or None
        One for each curve; curves of one kind share a line style.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there are no curves, or not as many labels or kinds.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers import predict
    >>> from matplotlib.figure import Figure
    >>> r = predict(gf.PowerLaw(1.5, 0.5), gf.SGD(0.3, batch_size=10), [1, 10, 100])
    >>> loss_curves([r], ["b = 10"], ax=Figure().subplots()).get_ylabel()
    'mean loss'
    """
    if len(curves) == 0:
        raise ValueError("curves is empty; pass at least one prediction")
    for name, words in (("labels", labels), ("kinds", kinds)):
        if words is not None and len(words) != len(curves):
            raise ValueError(f"{name} must have one entry for each of the {len(curves)} curves, got {len(words)}")
    from matplotlib.lines import Line2D

    ax = axes(ax)
    names = [f"curve {i}" for i in range(1, len(curves) + 1)] if labels is None else list(labels)
    manners = [""] * len(curves) if kinds is None else list(kinds)
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(names))}
    dash = {manner: DASHES[i % len(DASHES)] for i, manner in enumerate(dict.fromkeys(manners))}
    start = 0.0
    lowest, highest = np.inf, 0.0
    for curve, name, manner in zip(curves, names, manners, strict=True):
        order = np.argsort(curve.steps, axis=None)
        steps, loss = curve.steps.ravel()[order], curve.loss.ravel()[order]
        drawn = (steps > 0) & (loss > 0.0) & np.isfinite(loss)
        series = f"{name}, {manner}" if manner else name
        line(ax, series, steps[drawn], loss[drawn], color=colour[name], linestyle=dash[manner], linewidth=1.6)
        if np.isfinite(loss[0]):
            start = max(start, float(loss[0]))
        if drawn.any():
            lowest, highest = min(lowest, float(loss[drawn].min())), max(highest, float(loss[drawn].max()))
    log_axes(ax, "step", "mean loss")
    start = start if start > 0.0 else 1.0
    if highest == 0.0:
        lowest = highest = start
        ax.set_xlim(1.0, 10.0)
    bottom, top = max(lowest, DEEPEST * start), min(highest, HIGHEST * start)
    ax.set_ylim(bottom / 2.0, 2.0 * max(top, bottom))
    handles = [Line2D([], [], color=colour[name], linewidth=1.6, label=name) for name in colour]
    if len(dash) > 1:
        handles += [Line2D([], [], color="0.35", linestyle=dash[manner], label=manner) for manner in dash]
    legend_below(ax, handles, 3)
    return ax
