"""What a power-law fit says in words: why it is none, and what the ends of the spectrum look like."""

from __future__ import annotations

import numpy as np

from genfun._display import percent
from genfun._typing import Array
from genfun.answers.exponents._lines import straight
from genfun.answers.exponents._signal import Rule, SignalBins
from genfun.answers.exponents._window import NINETY, SHORTEST, SMOOTH

LEAST_R2 = 0.98
LARGEST_DRIFT = 0.5
"""A power law changes its local exponent by less than half across the window; an exponential by a factor of ten."""
FLOOR_WIDTHS = (np.log(4.0), np.log(2.0))
"""A flat end is looked for in the last factors of four and of two of the mode numbers."""
ABOVE = 5.0
"""A bin with this many times the signal of the floor is little disturbed by it."""
VISIBLE = 0.01
"""Less signal beyond the last mode is not worth a note."""
SINGLE_EPSILON = 1.2e-7
"""Spacing of float32 numbers at 1."""
FLATTER = 0.6
"""A local exponent below this share of that of the decade above is a flat part."""
ROUNDING = 1e-13
"""Squared float32 rounding: a floor of signal below this share of its largest value is no label noise."""


def objections(
    length: float, rest: float, r2: tuple[float, float], drift: tuple[float, float], positive: bool
) -> tuple[str, ...]:
    """Why the lines of eigenvalues and signal are no power laws.

    length is that of the window and rest that of what follows, in log k; drift is what is beyond chance.
    """
    notes = []
    reach = f"not a power law: straight lines fit over a factor {np.exp(length):.3g} of the mode number only"
    if length < SHORTEST:
        notes.append(f"{reach}, and 10 is needed")
    elif length < rest:
        notes.append(f"{reach}, and a factor {np.exp(rest):.3g} follows")
    for name, fit, turn in zip(("eigenvalues", "signal"), r2, drift, strict=True):
        if fit < LEAST_R2:
            notes.append(f"not a power law: the line of the {name} has R^2 = {fit:.3f} < {LEAST_R2}")
        elif turn > LARGEST_DRIFT:
            notes.append(f"not a power law: the exponent of the {name} drifts by {percent(turn)} across the window")
    if not positive:
        notes.append("not a power law: an exponent is not positive")
    return tuple(notes)


def window(modes: tuple[int, int], size: int, scatter: float, rule: Rule) -> tuple[str, ...]:
    """Which modes were fitted, and how."""
    if modes != (1, size):
        notes = [f"modes {modes[0]} to {modes[1]} of {size} were fitted; the others bend away"]
    else:
        notes = [f"all {size} modes were fitted"]
    if rule == "complete tails":
        notes.append("as many modes as samples: they hold all of the labels, so tail sums were fitted as they are")
    if scatter > 0.0:
        notes.append(
            f"single s_k scatter by {percent(np.sqrt(scatter))} about the line; weights and intervals allow for it"
        )
    return tuple(notes)


def beyond(bins: SignalBins, log_scale: float, kappa: float, rule: Rule) -> tuple[str, ...]:
    """The signal that the power law has beyond the last mode and the measured tail sums lack."""
    if rule == "complete tails" or not kappa > 0.0:
        return ()
    last, total = int(bins.edges[-1]), float(bins.tails()[0])
    lacking = float(np.exp(log_scale - kappa * np.log(last))) - float(bins.signal[last - 1 :].sum())
    if lacking < VISIBLE * total:
        return ()
    return (f"the power law goes on beyond mode {last}, with {lacking / total:.2g} of the measured signal",)


def rounding(x: Array, lam: Array, n: int) -> tuple[str, ...]:
    """Eigenvalues at or below the rounding of single precision; x and lam are logarithms.

    A symmetric matrix rounded to float32 has its eigenvalues moved by up to 1.2e-7 sqrt(n) lambda_max.
    """
    level = SINGLE_EPSILON * np.sqrt(n)
    i = int(np.searchsorted(lam[0] - lam, -np.log(level)))
    if i >= lam.size - 1:
        return ()
    share = f"from mode {round(float(np.exp(x[i])))} on the eigenvalues lie below {level:.2g} lambda_max"
    start = min(int(np.searchsorted(x, x[i] - SHORTEST)), i - 1)
    above = (lam[start] - lam[i]) / (x[i] - x[start])
    distance, fall = x[None, i:] - x[i:, None], lam[i:, None] - lam[None, i:]
    # Over a factor of 1.5 or more, so that one close pair of eigenvalues is not taken for a flat part.
    apart = distance >= np.log(1.5)
    if apart.any() and float((fall[apart] / distance[apart]).min()) < FLATTER * above:
        return (f"{share} and flatten, as the rounding of float32 does: compute them in double precision",)
    return (f"{share}: rounding noise if they were computed in float32",)


def floor(bins: SignalBins, scatter: float) -> tuple[int, tuple[str, ...]]:
    """A signal per mode that has stopped falling at the last modes, and how many bins are well above it.

    A finite signal falls faster than 1/k; slower than k^-1/2 beyond chance is a floor.
    """
    x, (y, variance) = bins.log_modes(1.0, "single modes"), bins.logs("single modes", scatter)
    for width in FLOOR_WIDTHS:
        end = slice(int(np.searchsorted(x, x[-1] - width)), None)
        if x[end].size < 3:
            continue
        line = straight(x[end], y[end], 1.0 / (variance[end] + SMOOTH))
        error = max(line.slope_error, float(np.sqrt(line.slope_of**2 @ variance[end])))
        if line.slope - NINETY * error > -0.5:
            height, mode = float(np.exp(np.mean(y[end]))), int(bins.edges[:-1][end][0])
            found = f"the signal has stopped falling from mode {mode} on or before, at s = {height:.2g} per mode"
            above = int(np.flatnonzero(y > np.log(ABOVE * height))[-1]) + 1 if y.max() > np.log(ABOVE * height) else 0
            if np.log(height) < np.log(ROUNDING) + float(y.max()):
                return above, (f"{found}: rounding noise",)
            return above, (f"{found}: as from label noise that the features can fit; the power law ends before",)
    return x.size, ()
