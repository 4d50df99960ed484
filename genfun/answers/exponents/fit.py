"""Is the spectrum a power law, over which modes, and with which exponents?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from genfun._display import Displayed
from genfun._typing import Array
from genfun.answers.exponents import _notes
from genfun.answers.exponents._lines import Line, straight
from genfun.answers.exponents._signal import EXTRA, TINY, Rule, SignalBins
from genfun.answers.exponents._window import FEWEST, NINETY, SHORTEST, SMOOTH, Choice, choose, interval, sub_windows
from genfun.answers.exponents.spectrum_points import log_spaced
from genfun.data.linear import LinearData
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import UNLISTED, LinearProblem, Problem

PER_DECADE = 8
"""Fitted points in a decade of mode numbers; equal spacing of log k keeps the many last modes from dominating."""
COMPLETE = 0.9
"""A kernel with at least this share of N modes fits all labels: no signal is missing beyond its last mode."""
OPEN: tuple[Rule, ...] = ("single modes", "tail sums")

FIT = "_power_law_fit"
"""The attribute of a problem that keeps its fit."""


@dataclass(frozen=True, repr=False)
class PowerLawFit(Displayed):
    """Exponents of a spectrum, with the window they hold on.

    Attributes
    ----------
    nu : float
        Capacity exponent, lambda_k ~ k^-nu; nan if there are fewer than four modes.
    zeta : float
        Source exponent, sum of s_j over j >= k ~ lambda_k^zeta; nan without signal.
    kappa : float
        nu * zeta, exponent of the index tails; s_k falls as k^-(kappa + 1).
    nu_interval : (float, float)
        About 90 %, two parts added in quadrature: the sampling error, 1.645 standard errors of the line (from its
        residuals or from the scatter of single s_k, whichever is more); and the dependence on the window, 5 % and
        95 % quantiles over all windows inside `window` of at least half its length, less what chance explains of it.
        No interval can hold what a window elsewhere would give.
    zeta_interval : (float, float)
        The same for zeta.
    window : (int, int or None)
        First and last mode k of the fit; None means all modes of an infinite spectrum.
    quality : float
        R^2 of the worse of the two straight lines, log lambda_k and log signal, with residuals shrunk by what the
        scatter of single s_k explains; 1 is a perfect power law.
    residuals : (float, float)
        Root-mean-square residual of log lambda_k and of the log mean signal of a bin, natural logarithms.
    drift : (float, float)
        Relative change of the local exponent (nu, zeta) from one end of the window to the other.
    eigenvalue_scale : float
        Lambda of lambda_k = Lambda k^-nu.
    signal_scale : float
        Q of the tail sum = Q lambda_k^zeta, the sum being continued to infinity.
    scatter : float
        Relative variance of single s_k about the line: 0 where they are smooth, 2 for squares of a normal variable.
    is_power_law : bool
        Whether both lines have R^2 >= 0.98 and drift <= 0.5 (beyond chance) over a decade of modes or more, and
        over more decades than follow.
    notes : tuple of str
        Why not, and what to know about the window and the ends of the spectrum.

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
    scatter: float
    is_power_law: bool
    notes: tuple[str, ...] = ()
    _problem: Problem | None = field(default=None, init=False, compare=False)

    def __repr__(self) -> str:
        verdict = "" if self.is_power_law else ", NOT a power law"
        first, last = self.window
        return (
            f"PowerLawFit(nu={self.nu:.4g}, zeta={self.zeta:.4g}, kappa={self.kappa:.4g}, "
            f"modes {first}..{'inf' if last is None else last}, R^2={self.quality:.4f}{verdict})"
        )


def fit_power_law(problem: Problem | LinearData) -> PowerLawFit:
    r"""Capacity and source exponents of a spectrum, and whether it is a power law at all.

    .. math:: \lambda_k \approx \Lambda k^{-\nu},\qquad \sum_{j\ge k} s_j \approx Q\,\lambda_k^{\zeta},
              \qquad \kappa = \nu\zeta

    Two straight lines: log lambda_k at log-spaced modes (8 in a decade of k), and the log mean signal per mode of the
    bins between them, which falls as k^-(kappa + 1). Bins, unlike tail sums, have independent errors and do not depend
    on what lies beyond the last mode; each is placed at the mode number where a power law has the mean of the bin, so
    there is no correction of order 1/k. Both s_k ~ k^-(kappa + 1) and tail sums ~ k^-kappa are tried, and the one that
    fits better is kept. The last mode is in no bin: it may carry all that lies beyond, as in `PowerLaw(n_modes=n)`.

    Bins are weighted by the scatter of single s_k, measured on neighbours. The window is the one with the greatest
    length/(0.05 + rms residual beyond scatter), length in log k, of a decade or more; so outlying first modes, a last
    part bent by finite N are left out where they disagree, and so is a signal less than five times a flat end.

    A kernel of as many modes as samples (0.9 N or more), with a random signal, holds all of the labels: there the tail
    sums themselves are fitted, which is the exponent of its own loss curve; a note says what the bins give.

    **Assumptions.** None on the spectrum: the answer says whether it is a power law. The scatter of single s_k is
    taken to be independent from mode to mode.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum; of a PowerLaw the exponents are returned exactly.

    Returns
    -------
    PowerLawFit
        Exponents, intervals, window, quality.

    Raises
    ------
    TypeError
        If the problem is no LinearProblem, PowerLaw or LinearData.

    References
    ----------
    arXiv 2206.11124, section 5, eq. (15).

    Examples
    --------
    >>> import numpy as np
    >>> k = np.arange(1.0, 1001.0)
    >>> fit_power_law(LinearProblem(k**-1.5, k**-1.75))
    PowerLawFit(nu=1.5, zeta=0.5, kappa=0.75, modes 1..1000, R^2=1.0000)
    """
    if isinstance(problem, LinearData):
        problem = problem.problem
    if not isinstance(problem, PowerLaw | LinearProblem):
        raise TypeError(f"problem must be a LinearProblem or a PowerLaw, got {type(problem).__name__}; {UNLISTED}")
    # Kept with the problem, as each of its answers asks for it: a phase, an explanation, a picture.
    kept = vars(problem)
    if FIT not in kept:
        kept[FIT] = fit = _exact(problem) if isinstance(problem, PowerLaw) else _measured(problem)
        object.__setattr__(fit, "_problem", problem)
    return kept[FIT]


def _measured(problem: LinearProblem) -> PowerLawFit:
    size, learned = problem.eigenvalues.size, np.flatnonzero(problem.signal > TINY)
    last = int(learned[-1]) + 1 if learned.size else 0
    if learned.size == 0:
        return _undefined(size, "there is no signal, so zeta is undefined")
    if last < FEWEST or learned.size < 2:
        return _undefined(size, f"{learned.size} modes up to mode {last} have signal, too few for an exponent")
    modes = log_spaced(last, max(int(PER_DECADE * np.log10(last)) + 1, 16))
    x, lam = np.log(modes), np.log(problem.eigenvalues[modes - 1])
    bins = SignalBins(modes, problem.signal)
    start = -straight(x[:-1], np.log(bins.means()), np.ones(x.size - 1)).slope
    scatter = bins.scatter(start, 0, x.size - 1)
    above, flat = _notes.floor(bins, scatter)
    at_ends = (*_notes.rounding(x, lam, size), *flat)
    end = float(x[-1])
    if flat and x[above] >= SHORTEST:
        x, lam, bins = x[: above + 1], lam[: above + 1], SignalBins(modes[: above + 1], problem.signal)
    if lam[0] == lam[-1]:
        return _undefined(size, "all eigenvalues are equal")
    complete = problem.n_samples is not None and last >= COMPLETE * problem.n_samples
    beyond = max((choose(x, lam, bins, rule, start) for rule in OPEN), key=lambda c: c.score)
    fit = _result(problem, x, lam, bins, beyond, end, at_ends)
    if not complete or scatter == 0.0 or flat:
        return fit
    low, high = fit.zeta_interval
    also = f"zeta is {fit.zeta:.2g} ({low:.2g} .. {high:.2g}) if the power law goes on beyond the last mode"
    return _result(problem, x, lam, bins, choose(x, lam, bins, "complete tails", start), end, (*at_ends, also))


def _result(
    problem: LinearProblem,
    x: Array,
    lam: Array,
    bins: SignalBins,
    chosen: Choice,
    end: float,
    at_ends: tuple[str, ...],
) -> PowerLawFit:
    first, stop, rule, size = chosen.first, chosen.stop, chosen.rule, problem.eigenvalues.size
    here, inside = slice(first, stop), slice(first, stop - 1)
    z = bins.log_modes(chosen.power, rule)
    y, variance = bins.logs(rule, chosen.scatter)
    w = 1.0 / (SMOOTH + variance)
    capacity, signal = straight(x[here], lam[here], np.ones(stop - first)), straight(z[inside], y[inside], w[inside])
    nu, kappa = -capacity.slope, -signal.slope - EXTRA[rule]
    zeta = kappa / nu
    propagated = [bins.error(rule, of, chosen.scatter, first) for of in (signal.slope_of, signal.turn_of)]
    errors = (capacity.slope_error, max(signal.slope_error, propagated[0]))
    nus, slopes, chance = sub_windows(x[here], lam[here], z[inside], y[inside], w[inside])
    zetas = (-slopes - EXTRA[rule]) / nus
    # The errors of bins are independent, those of tail sums are not.
    independent = chosen.scatter > 0.0 and rule != "complete tails"
    chance = chance * signal.chi2 / max(stop - first - 3, 1) if independent else 0.0
    r2 = (_r2(capacity.chi2, lam[here]), _r2(SMOOTH * signal.chi2, y[inside]))
    drift = _drift(capacity, signal, kappa)
    # Only scatter excuses drift; other residuals are no chance.
    allowed = NINETY * propagated[1] / abs(kappa) if kappa != 0.0 else 0.0
    against = _notes.objections(
        float(x[stop - 1] - x[first]),
        end - float(x[stop - 1]),
        r2,
        (drift[0], drift[1] - allowed),
        nu > 0.0 and kappa > 0.0,
    )
    window = (int(bins.edges[first]), int(bins.edges[stop - 1]))
    log_scale = signal.intercept - (np.log(kappa) if EXTRA[rule] else 0.0) if kappa > 0.0 else np.nan
    residual = y[inside] - signal.intercept - signal.slope * z[inside]
    return PowerLawFit(
        nu=nu,
        zeta=zeta,
        kappa=kappa,
        nu_interval=interval(nus, nu, errors[0]),
        zeta_interval=interval(zetas, zeta, float(np.hypot(errors[1], zeta * errors[0])) / nu, chance / nu**2),
        window=window,
        quality=min(r2),
        residuals=(float(np.sqrt(capacity.chi2 / (stop - first))), float(np.sqrt(np.mean(residual**2)))),
        drift=drift,
        eigenvalue_scale=float(np.exp(capacity.intercept)),
        signal_scale=float(np.exp(log_scale - zeta * capacity.intercept)),
        scatter=chosen.scatter,
        is_power_law=not against,
        notes=(
            *against,
            *_notes.window(window, size, chosen.scatter, rule),
            *(_notes.beyond(bins, log_scale, kappa, rule) if x[-1] == end else ()),
            *at_ends,
        ),
    )


def _r2(error: float, y: Array) -> float:
    spread = float(((y - y.mean()) ** 2).sum())
    return 1.0 - error / spread if spread > 0.0 else 0.0


def _drift(capacity: Line, signal: Line, kappa: float) -> tuple[float, float]:
    """Relative changes of nu and zeta = kappa/nu from end to end."""
    if capacity.slope == 0.0 or kappa == 0.0:
        return np.inf, np.inf
    nu = capacity.turn / capacity.slope
    return abs(nu), abs(signal.turn / kappa + nu)


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
        scatter=0.0,
        is_power_law=True,
        notes=("a power law by construction",),
    )


def _undefined(size: int, why: str) -> PowerLawFit:
    nan = float("nan")
    pair = (nan, nan)
    return PowerLawFit(nan, nan, nan, pair, pair, (1, size), 0.0, pair, pair, nan, nan, nan, False, (why,))
