"""The phases of power laws in the plane of their exponents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from genfun.answers.phase import Phase
from genfun.plotting._draw import draw
from genfun.plotting.style import axes, halo, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TALL = 0.17
"""Height of a line of words above a point, in 1/nu."""
TOP = 2.5
"""Of the axis 1/nu; what has a smaller nu diverges all the more."""
MARKS = "osD^vP*X"


@runtime_checkable
class HasExponents(Protocol):
    """Two exponents, as in `genfun.PowerLaw`, `genfun.PowerLawFit` and `genfun.Phase`."""

    @property
    def nu(self) -> float:
        """Capacity exponent."""
        ...

    @property
    def zeta(self) -> float:
        """Source exponent."""
        ...


def phase_diagram(points: Mapping[str, HasExponents] | None = None, ax: Axes | None = None) -> Axes:
    r"""The regions of the four phases in the plane (zeta, 1/nu), and problems as points in it.

    .. math:: \frac1\nu > 2:\ \text{immediate},\quad 1 < \frac1\nu < 2:\ \text{eventual divergence},\quad
              \frac1\nu < 1:\ \text{signal-dominated if } \zeta < 2 - \frac1\nu,\ \text{else noise-dominated}

    **Assumptions.** Infinite power laws, mini-batch noise, learning rates below the edge of stability where there is
    one. Without noise (full batch) the signal dominates everywhere.

    Parameters
    ----------
    points : mapping of str to PowerLaw, PowerLawFit or Phase; or None
        Problems by the label to write beside them. The intervals of a fit are drawn as bars; what is not a power law
        is drawn hollow, with a question mark.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If a point has no exponents.

    References
    ----------
    arXiv 2206.11124, section 5.

    Examples
    --------
    >>> import genfun as gf
    >>> from matplotlib.figure import Figure
    >>> ax = phase_diagram({"mine": gf.PowerLaw(1.5, 0.5)}, Figure().subplots())
    >>> [patch.get_label() for patch in ax.patches][:2]
    ['signal-dominated', 'noise-dominated']
    """
    points = {} if points is None else points
    for label, point in points.items():
        if not (np.isfinite(point.zeta) and point.nu > 0.0):
            raise ValueError(f"points[{label!r}] has no exponents (nu={point.nu!r}, zeta={point.zeta!r}); leave it out")
    ax = axes(ax)
    right = max([3.0, *(1.2 * point.zeta for point in points.values())])
    left = min([0.0, *(1.2 * point.zeta for point in points.values())])
    top = max([TOP, *(1.1 / point.nu for point in points.values())])
    _regions(ax, left, right, top)
    for i, (label, point) in enumerate(points.items()):
        _point(ax, label, point, MARKS[i % len(MARKS)])
    ax.set(xlim=(left, right), ylim=(0.0, top), xlabel=r"source exponent $\zeta$")
    ax.set_ylabel(r"$1/\nu$  ($\nu$: capacity exponent)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


@dataclass(frozen=True)
class PhaseRegion:
    """A phase in the plane (zeta, 1/nu).

    Parameters
    ----------
    name : str
    corners : tuple of (float, float)
    colour : str
        Light tints in four steps of grey, named in place: neither colour nor a legend is needed to read them.
    place : (float, float)
        The corner where the name stands.
    left : bool
        Whether that is a left corner.
    law : (str, str)
        How the loss falls there, for matplotlib and in plain text; empty where it does not.
    """

    name: str
    corners: tuple[tuple[float, float], ...]
    colour: str
    place: tuple[float, float]
    left: bool
    law: tuple[str, str]


def regions(left: float, right: float, top: float) -> tuple[PhaseRegion, ...]:
    """The four phases in a part of the plane.

    Parameters
    ----------
    left, right : float
        Of zeta.
    top : float
        Of 1/nu.
    """
    rows = (
        ("signal-dominated", [(left, 0), (2, 0), (1, 1), (left, 1)], "#E3F0F9", r"L \propto t^{-\zeta}", "L ~ t^-zeta"),
        (
            "noise-dominated", [(2, 0), (right, 0), (right, 1), (1, 1)], "#F9DCC4",
            r"L \propto t^{-(2-1/\nu)}", "L ~ t^-(2 - 1/nu)",
        ),
        ("eventual divergence", [(left, 1), (right, 1), (right, 2), (left, 2)], "#D1D1D1", "", ""),
        ("immediate divergence", [(left, 2), (right, 2), (right, top), (left, top)], "#ADADAD", "", ""),
    )  # fmt: skip
    found = []
    for name, corners, colour, formula, plain in rows:
        signal = name == "signal-dominated"
        place = (left if signal else right, float(min(y for _, y in corners)))
        law = (f"${formula}$" if formula else "", plain)
        found.append(PhaseRegion(name, tuple((float(x), float(y)) for x, y in corners), colour, place, signal, law))
    return tuple(found)


def borders(left: float, right: float) -> tuple[tuple[str, tuple[float, float], tuple[float, float], str], ...]:
    """The lines between the phases: name, x, y and whether they are solid, dashed or dotted.

    Parameters
    ----------
    left, right : float
        Of zeta.
    """
    return (
        ("zeta = 2 - 1/nu", (2.0, 1.0), (0.0, 1.0), "solid"),
        ("nu = 1", (left, right), (1.0, 1.0), "dashed"),
        ("nu = 1/2", (left, right), (2.0, 2.0), "dotted"),
    )


def _regions(ax: Axes, left: float, right: float, top: float) -> None:
    for region in regions(left, right, top):
        name, law = region.name, region.law[0]
        ax.fill(*zip(*region.corners, strict=True), facecolor=region.colour, edgecolor="none", label=name, zorder=0)
        text = {"fontsize": "medium", "zorder": 1, "va": "bottom", "ha": "left" if region.left else "right"}
        shift = (8 if region.left else -8, 6)
        ax.annotate(f"{name}\n{law}" if law else name, region.place, shift, textcoords="offset points", **text)
    for name, x, y, dash in borders(left, right):
        line(ax, name, list(x), list(y), linestyle=dash, color="black", linewidth=1.2, zorder=1)


def _point(ax: Axes, label: str, point: HasExponents, mark: str) -> None:
    x, y, sure = point.zeta, 1.0 / point.nu, getattr(point, "is_power_law", True)
    zetas, nus = (getattr(point, f"{name}_interval", (math.nan, math.nan)) for name in ("zeta", "nu"))
    bar: dict[str, Any] = {"color": "black", "linewidth": 1.3, "zorder": 3}
    if np.isfinite(zetas).all():
        line(ax, f"{label}: interval of zeta", zetas, [y, y], **bar)
    if np.isfinite(nus).all() and min(nus) > 0.0:
        line(ax, f"{label}: interval of nu", [x, x], [1.0 / nus[1], 1.0 / nus[0]], **bar)
    face = "black" if sure else "white"
    line(ax, label, [x], [y], marker=mark, color="black", markerfacecolor=face, markersize=6.5, linestyle="", zorder=4)
    text = label if sure else f"{label}?"
    at: Any = {"xytext": (7, -6), "va": "top"} if near_border(y) else {"xytext": (7, 6)}
    ax.annotate(text, (x, y), **at, textcoords="offset points", fontsize="small", path_effects=halo(), zorder=5)


def near_border(y: float) -> bool:
    """Whether words above a point would stand on a border between phases, so that they go below it.

    Parameters
    ----------
    y : float
        1/nu.
    """
    return any(border - TALL < y <= border for border in (1.0, 2.0))


def _of_phase(result: Phase, ax: Axes | None = None) -> Axes:
    return phase_diagram({"this problem": result}, ax)


draw.register(Phase, _of_phase)
