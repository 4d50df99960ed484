"""The dominant singularity of the generating function: where it lies decides stability and the late-time rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from genfun._typing import Array, Complex, Shaped
from genfun.engine.roots import off_axis, update_roots
from genfun.engine.transform import Transform

SECTIONS = 48
"""Points of one multisection sweep: a vectorised evaluation costs little more than a single one."""
CROWDED = np.geomspace(1e-9, 0.5, SECTIONS // 2)
"""Distances from a guess, in units of the interval that it lies in."""
VISIBLE, FIRST = 1e-6, 8
"""Relative fall of the noise gain from which its slope is taken, and the points that are looked at first."""
POLE_RANGE = 1e-4
"""Relative distance within which the pole of a mode is found again in extended precision."""
BESIDE_POLE = 1e-5
"""Relative distance within which a growth rate is not told from that of a mode without noise."""
NEXT_TO_POLE = 1e-9
"""Share of a mode's rate from which on the dominant singularity is looked for beside its pole."""
MOST_KEPT = 256
"""Singularities kept for each problem."""
_KEPT: WeakKeyDictionary[Any, dict[Any, Singularity]] = WeakKeyDictionary()


def mode_roots(G: Transform) -> tuple[Shaped[Array, " n"], Complex[Array, "n m"]]:
    """a = learning rate * lambda at every node of both measures, and the eigenvalues of the update matrix T(a).

    Parameters
    ----------
    G : Transform
    """
    capacity, signal = G.measures
    nodes = signal.nodes
    if capacity.nodes is not nodes:
        nodes = np.concatenate((nodes, capacity.nodes))
    a = G.method.learning_rate * nodes
    return a, update_roots(G.method.update(a, *G.method.hyperparameters)[0], a.shape)


def mean_rate(G: Transform) -> float:
    """log of the largest modulus of a single mode's root: how fast the mean path itself, not its square, converges.

    Parameters
    ----------
    G : Transform
    """
    radius = float(np.abs(mode_roots(G)[1]).max())
    return float(np.log(radius)) if radius > 0.0 else -np.inf


@dataclass(frozen=True)
class Singularity:
    r"""Where the inversion contour may not pass.

    Parameters
    ----------
    rate : float
        p_0, the rightmost real singular point of L~(exp(-p)) apart from the pole of label noise: the loss above its
        floor behaves as exp(p_0 t) in the end. Negative when stable, positive when divergent, 0 for a stable
        infinite spectrum, whose decay is slower than any exponential.
    shift : float
        Where a contour is to be shifted: the rate, or with label noise the pole 0 if that lies further right.
    unresolved_rate : float
        Largest log(r_i r_j) off the positive real axis: singularities that a contour around the real axis misses
        contribute about exp(unresolved_rate * t).
    rate_error : float
        Rounding error of the rate, eps / |d(z U~)/dp|: close to the stability edge it limits what can be known of
        late losses.
    noise_gain : float
        U~(1), inf where it does not exist.
    stable : bool
        Mean-square stability.
    curvature_binds : bool
        Whether the noiseless dynamics is unstable already.
    """

    rate: float
    shift: float
    unresolved_rate: float
    rate_error: float
    noise_gain: float
    stable: bool
    curvature_binds: bool


def _noise_gain(G: Transform, regular: bool, at_one: float) -> float:
    """U~(1) for a mean-square stable set of single modes; inf if a mode has no stationary state."""
    if G.gamma == 0.0:
        return 0.0
    if not G.gain_is_bounded:
        return np.inf
    return at_one if regular or (at_one >= 1.0 and np.isfinite(at_one)) else np.inf


def _boundary(G: Transform, left: float, right: float) -> float:
    """The point between an irregular left and a regular right end where regularity begins, to rounding."""
    guess = None
    for _ in range(60):
        p = _points(left, right, guess)
        regular, gains = G.regular(p[1:-1])
        # The rightmost irregular point counts: left of it the sign of single modes may change back.
        bad = np.flatnonzero(~regular)
        i = 0 if bad.size == 0 else int(bad[-1]) + 1
        new_left, new_right = p[i], p[i + 1]
        if (new_left, new_right) == (left, right) or abs(new_right - new_left) <= 1e-13 * abs(new_right):
            return float(new_right)
        guess = _crossing(p[1:-1], gains, i - 1) if abs(new_right - new_left) < 0.5 * abs(new_right) else None
        left, right = new_left, new_right
    return float(right)


def _crossing(p: Array, gains: Array, i: int) -> Any:
    """Where the gain is 1 between points i and i + 1, by interpolation through four; None if they do not serve."""
    own = slice(i - 1, i + 3) if 0 < i < p.size - 2 else slice(max(i, 0), i + 2)
    x, y = p[own], gains[own]
    if x.size < 2 or i < 0 or not (np.isfinite(y).all() and (np.diff(y) < 0.0).all()):
        return None
    return sum(x[k] * np.prod([(1.0 - y[j]) / (y[k] - y[j]) for j in range(x.size) if j != k]) for k in range(x.size))


def _points(left: float, right: float, guess: Any) -> Shaped[Array, " k"]:
    """Ends and points between them: evenly in the logarithm, evenly, or crowded about a guess."""
    if guess is not None and left < guess < right:
        offsets = (right - left) * CROWDED
        p = np.concatenate(([left, right, guess], guess - offsets, guess + offsets))
        return np.unique(p[(p >= left) & (p <= right)])
    if 0.0 < left / right < 0.5 or 0.0 < right / left < 0.5:
        return np.sign(left) * np.geomspace(abs(left), abs(right), SECTIONS)
    return np.linspace(left, right, SECTIONS)


def dominant_singularity(G: Transform) -> Singularity:
    r"""Find the dominant singularity of the generating function.

    L~ is singular where z U~(z) = 1; poles of single modes cancel between numerator and denominator. On the real axis
    z U~(z) grows from 0 at z = 0 to 1 at exp(-p_0), before any mode's own pole. Because E|dw|^2 >= |E dw|^2, p_0 is at
    least 2 log rho(T) of every mode, which brackets the root.

    Parameters
    ----------
    G : Transform

    References
    ----------
    arXiv 2206.11124, section 4 and appendix on eventual divergence.
    """
    known = G.known_singularity()
    if known is not None:
        return known
    try:
        kept, key = _KEPT.setdefault(G.problem, {}), G.same()
        found = None if key is None else kept.get(key)
    except TypeError:  # a problem or a method of a user's own that has no hash
        return searched_singularity(G)
    if found is None:
        found = searched_singularity(G)
        if key is not None:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[key] = found
    return found


def searched_singularity(G: Transform) -> Singularity:
    """The dominant singularity from values on the real axis alone.

    Parameters
    ----------
    G : Transform
    """
    a, roots = mode_roots(G)
    radii = np.abs(roots).max(axis=1)
    regular, at_one = (x.item() for x in G.regular(np.zeros(1)))
    gain = _noise_gain(G, regular, at_one)
    # A very small eigenvalue has spectral radius 1 to rounding; slow modes are stable.
    curvature = bool((radii[a > 1e-10] >= 1.0).any())
    stable = gain < 1.0 and not curvature and bool(regular or G.gamma == 0.0)
    if np.isinf(G.problem.capacity_total) and G.gamma > 0.0:
        rate = np.inf
    elif stable:
        rate = 0.0 if G.problem.lambda_min == 0.0 else _stable_rate(G, float(radii.max()))
    else:
        rate = _unstable_rate(G, float(radii.max()))
    outside = off_axis(roots).max()
    unresolved = max(float(np.log(outside)) if outside > 0.0 else -np.inf, G.off_axis_rate(rate))
    shift = rate if G.problem.noise_variance == 0.0 else max(rate, 0.0)
    error = max(_rate_error(G, rate), _beside_pole(rate, float(radii.max())))
    return Singularity(rate, shift, unresolved, error, gain, stable, curvature)


def _beside_pole(rate: float, radius: float) -> float:
    """Distance of a growth rate from that of the mean path of the fastest mode, where it is next to it; else 0.

    The gain is 1 to rounding all the way between the two if noise hardly moves the mode, so that which it is cannot be
    seen, and extended precision, which has the same rounded product of rate and eigenvalue, sees no more.
    """
    pole = 2.0 * np.log(radius) if radius > 1.0 else 0.0
    return abs(rate - pole) if rate > 0.0 and abs(rate - pole) <= BESIDE_POLE * rate else 0.0


def _rate_error(G: Transform, rate: float) -> float:
    """Rounding of z U~(z), turned into a rounding of its root.

    The rounding is what double precision and extended precision disagree by. The slope comes from a point so far right
    that the gain has fallen visibly: the gain is convex, so that a wider distance makes the error larger, not smaller.
    """
    if G.gamma == 0.0 or rate == 0.0 or not np.isfinite(rate):
        return 0.0
    distances = np.append(0.0, np.geomspace(1e-4 * abs(rate), max(abs(rate), 1.0), 48))
    # A little right of the root: at the root itself, rounding may put the point on the other side.
    points = rate + 1e-6 * abs(rate) + distances
    # Mostly one of the first points tells.
    for some in (FIRST, points.size):
        _, gains = G.regular(points[:some])
        with np.errstate(invalid="ignore"):
            falls = np.flatnonzero(np.isfinite(gains) & (gains[0] - gains > VISIBLE * np.abs(gains[0])))
        if falls.size:
            break
    # Extended precision is slow, and what it says of points further right is not looked at.
    count = max(int(falls[0]), 3) + 1 if falls.size else 1
    gains = gains[:count]
    finer = G.regular(points[:count].astype(np.longdouble))[1] if G.extended else gains
    good = np.isfinite(gains) & np.isfinite(finer.astype(np.float64))
    if falls.size == 0 or not (good[0] and good[falls[0]]):
        return _pole_error(G, rate)
    i = int(falls[0])
    eps = 4.0 * np.finfo(float).eps / (1.0 if G.extended else G.memory)
    rounding = (
        eps * gains[0] + 2.0 * np.abs(np.subtract(gains, finer, out=np.zeros_like(finer), where=good))[good].max()
    )
    return float(rounding * distances[i] / (gains[0] - gains[i]))


def _pole_error(G: Transform, rate: float) -> float:
    """Rounding of a rate that is the pole of a single mode, where the gain says nothing: none without coupling."""
    if not G.extended:
        return 0.0
    left, right = rate - POLE_RANGE * abs(rate), rate + POLE_RANGE * abs(rate)
    for _ in range(12):
        p = np.linspace(left, right, SECTIONS)
        bad = np.flatnonzero(~G.regular(p.astype(np.longdouble))[0])
        i = int(bad[-1]) if bad.size else 0
        if bad.size == 0 or i + 1 == p.size:
            return POLE_RANGE * abs(rate)
        left, right = p[i], p[i + 1]
    return float(2.0 * abs(right - rate) + 4.0 * np.finfo(float).eps * abs(rate))


def _stable_rate(G: Transform, radius: float) -> float:
    pole = max(min(2.0 * np.log(radius) if radius > 0.0 else -700.0, 0.0), -700.0)
    left = max(1.01 * pole - 1e-14, -700.0)
    grid = -np.geomspace(-left, 1e-40, 72)
    regular, _ = G.regular(grid)
    bad = np.flatnonzero(~regular)
    if bad.size == 0:
        # Left of the slowest mode's pole signs may change back, so that what lies between it and the next point of the
        # grid shows at neither.
        grid = pole * (1.0 - np.geomspace(NEXT_TO_POLE, 0.9, 36))
        bad = np.flatnonzero(~G.regular(grid)[0])
    if bad.size == 0:
        return float(pole)
    i = int(bad[-1])
    return _boundary(G, float(grid[i]), float(grid[i + 1])) if i + 1 < grid.size else 0.0


def _unstable_rate(G: Transform, radius: float) -> float:
    # Beyond a complex pair of roots that grows, what must be positive changes its sign twice: left of the pole of the
    # mean path nothing is seen, and a noise that hardly matters shows only next to it.
    pole = max(2.0 * np.log(radius), 0.0) if radius > 0.0 else 0.0
    grid = np.geomspace(1e-70, 690.0, 72)
    if pole > 0.0:
        grid = np.unique(np.concatenate((grid[grid > pole], pole * (1.0 + np.geomspace(NEXT_TO_POLE, 1.0, 36)))))
    regular, _ = G.regular(grid)
    bad = np.flatnonzero(~regular)
    if bad.size == 0:
        return float(pole)
    i = int(bad[-1])
    return _boundary(G, float(grid[i]), float(grid[i + 1])) if i + 1 < grid.size else np.inf


def alternating_rate(gains: Callable[[Array], Array], outside: float, rate: float, count: int) -> float:
    """The rate of what decays off the positive axis, where noise may put a singularity on the negative one.

    There an eigenvalue of zK(z) is 1. None is slower than that on the positive axis, since a step takes positive
    semidefinite moments to such; where roots are not positive one can be nearly as slow.

    Parameters
    ----------
    gains : callable
        The largest eigenvalue of zK(z) at z = -exp(-p), for an array of p.
    outside : float
        The rate of products of roots off the axis.
    rate : float
        That of the singularity on the positive axis.
    count : int
        At how many points to look between the two, and once more between two of them.
    """
    if not (np.isfinite(outside) and np.isfinite(rate) and outside < rate):
        return outside
    ends = np.linspace(outside, rate, count + 2)
    # The eigenvalue grows towards the roots' own singularities: next to those it tells whether it is 1 anywhere.
    if not gains(ends[1:2])[0] >= 1.0:
        return outside
    for _ in range(2):
        beyond = np.flatnonzero(gains(ends[1:-1]) >= 1.0)
        at = int(beyond[-1]) + 1 if beyond.size else 0
        ends = np.linspace(ends[at], ends[at + 1], count + 2)
    return float(ends[-1])
