"""Is the spectrum a power law, over which modes, and with which exponents?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.power_law import PowerLaw
from genfun.problem import LinearProblem, Problem

PER_DECADE = 8
"""Fitted points in a decade of mode numbers; equal spacing of log k keeps the many last modes from dominating."""
SHORTEST = np.log(10.0)
"""No window is shorter than a decade of mode numbers."""
SOFTENING = 0.05
"""Residuals (natural log) well below this are not traded for a shorter window."""
LEAST_R2 = 0.98
LARGEST_DRIFT = 0.5
"""A power law changes its local exponent by less than half across the window; an exponential by a factor of ten."""
INFINITE_MODES = 10**6
"""An infinite spectrum is listed up to this mode."""


@dataclass(frozen=True, eq=False)
class SpectrumPoints:
    r"""Eigenvalues and signal at some mode numbers, from largest eigenvalue to smallest.

    .. math:: S_k = \sum_{j\ge k} s_j

    Attributes
    ----------
    modes : integer array, shape (m,)
        k, counted from 1.
    eigenvalues : array, shape (m,)
        lambda_k.
    signal : array, shape (m,)
        s_k, in units of twice the loss.
    signal_tails : array, shape (m,)
        S_k, the signal of this mode and all after it.

    Examples
    --------
    >>> spectrum_points(LinearProblem([1.0, 0.5], [2.0, 1.0])).signal_tails
    array([3., 1.])
    """

    modes: Int[Array, " m"]
    eigenvalues: Float[Array, " m"]
    signal: Float[Array, " m"]
    signal_tails: Float[Array, " m"]


@dataclass(frozen=True, repr=False)
class PowerLawFit:
    """Exponents of a spectrum, with the window they hold on.

    Attributes
    ----------
    nu : float
        Capacity exponent, lambda_k ~ k^-nu; nan if there are fewer than two modes.
    zeta : float
        Source exponent, sum of s_j over j >= k ~ lambda_k^zeta; nan without signal.
    kappa : float
        nu * zeta, exponent of the index tails.
    nu_interval : (float, float)
        5 % and 95 % quantiles of nu over all windows inside `window` of at least half its length. They measure how
        far the exponent depends on the window, not sampling error.
    zeta_interval : (float, float)
        The same for zeta.
    window : (int, int or None)
        First and last mode k of the fit; None means all modes of an infinite spectrum.
    quality : float
        R^2 of the worse of the two straight lines; 1 is a perfect power law.
    residuals : (float, float)
        Root-mean-square residual of log lambda_k and of the log signal tails, natural logarithms.
    drift : (float, float)
        Relative change of the local exponent (nu, zeta) from one end of the window to the other.
    eigenvalue_scale : float
        Lambda of lambda_k = Lambda k^-nu.
    signal_scale : float
        Q of the tail sum = Q lambda_k^zeta.
    is_power_law : bool
        Whether both lines have R^2 >= 0.98 and drift <= 0.5 over a decade of modes or more.
    notes : tuple of str
        Why not, and what to know about the window.

    Examples
    --------
    >>> fit_power_law(PowerLaw(nu=1.5, zeta=0.5)).kappa
    0.75
    """

    nu: float
    zeta: float
    kappa: float
    nu_interval: tuple[float, float]
    zeta_interval: tuple[float, float]
    window: tuple[int, int | None]
    quality: float
    residuals: tuple[float, float]
    drift: tuple[float, float]
    eigenvalue_scale: float
    signal_scale: float
    is_power_law: bool
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        verdict = "" if self.is_power_law else ", NOT a power law"
        first, last = self.window
        return (
            f"PowerLawFit(nu={self.nu:.4g}, zeta={self.zeta:.4g}, kappa={self.kappa:.4g}, "
            f"modes {first}..{'inf' if last is None else last}, R^2={self.quality:.4f}{verdict})"
        )


class _Line(NamedTuple):
    slope: float
    intercept: float
    rms: float
    r2: float
    drift: float


def _straight(x: Array, y: Array) -> _Line:
    """Least-squares line; drift is the change of the local slope in a parabola, relative to the slope."""
    dx, dy = x - x.mean(), y - y.mean()
    square, spread = float(dx @ dx), float(dy @ dy)
    slope = float(dx @ dy) / square
    residual = dy - slope * dx
    error = float(residual @ residual)
    bend = dx * dx - (dx @ dx) / x.size
    bend -= (bend @ dx) / square * dx
    curved = float(bend @ bend)
    curvature = float(bend @ residual) / curved if curved > 1e-20 * square**2 else 0.0
    turn = 2.0 * curvature * abs(float(x[-1] - x[0]))
    r2 = 1.0 - error / spread if spread > 0.0 else 0.0
    drift = abs(turn / slope) if slope != 0.0 else np.inf
    return _Line(slope, float(y.mean() - slope * x.mean()), float(np.sqrt(error / x.size)), r2, drift)


def spectrum_points(problem: Problem, at_most: int = 1000) -> SpectrumPoints:
    r"""The spectrum at every mode, or at log-spaced modes where there are many.

    .. math:: (k,\ \lambda_k,\ s_k,\ \textstyle\sum_{j\ge k} s_j)

    **Assumptions.** An infinite spectrum is listed up to mode 10^6.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    at_most : int
        Points; a spectrum of no more modes is listed in full.

    Returns
    -------
    SpectrumPoints
        In descending order of the eigenvalues.

    Raises
    ------
    TypeError
        If the problem is neither a LinearProblem nor a PowerLaw.

    Examples
    --------
    >>> spectrum_points(PowerLaw(nu=1.0, zeta=0.5), at_most=3).eigenvalues
    array([1.e+00, 1.e-03, 1.e-06])
    """
    if isinstance(problem, PowerLaw):
        k = _log_spaced(problem.n_modes or INFINITE_MODES, at_most)
        lam = problem.eigenvalue_scale * k**-problem.nu
        tails = problem.signal_scale * lam**problem.zeta
        signal = tails * -np.expm1(-problem.kappa * np.log1p(1.0 / k))
        if problem.n_modes is not None:
            signal[-1] = tails[-1]
        return SpectrumPoints(k.astype(np.int64), lam, signal, tails)
    if not isinstance(problem, LinearProblem):
        raise TypeError(f"problem must be a LinearProblem or a PowerLaw, got {type(problem).__name__}")
    i = _log_spaced(problem.eigenvalues.size, at_most).astype(np.int64) - 1
    tails = np.cumsum(problem.signal[::-1])[::-1]
    return SpectrumPoints(i + 1, problem.eigenvalues[i], problem.signal[i], tails[i])


def _log_spaced(n: int, count: int) -> Float[Array, " m"]:
    return np.arange(1.0, n + 1.0) if n <= count else np.unique(np.rint(np.geomspace(1.0, n, count)))


def fit_power_law(problem: Problem) -> PowerLawFit:
    r"""Capacity and source exponents of a spectrum, and whether it is a power law at all.

    .. math:: \lambda_k \approx \Lambda k^{-\nu},\qquad \sum_{j\ge k} s_j \approx Q\,\lambda_k^{\zeta},
              \qquad \kappa = \nu\zeta

    Straight lines through log-spaced points (8 in a decade of k). The window is the one with the greatest
    length/(0.05 + rms residual), length in log k, of a decade or more; so outlying first modes and a last part bent
    by finite N are left out where they disagree.

    **Assumptions.** None: the answer says whether the spectrum is a power law. In a spectrum cut at mode n the tail
    sums lack what lies beyond and bend down, which raises zeta: by 3 % at n = 10^5 and by 12 % at
    n = 1000 for nu = 1.5, zeta = 0.5 (`PowerLaw(n_modes=n)` gives its last mode the whole tail and has no such bias).

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum; of a PowerLaw the exponents are returned exactly.

    Returns
    -------
    PowerLawFit
        Exponents, intervals, window, quality.

    References
    ----------
    arXiv 2206.11124, section 5, eq. (15).

    Examples
    --------
    >>> p = PowerLaw(nu=1.5, zeta=0.5, n_modes=1000)
    >>> fit_power_law(LinearProblem(p.eigenvalues, p.signal))
    PowerLawFit(nu=1.5, zeta=0.5, kappa=0.75, modes 1..1000, R^2=1.0000)
    """
    if isinstance(problem, PowerLaw):
        return _exact(problem)
    size = problem.eigenvalues.size if isinstance(problem, LinearProblem) else 0
    points = spectrum_points(problem, _point_count(size))
    learned = points.signal_tails > 0.0
    x, lam = np.log(points.modes), np.log(points.eigenvalues)
    if size < 2 or not learned.any():
        what = "one mode has no exponent" if size < 2 else "there is no signal, so zeta is undefined"
        return _undefined(size, what)
    last = int(np.flatnonzero(learned)[-1])
    x, lam, tails = x[: last + 1], lam[: last + 1], np.log(points.signal_tails[: last + 1])
    first, stop = _window(x, lam, tails)
    chosen = slice(first, stop)
    if np.ptp(lam[chosen]) == 0.0:
        return _undefined(size, "all eigenvalues are equal")
    nu_line, zeta_line = _straight(x[chosen], lam[chosen]), _straight(lam[chosen], tails[chosen])
    nu, zeta = -nu_line.slope, zeta_line.slope
    notes = _objections(float(x[stop - 1] - x[first]), nu_line, zeta_line)
    window = (int(points.modes[first]), int(points.modes[stop - 1]))
    if window != (1, size):
        notes_window = f"modes {window[0]} to {window[1]} of {size} were fitted; the others bend away"
    else:
        notes_window = f"all {size} modes were fitted"
    slopes = _sub_windows(x[chosen], lam[chosen], tails[chosen])
    return PowerLawFit(
        nu=nu,
        zeta=zeta,
        kappa=nu * zeta,
        nu_interval=_interval(-slopes[:, 0], nu),
        zeta_interval=_interval(slopes[:, 1], zeta),
        window=window,
        quality=min(nu_line.r2, zeta_line.r2),
        residuals=(nu_line.rms, zeta_line.rms),
        drift=(nu_line.drift, zeta_line.drift),
        eigenvalue_scale=float(np.exp(nu_line.intercept)),
        signal_scale=float(np.exp(zeta_line.intercept)),
        is_power_law=not notes,
        notes=(*notes, notes_window),
    )


def _point_count(size: int) -> int:
    return int(PER_DECADE * np.log10(size)) + 1 if size > 16 else 16


def _exact(problem: PowerLaw) -> PowerLawFit:
    return PowerLawFit(
        nu=problem.nu,
        zeta=problem.zeta,
        kappa=problem.kappa,
        nu_interval=(problem.nu, problem.nu),
        zeta_interval=(problem.zeta, problem.zeta),
        window=(1, problem.n_modes),
        quality=1.0,
        residuals=(0.0, 0.0),
        drift=(0.0, 0.0),
        eigenvalue_scale=problem.eigenvalue_scale,
        signal_scale=problem.signal_scale,
        is_power_law=True,
        notes=("a power law by construction",),
    )


def _undefined(size: int, why: str) -> PowerLawFit:
    nan = float("nan")
    pair = (nan, nan)
    return PowerLawFit(nan, nan, nan, pair, pair, (1, size), 0.0, pair, pair, nan, nan, False, (why,))


def _window(x: Array, lam: Array, tails: Array) -> tuple[int, int]:
    """First and one-past-last point of the best window; everything where there is no decade of modes."""
    best, choice = -np.inf, (0, x.size)
    for i in range(x.size):
        for j in range(int(np.searchsorted(x, x[i] + SHORTEST - 1e-9)) + 1, x.size + 1):
            if j - i < 3 or lam[i] == lam[j - 1]:
                continue
            rms = np.hypot(_straight(x[i:j], lam[i:j]).rms, _straight(lam[i:j], tails[i:j]).rms)
            score = (x[j - 1] - x[i]) / (SOFTENING + rms)
            if score > best * (1.0 + 1e-9):
                best, choice = score, (i, j)
    return choice


def _sub_windows(x: Array, lam: Array, tails: Array) -> Float[Array, "w 2"]:
    """Slopes over every window of at least half the length and three points."""
    half = 0.5 * (x[-1] - x[0])
    pairs = [(i, j) for i in range(x.size) for j in range(i + 3, x.size + 1) if x[j - 1] - x[i] >= half]
    slopes = [
        (_straight(x[i:j], lam[i:j]).slope, _straight(lam[i:j], tails[i:j]).slope)
        for i, j in pairs
        if lam[i] > lam[j - 1]
    ]
    return np.array(slopes).reshape(-1, 2)


def _interval(values: Array, centre: float) -> tuple[float, float]:
    if values.size == 0:
        return (centre, centre)
    low, high = np.quantile(values, (0.05, 0.95))
    return (min(float(low), centre), max(float(high), centre))


def _objections(length: float, nu_line: _Line, zeta_line: _Line) -> tuple[str, ...]:
    notes = []
    if length < SHORTEST - 1e-9:
        notes.append(f"not a power law: {np.exp(length):.3g} is the widest ratio of mode numbers, 10 are needed")
    for name, line in (("eigenvalues", nu_line), ("signal tails", zeta_line)):
        if line.r2 < LEAST_R2:
            notes.append(f"not a power law: the {name} have R^2 = {line.r2:.3f} < {LEAST_R2}")
        elif line.drift > LARGEST_DRIFT:
            notes.append(f"not a power law: the exponent of the {name} drifts by {line.drift:.0%} across the window")
    if zeta_line.slope <= 0.0 or nu_line.slope >= 0.0:
        notes.append("not a power law: an exponent is not positive")
    return tuple(notes)
