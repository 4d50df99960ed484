"""A loss curve and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genfun._typing import Array, Float
from genfun.answers.phase import Phase
from genfun.answers.predict import Prediction
from genfun.answers.spread import Spread
from genfun.answers.stability import stability
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible
from genfun.plotting._draw import draw
from genfun.plotting.parts import Mark, shuffles_or_averages, split
from genfun.plotting.spread import BANDS, bands
from genfun.plotting.style import COLOURS, axes, legend_below, line, log_axes
from genfun.problems.problem import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAME = 0.1
"""Relative difference up to which the mean of a band, of the exact noise of data, is that of a prediction."""
FEW = 40
"""Up to this many steps, each has a marker."""


def loss_parts(prediction: Prediction, ax: Axes | None = None, band: Spread | None = None) -> Axes:
    r"""The predicted loss, split into what remains to be learned and what batch noise adds.

    .. math:: L(t) = L_{b=N}(t) + \big[L(t) - L_{b=N}(t)\big]

    The first part is the loss of the same setting with full batches, "without batch noise" (label noise, which no
    training removes, included); the second is the excess by batch noise. Vertical lines mark `transition_step`,
    `divergence_step` and `end_step` of `genfun.phase`, a transition only if the spectrum does not end before. The
    transition is where the power laws L_s and L_n of that phase cross, which are drawn thin; the excess overtakes the
    first part there, or earlier where U~(1) is not small, because L_s itself contains the noise that the signal feeds:
    L_s = L_{b=N}/(1 - U~(1)). A horizontal line is the floor that label noise leaves at t = inf.

    **Assumptions.** The parts are of the spectrally expressible theory, at the steps of the prediction; step 0 is left
    out. Marks only for constant settings and where the spectrum has exponents.

    Parameters
    ----------
    prediction : Prediction
        From `genfun.predict`, best at many steps spaced evenly in their logarithm.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.
    band : Spread or None
        From `genfun.spread` of the same setting: the bands that half of the runs and 90 % of them stay in, behind the
        curves.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there is no step after 0, or the band is of another setting: its mean is not the loss of the prediction.

    References
    ----------
    arXiv 2206.11124, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> steps = np.unique(np.geomspace(1, 1e6, 50).astype(int))
    >>> r = gf.predict(gf.PowerLaw(1.5, 2.0), gf.SGD(0.4, batch_size=100), steps)
    >>> ax = loss_parts(r, Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['noise takes over at step 38,392']

    With the spread of single runs:

    >>> problem, method = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1), gf.SGD(0.3, batch_size=2)
    >>> steps = [1, 3, 10, 30, 100]
    >>> ax = gf.predict(problem, method, steps).plot(Figure().subplots(), band=gf.spread(problem, method, steps))
    >>> [text.get_text() for text in ax.get_legend().texts][-2:]
    ['5 to 95 % of runs', '25 to 75 % of runs']
    """
    parts = split(prediction)
    steps, regime = parts.steps, parts.regime
    problem, method, noise = prediction.problem, prediction.method, prediction.noise
    ax = axes(ax)
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if steps.size <= FEW else {}

    def curve(name: str, values: Array, keep: Array, **style: Any) -> Any:
        keep = keep & np.isfinite(values) & (values > 0.0)
        return line(ax, name, steps[keep], values[keep], **style, **marker)

    everywhere = np.ones(steps.size, dtype=bool)
    handles = [
        curve("predicted loss", parts.loss, everywhere, color="black", linewidth=2.2, zorder=3),
        curve(
            "without batch noise", parts.quiet, everywhere, color=COLOURS[0], linestyle="--", linewidth=1.6, zorder=4
        ),
    ]
    if parts.certain.any():
        handles.append(
            curve(
                "added by batch noise",
                parts.excess,
                parts.certain,
                color=COLOURS[1],
                linestyle=(0, (1, 1.3)),
                linewidth=2.0,
                zorder=5,
            )
        )
    log_axes(ax, "step", "mean loss")
    # No empty half of a picture after the curves have left it.
    ends = float(steps[0]), float(steps[parts.last])
    own = not shuffles_or_averages(method)
    if own and isinstance(method, Method) and isinstance(noise, SpectrallyExpressible):
        handles += _floor(ax, problem, method, noise, ends)
    if regime is not None:
        handles += _marks(ax, parts.marks, regime, ends)
    if parts.last > 0:
        ax.set_xlim(*ends)
    low, high = parts.window
    if band is not None:
        _same(prediction, band)
        handles += bands(ax, band)
        edges = np.ravel(band.quantile(BANDS[0][:2]))
        edges = edges[np.isfinite(edges) & (edges > 0.0)]
        low, high = min(low, 0.8 * float(edges.min())), max(high, 1.25 * float(edges.max()))
    ax.set_ylim(low, high)
    legend_below(ax, handles, 2)
    return ax


def _same(prediction: Prediction, band: Spread) -> None:
    """Refuse a band of another setting, and what is no band."""
    if not isinstance(band, Spread):
        raise TypeError(f"band must be a Spread, got {type(band).__name__}; pass spread(problem, method, steps)")
    means = dict(zip(np.ravel(band.steps).tolist(), np.ravel(band.mean).tolist(), strict=True))
    for step, loss in zip(np.ravel(prediction.steps).tolist(), np.ravel(prediction.loss).tolist(), strict=True):
        if step in means and abs(means[step] - loss) > SAME * abs(loss):
            raise ValueError(
                f"band must be of the same problem and setting, got a mean of {means[step]:.4g} at step {step}, where "
                f"the predicted loss is {loss:.4g}; pass spread(problem, method, steps) of what was predicted"
            )


def _floor(
    ax: Axes, problem: Problem, method: Method, noise: SpectrallyExpressible, ends: tuple[float, float]
) -> list[Any]:
    floor = stability(problem, method, noise).floor + 0.5 * problem.noise_variance
    if problem.noise_variance == 0.0 or not np.isfinite(floor):
        return []
    style: dict[str, Any] = {"color": COLOURS[2], "linewidth": 1.4, "linestyle": (0, (6, 1.5, 1, 1.5))}
    return [line(ax, "floor left by label noise", ends, [floor, floor], **style)]


def _marks(ax: Axes, marks: tuple[Mark, ...], regime: Phase, ends: tuple[float, float]) -> list[Any]:
    handles: list[Any] = []
    for row, mark in enumerate(mark for mark in marks if mark.step <= ends[1]):
        step, dash = mark.step, (0, (2, 2)) if mark.name == "end" else "-"
        ax.axvline(step, color="0.4", linewidth=1.0, linestyle=dash, zorder=1, gid=mark.name)
        late = np.log(step / ends[0]) > 0.5 * np.log(ends[1] / ends[0])
        text = f"{mark.words} at step {step:,.0f}" if step < 1e6 else f"{mark.words} at step {step:.2g}"
        # Above the axes, where no curve is; each on a line of its own.
        ax.annotate(
            text, (step, 1.0), (0, 3 + 12 * row), xycoords=("data", "axes fraction"), textcoords="offset points",
            va="bottom", ha="right" if late else "left", fontsize="small", color="0.25",
        )  # fmt: skip
        if mark.name == "transition":
            handles += _power_laws(ax, regime, ends)
    return handles


def _power_laws(ax: Axes, regime: Phase, ends: tuple[float, float]) -> list[Any]:
    """L_s and L_n, whose crossing is the transition, over a decade and a half on either side of it."""
    t: Float[Array, " n"] = np.clip(regime.transition_step * np.array([10**-1.5, 10**1.5]), *ends)
    style: dict[str, Any] = {"color": "0.4", "linewidth": 1.0, "zorder": 2}
    line(ax, "signal power law", t, regime.signal_constant * t**-regime.signal_exponent, **style)
    label = r"power laws $L_s$, $L_n$"
    return [
        line(ax, "noise power law", t, regime.noise_constant * t**-regime.noise_exponent, **(style | {"label": label}))
    ]


draw.register(Prediction, loss_parts)
