"""A contour that passes outside oscillating modes too: for methods whose memory outlasts the step that is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Shaped

FADED = 40.0
"""What has decayed by exp(-FADED) next to exp(p_0 t) may be left outside."""
BEND = 7.0
"""Width of the bend at the end of the upright part, in units of 1/t_max."""
NEGLIGIBLE = 42.0
"""Logarithm of the fall along the slope at the first step of the window, after which the contour ends."""
MARGIN = 1.25
"""Height of the contour over that of the singularities: batch noise moves them a little."""
LOW = 0.4
"""A hyperbola encloses singularities up to this height times 1/t_max."""
PROBES = 32
"""Steps at which the angle is looked at by which modes have turned."""
MOST_NODES = 30_000
"""A contour of more nodes is not drawn."""


@dataclass(frozen=True)
class Spacing:
    """How near the upright part is to what it encloses, and how close its nodes are.

    Attributes
    ----------
    distance : float
        From p_0, in units of 1/t_max. Rounding of the values grows as exp(distance).
    density : float
        Nodes in a turn of exp(p t_max).
    """

    distance: float
    density: float

    def aliasing(self, height: float) -> float:
        """By what the trapezoidal rule errs, relative to the largest later loss: by the gap where the bend begins.

        Up to 4 times exp(-d n) was seen, with singularities up to `MARGIN` times as high as without batch noise.

        Parameters
        ----------
        height : float
            Of the singularities, in units of 1/t_max.
        """
        bend = _bend(np.array([0.0, height]), _upright(height, self))
        return 4.0 * math.exp(-self.density * (self.distance + min(0.0, float(bend[0] - bend[1]))))


FINE, SHARP, USUAL = Spacing(5.0, 6.0), Spacing(8.0, 4.0), Spacing(8.0, 3.0)
"""For values to rounding, to about twelve digits, and to nine. At a density of 2 the bend errs by up to 2e-4."""


@dataclass(frozen=True, eq=False)
class OffAxis:
    """Where the products of two roots lie that are off the positive real axis.

    Attributes
    ----------
    decay : array, shape (n,)
        -log|r| of the roots off the axis.
    angle : array, shape (n,)
        abs(arg r), 0..pi.
    partner : float
        -log of the modulus of the slowest root, or of 1 where a pole there is coupled to the modes.
    shift : float
        Rate of the loss, next to which they fade: p_0, or 0 with label noise.
    spacing : Spacing
        Of the contour about them.
    """

    decay: Float[Array, " n"]
    angle: Float[Array, " n"]
    partner: float
    shift: float
    spacing: Spacing = FINE

    @classmethod
    def of(cls, roots: Shaped[Array, "..."], lasting: bool, shift: float, spacing: Spacing = FINE) -> OffAxis:
        """Those of modes.

        Parameters
        ----------
        roots : array, any shape
            Eigenvalues of the update of each mode.
        lasting : bool
            Whether label noise or the pull of weight decay adds a root 1.
        shift : float
            Rate of the loss per step.
        spacing : Spacing
            Of the contour.

        Examples
        --------
        >>> OffAxis.of(np.array([[0.9 + 0.1j, 0.9 - 0.1j]]), False, 0.0).height(100.0) > 0.2
        True
        """
        flat: Any = np.asarray(roots).ravel()
        size = np.abs(flat)
        off = (size > 0.0) & ((np.abs(flat.imag) > 1e-12 * size) | (flat.real < 0.0))
        slowest = max(float(size.max()), 1.0 if lasting else 0.0)
        partner = -float(np.log(slowest)) if slowest > 0.0 else np.inf
        return cls(-np.log(size[off]), np.abs(np.angle(flat[off])), partner, shift, spacing)

    def covers(self, rate: float) -> bool:
        """Whether roots alone explain a rate of decay off the axis, so that nothing slower is elsewhere.

        Parameters
        ----------
        rate : float
            Per step: that of all that is off the axis, noise included.
        """
        own = self.decay.min() + self.partner if self.decay.size else np.inf
        return bool(-rate >= min(0.5 * own, own))

    def height(self, step: float) -> float:
        """How far off the real axis a contour must reach to leave nothing outside that has not faded by a step.

        Parameters
        ----------
        step : float
        """
        decay, angle = self._furthest
        lasts = int(np.searchsorted(decay, FADED / step - self.partner - self.shift))
        return float(min(2.0 * angle[lasts - 1], np.pi)) if lasts else 0.0

    @cached_property
    def _furthest(self) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Decays in ascending order, and the largest angle of all roots that decay as slowly."""
        order = np.argsort(self.decay, kind="stable")
        return self.decay[order], np.maximum.accumulate(self.angle[order])

    def turned(self, steps: Array) -> float:
        """The largest angle, in radians, by which a product has turned at a step at which it has not faded.

        Parameters
        ----------
        steps : array, shape (t,)
            Ascending.
        """
        return float(max(self.height(float(t)) * t for t in np.geomspace(steps[0], steps[-1], PROBES)))


def _upright(height: float, spacing: Spacing) -> float:
    """Y, where the upright part ends: the bend reaches down from it by its own width."""
    return MARGIN * height + spacing.distance + BEND


def _bend(y: Array, upright: float) -> Array:
    """phi(y)."""
    return BEND * (np.logaddexp(0, (y - upright) / BEND) + np.logaddexp(0, (-y - upright) / BEND))


def count(height: float, first: float, last: float, spacing: Spacing = FINE) -> int:
    """Nodes of the contour of a window, 0 where a hyperbola serves.

    Parameters
    ----------
    height : float
        Of the singularities.
    first, last : float
        Steps.
    spacing : Spacing
    """
    if height * last <= LOW:
        return 0
    top = min(_upright(height * last, spacing) + _slope(first, last, spacing), np.pi * last)
    return int(np.ceil(top * spacing.density / (2.0 * np.pi)))


def _slope(first: float, last: float, spacing: Spacing) -> float:
    return BEND + spacing.distance + NEGLIGIBLE * last / first


@lru_cache(maxsize=64)
def nodes_and_weights(
    height: float, first: float, last: float, extended: bool = False, spacing: Spacing = FINE
) -> tuple[Array, Array] | None:
    r"""Nodes c and weights on the upper half of the contour, with which p = p_0 + c/t_max.

    .. math:: c(y) = d + \phi(0) - \phi(y) + iy,\qquad
              \phi = w\log\big(1 + e^{(y - Y)/w}\big) + w\log\big(1 + e^{(-y - Y)/w}\big),\qquad w = 7

    Upright at the distance d up to about the height Y, then down to the left at 45 degrees; the trapezoidal rule with n
    nodes for every turn of exp(p t_max) errs by exp(-d n). Where the slope would leave the strip abs(Im p) < pi the
    contour is the whole segment, a circle in z. Unlike that of a hyperbola its number of nodes grows with the step, as
    Y t_max.

    Parameters
    ----------
    height : float
        Of the singularities, in (0, pi].
    first, last : float
        Steps of the window, last = t_max.
    extended : bool
        Compute in the machine's extended precision.
    spacing : Spacing
        d and n.

    Returns
    -------
    (array, array) or None
        None where a hyperbola serves, or the contour would have more than `MOST_NODES`.

    Examples
    --------
    >>> c, weight = nodes_and_weights(0.2, 100.0, 100.0)
    >>> p = c / 100.0  # of 1/(1 - z r), r = .99 exp(.1i), with its conjugate: r^t
    >>> value = sum((1.0 / (1.0 - np.exp(-p) * 0.99 * np.exp(s * 0.1j))) for s in (-1, 1))
    >>> found = (weight / 100.0 * value * np.exp(c)).sum().imag
    >>> bool(abs(found - 2.0 * 0.99**100 * np.cos(10.0)) < 1e-11)
    True
    """
    nodes = count(height, first, last, spacing)
    if nodes == 0 or nodes > MOST_NODES:
        return None
    real: Any = np.longdouble if extended else np.float64
    pi = 4 * np.arctan(real(1))
    tall = _upright(height * last, spacing)
    if tall + _slope(first, last, spacing) >= np.pi * last:
        h = pi * real(last) / nodes
        y = (np.arange(nodes, dtype=real) + real(0.5)) * h
        return spacing.distance + 1j * y, h / pi * 1j * np.ones_like(y)
    h = 2 * pi / real(spacing.density)
    y = (np.arange(nodes, dtype=real) + real(0.5)) * h
    bend = _bend(y, tall) - _bend(0 * y[:1], tall)
    tilt = (np.tanh((y - tall) / (2 * BEND)) + np.tanh((y + tall) / (2 * BEND))) / 2
    return spacing.distance - bend + 1j * y, h / pi * (1j - tilt)
