"""Coefficients of the generating function at any step, at a cost that does not depend on the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.tall_contour import MOST_NODES, OffAxis, count, nodes_and_weights

WINDOW_RATIO = 8.0
"""Steps from t to 8t share one contour."""
NODES = 32
"""Nodes in the upper half plane: for this window ratio the quadrature errs by about 1e-13, as does its rounding."""
FEWER_NODES = 28
"""Nodes of the second, coarser quadrature that gives the error estimate."""
DIVISIONS = 12
"""Places at which it is tried to divide a window."""
NEGLIGIBLE = -42.0
"""Logarithm of the weight below which a node of the contour is left out."""

DENSE, FEW = 4.0, 64
"""Powers are tabulated where at least FEW steps are asked for, and at least one in DENSE."""
HEAVY, LOOKED_AT = 1e-3, 12
"""Terms of a tall contour from this part of the largest on count; so many are looked at for rounding."""


@dataclass(frozen=True)
class Contour:
    """Quadrature nodes and weights on the upper half of a hyperbola, in units of 1/t_max of the window."""

    nodes: Array
    weights: Array


@runtime_checkable
class HasLoss(Protocol):
    """What can be inverted."""

    def loss(self, q: Any, /) -> Any:
        """L~ at z = 1 - q."""
        ...


@lru_cache(maxsize=64)
def hyperbola(count: int, ratio: float, extended: bool = False) -> Contour:
    r"""The hyperbola for the inversion of a Laplace transform on a window [t_0, ratio * t_0].

    .. math:: p(u) = \mu\,(1 + \sin(iu - \alpha)),\quad h = A/n,\quad \mu = \frac{4\pi\alpha-\pi^2}{A}\frac{n}{t_{max}},
              \quad A = \cosh^{-1}\frac{(\pi-2\alpha)\,ratio + 4\alpha - \pi}{(4\alpha-\pi)\sin\alpha}

    alpha maximises the rate of convergence (pi^2 - 2 pi alpha)/A.

    **Assumptions.** All singularities on the negative real axis.

    Parameters
    ----------
    count : int
        n, nodes in the upper half plane.
    ratio : float
        Largest over smallest time of the window.
    extended : bool
        Compute in the machine's extended precision.

    References
    ----------
    Weideman and Trefethen, Math. Comp. 76 (2007) 1341, section 4.
    """
    alpha = np.linspace(np.pi / 4.0, np.pi / 2.0, 4001)[1:-1]
    spread = np.arccosh(((np.pi - 2 * alpha) * ratio + 4 * alpha - np.pi) / ((4 * alpha - np.pi) * np.sin(alpha)))
    best = int(np.argmax((np.pi**2 - 2.0 * np.pi * alpha) / spread))
    real: Any = np.longdouble if extended else np.float64
    a, width = real(alpha[best]), real(spread[best])
    mu = (4 * real(np.pi) * a - real(np.pi) ** 2) / width * count
    h = width / count
    u = (np.arange(count, dtype=real) + real(0.5)) * h
    sine = -np.cosh(u) * np.sin(a) + 1j * np.sinh(u) * np.cos(a)
    cosine = np.cosh(u) * np.cos(a) + 1j * np.sinh(u) * np.sin(a)
    # L = (1/2 pi i) int F e^{pt} p'(u) du, p' = i mu cos(iu - alpha); conjugate halves leave (h/pi) Im sum.
    # np.pi is exact enough for mu and h, which only place the nodes; the prefactor needs all digits.
    pi = 4 * np.arctan(real(1))
    return Contour(mu * (1 + sine), h / pi * 1j * mu * cosine)


@dataclass(frozen=True)
class Inversion:
    """Losses as m * exp(rate * t) with an estimate of the relative error of each."""

    mantissa: Float[Array, " t"]
    error: Float[Array, " t"]


def windows(steps: Float[Array, " t"], ratio: float = WINDOW_RATIO) -> list[slice]:
    """Consecutive slices of ascending steps, each spanning at most `ratio`."""
    slices, start = [], 0
    while start < steps.size:
        stop = int(np.searchsorted(steps, steps[start] * ratio, side="right"))
        slices.append(slice(start, stop))
        start = stop
    return slices


def spans(steps: Float[Array, " t"], ratio: float = WINDOW_RATIO, beside: OffAxis | None = None) -> list[slice]:
    """The windows that share a contour: where one must reach far off the axis, it ends when little is left there.

    Parameters
    ----------
    steps : array, shape (t,)
        Ascending.
    ratio : float
        Of the last step of a window to its first, at most.
    beside : OffAxis, optional
        What lies off the axis.
    """
    whole = windows(steps, ratio)
    return whole if beside is None else [part for window in whole for part in _divided(steps, window, beside)]


def _divided(steps: Array, window: slice, beside: OffAxis) -> list[slice]:
    """A window, or two or more where these have fewer nodes together."""

    def nodes(start: int, stop: int) -> float:
        return _count(beside, float(steps[start]), float(steps[stop - 1]))

    low, high = window.start, window.stop
    least = nodes(low, high)
    if least <= 2.0 * (NODES + FEWER_NODES) or high - low == 1:
        return [window]
    wanted = np.geomspace(steps[low], steps[high - 1], DIVISIONS + 1)[1:]
    places = np.unique(np.searchsorted(steps, wanted).clip(low + 1, high - 1))
    together = [nodes(low, k) + nodes(k, high) for k in places.tolist()]
    best = int(np.argmin(together))
    if not together[best] < least:
        return [window]
    k = int(places[best])
    return [*_divided(steps, slice(low, k), beside), *_divided(steps, slice(k, high), beside)]


def _count(beside: OffAxis, first: float, last: float) -> float:
    """Nodes of a window, both quadratures of a hyperbola; inf where what lies off the axis would be left outside."""
    nodes = count(beside.height(first), first, last, beside.spacing)
    return np.inf if nodes > MOST_NODES else nodes or NODES + FEWER_NODES


def coefficients(
    G: HasLoss,
    steps: Float[Array, " t"],
    rate: float,
    extended: bool = False,
    ratio: float = WINDOW_RATIO,
    counts: tuple[int, ...] = (NODES, FEWER_NODES),
    signed: bool = False,
    beside: OffAxis | None = None,
    accuracy: float = 0.0,
) -> Inversion:
    r"""L(t) from a contour integral shifted to the dominant singular point.

    .. math:: L(t) = \frac{1}{2\pi i}\int \tilde L(e^{-p})\,e^{pt}\,dp,\qquad p = p_0 + c/t_{max}

    The factor exp(p_0 t) is kept apart, so that relative accuracy survives any decay or growth.

    **Assumptions.** p_0 = `rate` is right of, and close to, the dominant singular point; other singularities are on
    the real axis left of it, or contribute little: the caller compares with the recursion at an early step.

    Parameters
    ----------
    G : Transform
        Or anything else with a `loss` of q = 1 - z.
    steps : array, shape (t,)
        Ascending steps, at least about 30.
    rate : float
        p_0 per step.
    extended : bool
        Evaluate in extended precision, where the machine has it.
    ratio : float
        Steps from t to ratio * t share one contour.
    counts : tuple of int
        Nodes in the upper half plane of the quadrature, and of the coarser one; without that the error is 0.
    signed : bool
        Whether a negative result may be right; else its error is inf.
    beside : OffAxis, optional
        What lies off the real axis, which the contour is then to enclose, at more nodes
        (`genfun.engine.tall_contour`). Its error is its rounding and what their spacing leaves.
    accuracy : float
        Relative error of the values of G, beyond rounding.

    Returns
    -------
    Inversion
        L exp(-p_0 t), and the difference of two quadratures relative to it.

    References
    ----------
    Weideman and Trefethen, Math. Comp. 76 (2007) 1341.
    """
    slices = spans(steps, ratio, beside)
    tall = [_tall(steps, window, extended, beside) for window in slices]
    low = [window for window, drawn in zip(slices, tall, strict=True) if drawn is None]
    wide = hyperbola(counts[0], ratio, extended)
    rules = [_Quadrature(slices, _drawn(steps, slices, wide, tall), [drawn is not None for drawn in tall])]
    if len(counts) > 1 and low:
        again = _kept(steps, low, hyperbola(counts[-1], ratio, extended))
        rules.append(_Quadrature(low, again, [False] * len(low)))
    first, *coarser = _evaluated(G, steps, rules, rate, extended, accuracy)
    error = np.where(np.isnan(first.rounding), 0.0, first.rounding)
    with np.errstate(invalid="ignore", divide="ignore"):
        error /= np.abs(first.values)
        for window, high in zip(slices, tall, strict=True):
            if high is not None and beside is not None:
                height = beside.height(float(steps[window.start])) * float(steps[window.stop - 1])
                error[window] += beside.spacing.aliasing(height)
        for found in coarser:
            for window in low:
                error[window] = np.abs(first.values[window] - found.values[window]) / np.abs(first.values[window])
    if not signed:
        error[~(first.values > 0.0)] = np.inf
    return Inversion(first.values, np.nan_to_num(error, nan=np.inf))


@dataclass(frozen=True)
class Rule:
    """A quadrature rule for the coefficients of any function: f(t) exp(-rate t) = Im(weights @ f~(q)).

    Parameters
    ----------
    window : slice
        Of the steps.
    q : array, shape (k,)
        1 - z of the nodes.
    weights : array, shape (t, k)
        nan where a node is outside the strip of the first sheet.
    """

    window: slice
    q: Array
    weights: Array


def rules(steps: Float[Array, " t"], rate: float, count: int = NODES) -> list[Rule]:
    """The rules of one hyperbola for ascending steps, of which those within `WINDOW_RATIO` share one.

    Parameters
    ----------
    steps : array, shape (t,)
        Ascending, at least about 30.
    rate : float
        p_0 per step.
    count : int
        Nodes in the upper half plane.
    """
    slices, found = windows(steps), []
    for window, (c, weight, last) in zip(slices, _kept(steps, slices, hyperbola(count, WINDOW_RATIO)), strict=True):
        weights = np.exp(np.multiply.outer(steps[window] / last, c)) * (weight / last)
        if (np.abs(np.imag(c)) / last >= np.pi).any():
            weights = np.full_like(weights, np.nan)
        found.append(Rule(window, -np.expm1(-(rate + c / last)), weights))
    return found


def _kept(steps: Array, slices: list[slice], contour: Contour) -> list[tuple[Array, Array, Any]]:
    """Nodes, weights and t_max of every window, without nodes that do not count there."""
    contours = []
    for window in slices:
        first, last = steps[window.start], steps[window.stop - 1]
        # One contour for windows of any width: of a narrower one the vertex would lie further right, and many nodes
        # would lose digits to exp(Re(c)).
        # The term decays as exp(Re(c) t/t_max) and matters most at the first step of the window.
        keep = np.real(contour.nodes) * (first / last) > NEGLIGIBLE
        contours.append((contour.nodes[keep], contour.weights[keep], last))
    return contours


def nodes_of(steps: Float[Array, " t"], beside: OffAxis | None) -> float:
    """How many nodes the contours of steps have, inf where what lies off the axis would be left outside.

    Parameters
    ----------
    steps : array, shape (t,)
        Ascending.
    beside : OffAxis or None
    """
    slices = spans(steps, WINDOW_RATIO, beside)
    if beside is None:
        return float(len(slices) * (NODES + FEWER_NODES))
    return float(sum(_count(beside, float(steps[s.start]), float(steps[s.stop - 1])) for s in slices))


@dataclass(frozen=True)
class _Sums:
    """What a quadrature gives, and the rounding of it where it is known; nan else."""

    values: Array
    rounding: Array


def _tall(steps: Array, window: slice, extended: bool, beside: OffAxis | None) -> tuple[Array, Array] | None:
    """Nodes and weights that enclose what lies off the axis; None where a hyperbola serves, or must."""
    if beside is None:
        return None
    first, last = float(steps[window.start]), float(steps[window.stop - 1])
    return nodes_and_weights(beside.height(first), first, last, extended, beside.spacing)


def _drawn(
    steps: Array, slices: list[slice], contour: Contour, tall: Sequence[tuple[Array, Array] | None]
) -> list[tuple[Array, Array, Any]]:
    """Nodes, weights and t_max of every window: those of a contour about what lies off the axis where there is one."""
    low = _kept(steps, slices, contour)
    return [own if high is None else (*high, own[2]) for own, high in zip(low, tall, strict=True)]


class _Quadrature(NamedTuple):
    """Windows, their nodes, weights and t_max, and whether they are about what lies off the axis."""

    slices: list[slice]
    contours: list[tuple[Array, Array, Any]]
    tall: list[bool]


def _evaluated(
    G: HasLoss, steps: Array, rules: list[_Quadrature], rate: float, extended: bool, accuracy: float
) -> list[_Sums]:
    """What quadratures give, of which all nodes are looked at together."""
    real: Any = np.longdouble if extended else np.float64
    p = np.concatenate([real(rate) + c / real(last) for rule in rules for c, _, last in rule.contours])
    values, start, found = G.loss(-np.expm1(-p)), 0, []
    for rule in rules:
        result, rounding = np.full(steps.size, np.nan), np.full(steps.size, np.nan)
        for window, (c, weight, last), high in zip(*rule, strict=True):
            weighted = weight / real(last) * values[start : start + c.size]
            start += c.size
            result[window] = _at_steps(steps[window], c, weighted, real).astype(np.float64)
            if (np.abs(np.imag(c)) / last > np.pi).any():
                result[window] = np.nan
            if high:
                # exp(c t/t_max) has the rounding of its angle.
                reach = np.maximum(np.real(c), np.real(c) * (steps[window.start] / last))
                terms = (np.abs(weighted) * np.exp(reach)).astype(np.float64)
                seen = _rounded(G, rate, c, last, terms) * (float(np.finfo(real).eps / np.finfo(np.float64).eps))
                unit = np.finfo(real).eps * (8.0 + np.abs(c)) + max(accuracy, seen)
                rounding[window] = 3.0 * np.linalg.norm((unit * terms).astype(np.float64))
        found.append(_Sums(result, rounding))
    return found


def _rounded(G: HasLoss, rate: float, c: Array, last: float, terms: Array) -> float:
    """Relative rounding of values in doubles, at some of the nodes that count; 0 where it cannot be seen."""
    if not getattr(G, "extended", False):
        return 0.0
    heavy = np.flatnonzero(terms > HEAVY * terms.max())
    if heavy.size == 0:  # no loss at all
        return 0.0
    some = c[heavy[np.unique(np.linspace(0, heavy.size - 1, LOOKED_AT).astype(int))]]
    rough, fine = (
        G.loss(-np.expm1(-(real(rate) + some.astype(kind) / real(last))))
        for real, kind in ((np.float64, np.complex128), (np.longdouble, np.clongdouble))
    )
    return float(np.nan_to_num(np.abs((rough - fine) / fine).max(), nan=0.0, posinf=0.0))


def _at_steps(steps: Array, c: Array, weighted: Array, real: Any) -> Array:
    """Imaginary parts of the sums of weighted * exp(c t/t_max) at ascending steps t, the last of which is t_max."""
    # Steps above 2^53 do not occur; t/last is exact enough because |c| is of order 30.
    first, last = steps[0], steps[-1]
    if last - first + 1.0 > DENSE * steps.size or steps.size < FEW:
        return np.imag(np.exp(np.multiply.outer((steps / last).astype(real), c)) @ weighted)
    # Nearly every step: t = first + B i + j, so that a product of two small tables of powers serves all.
    width = int(np.ceil(np.sqrt(last - first + 1.0)))
    fine, coarse = np.arange(width), first + width * np.arange(width)
    rows = np.exp(np.multiply.outer((coarse / last).astype(real), c)) * weighted
    table = np.imag(rows @ np.exp(np.multiply.outer(c, (fine / last).astype(real))))
    return table.ravel()[(steps - first).astype(np.int64)]
