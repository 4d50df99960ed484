"""The sentences of an explanation; each states numbers that `explain` has computed, and computes none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from genfun._display import percent, seen
from genfun.answers.exponents.fit import PowerLawFit
from genfun.answers.words._changes import MOMENTUM_CAP, Change
from genfun.answers.words.noise import noise_words
from genfun.answers.words.numbers import batch, count, figures, loss, ratio
from genfun.answers.words.settings import beta_words
from genfun.data.noise_fit import NoiseFit
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible

if TYPE_CHECKING:
    from genfun.answers.words.explain import Explanation

__all__ = ["loss"]
WORTH = math.log(1.05)
"""Logarithm of the least gain (5 %) that is worth a sentence."""
SLOW, FAST = 0.5, math.log(1e8)
"""Between these growth rates the text gives the growth factor of a single step."""
NEAR = 0.9
"""Share of the edge beyond which rare runs carry the mean."""
STILL = 1e-6
"""Below this local exponent the loss is said not to move."""
STEEP = 10.0
"""Beyond this local exponent the loss moves exponentially, and its pace is told in place of a power of the step."""


def times(log_gain: float) -> str:
    """How much less the loss is.

    Parameters
    ----------
    log_gain : float
        log(before / after).
    """
    if log_gain < WORTH:
        return "less than 5 %"
    return f"a factor {ratio(log_gain)}" if math.isfinite(log_gain) else "more than any factor"


def most_effective(changes: tuple[Change, ...]) -> Change | None:
    """The better of learning rate alone and momentum alone; None without changes.

    Parameters
    ----------
    changes : tuple of Change
    """
    single = [change for change in changes if change.what in ("learning rate", "momentum")]
    return min(single, key=lambda change: change.log_loss) if single else None


def status(e: Explanation) -> str:
    """Whether it converges, and how fast in the end."""
    rate, verdict = e.stability.growth_rate, e.stability.status
    if verdict == "marginal":
        return "It is on the edge of stability, to one part in 1e9: no verdict."
    if verdict == "converges":
        if rate == 0.0:
            return "It converges, in the end more slowly than any exponential."
        if not seen(-1.0 / rate):
            return "It converges, its last modes more slowly than any run shows."
        return f"It converges; in the end the excess loss falls by {_pace(-rate)}."
    if math.isinf(rate):
        return "It diverges at once: the sum of the squared eigenvalues is infinite."
    return "It diverges, " + (f"in the end by {_pace(rate)}." if rate > 0.0 else "too slowly to be timed.")


def _pace(rate: float) -> str:
    if rate < SLOW:
        return f"a factor e every {count(1.0 / rate)} steps"
    return f"a factor {ratio(rate)} a step" if rate < FAST else "a factor above 1e8 a step"


def binding(e: Explanation) -> str:
    """Noise or curvature, and the share of the edge."""
    if e.max_learning_rate == 0.0:
        return "Batch noise leaves no stable learning rate: the sum of the eigenvalues is infinite."
    share = e.method.learning_rate / e.max_learning_rate
    cause = "Batch noise" if e.stability.limit == "noise" else "Curvature"
    place = f"{percent(share)} of it" if share < 10.0 else f"{figures(share, 3)} times it"
    return (
        f"{cause} binds first: the largest stable learning rate here is {figures(e.max_learning_rate)}, "
        f"this one is {place} (noise gain {figures(e.stability.noise_gain, 3)}; the limit is 1)."
    )


def power_law(fit: PowerLawFit) -> str:
    """Exponents, or why there are none, and so no phase."""
    if not fit.is_power_law:
        return f"The spectrum is no power law, so there is no phase: {_why_not(fit)}."
    last = "infinity" if fit.window[1] is None else f"{fit.window[1]:,}"
    where = f"over modes {fit.window[0]} to {last}"
    exponents = f"nu = {figures(fit.nu)}{_interval(fit.nu_interval)}, zeta = {figures(fit.zeta)}"
    exponents += f"{_interval(fit.zeta_interval)}, R^2 {fit.quality:.4f}"
    return f"The spectrum is a power law {where}: {exponents}."


def _why_not(fit: PowerLawFit) -> str:
    return fit.notes[0].removeprefix("not a power law: ")


def _interval(ends: tuple[float, float]) -> str:
    return "" if ends[0] == ends[1] else f" ({figures(ends[0], 3)} .. {figures(ends[1], 3)})"


def regime(e: Explanation) -> str:
    """The phase and its exponent."""
    if not e.fit.is_power_law:
        return ""
    if e.phase is None and e.noise_source == "given" and not isinstance(e.noise, SpectrallyExpressible):
        return "Phases are derived for spectrally expressible noise; the local exponent below takes their place."
    if e.phase is None:
        return "So it has no phase; the local exponent below takes its place."
    f = e.phase
    if f.name == "immediate divergence":
        return "Phase: immediate divergence, the loss grows from the first steps on."
    if f.name == "eventual divergence":
        when = f"at step {count(f.divergence_step)}" if seen(f.divergence_step) else "later than any run lasts"
        return f"Phase: eventual divergence, the loss falls at first and is least {when}."
    above = "the loss" if e.lowest_loss == 0.0 else "the loss above label noise"
    held = f", until label noise holds it at {figures(f.floor, 3)}" if f.floor > 0.0 else ""
    constant = "an unknown multiple of" if math.isnan(f.constant) else figures(f.constant, 3)
    law = f"{constant} t^-{figures(f.exponent)} while the law holds"
    if f.fitted_noise and not isinstance(e.noise, SpectrallyExpressible):
        law += ", by constants fitted to the data's noise"
    return f"Phase: {f.name}, {above} tends to {law}{held}."


def times_of(e: Explanation) -> str:
    """When the noise takes over and when the spectrum ends."""
    f = e.phase
    if f is None or "divergence" in f.name:
        return ""
    parts = []
    if seen(f.transition_step):
        parts.append(
            f"{'batch noise' if f.later == 'noise' else 'the signal'} takes over at step {count(f.transition_step)}"
        )
    if seen(f.end_step):
        parts.append(
            f"the power law ends in an exponential at step {count(f.end_step)}, where its last mode is learned"
        )
    else:
        parts.append("the power law has no end" + (" that a run sees" if math.isfinite(f.end_step) else ""))
    notes = [note for note in f.notes if note not in e.fit.notes]
    return f"Times: {'; '.join([*parts, *notes])}."


def here(e: Explanation, start: float, chosen: bool) -> str:
    """Where the run is at the step asked for."""
    text = f"At step {count(e.steps)}{' (by default)' if chosen else ''} the loss is {loss(e.loss, e.log_loss)}"
    if start > 0.0 and math.isfinite(e.log_loss):
        log_share = e.log_loss - math.log(start)
        text += f", {ratio(log_share)} {'of' if log_share < 0.0 else 'times that at'} the start"
    slope = e.local_exponent
    if abs(slope) < STILL:
        text += "; there it stands still"
    elif math.isfinite(slope):
        verb = "falls" if slope >= 0.0 else "grows"
        power = e.fit.is_power_law and abs(slope) <= STEEP
        how = f"as t^{figures(-slope, 3)}" if power else f"by {_pace(abs(slope) / e.steps)}"
        text += f"; there it {verb} {how}{'' if e.lowest_loss == 0.0 else ' (above label noise)'}"
    return text + _relative(e) + "."


def _relative(e: Explanation) -> str:
    f = e.phase
    if f is None:
        return ""
    if "divergence" in f.name:
        return ", before its least" if e.steps < f.divergence_step else ", past its least"
    if e.steps > f.end_step:
        return ", past the end of the power law"
    if math.isfinite(f.transition_step):
        return f", before {f.later} takes over" if e.steps < f.transition_step else f", after {f.later} took over"
    return ""


def noise_models(e: Explanation, noisy: bool, estimate: NoiseFit | None) -> str:
    """The band over tau2, and the error of the noise approximation."""
    if not noisy:
        return "There is no batch noise, so tau2 changes nothing."
    if not isinstance(e.noise, SpectrallyExpressible):
        known = percent(e.noise_error, 1)
        about = "" if known.startswith("less") else "about "
        here = f"; the loss there to {about}{known}" if e.noise_error > 0.0 and math.isfinite(e.loss) else ""
        whose = "as given" if e.noise_source == "given" else "that of the data"
        return f"Batch noise is {whose}, {noise_words(e.noise)}{here}."
    ends = (e.loss_at_tau2_plus, e.loss_at_tau2_minus), (e.max_rate_at_tau2_plus, e.max_rate_at_tau2_minus)
    (low, high), (left, right) = (sorted(end for end in pair if end is not None) for pair in ends)
    at = -math.inf if e.loss == 0.0 and math.isinf(e.log_loss) else math.nan  # no loss at all, or of unknown logarithm
    text = f"Batch noise is {e.noise_source}: tau1 = {figures(e.noise.tau1)}, tau2 = {figures(e.noise.tau2)}"
    if estimate is not None:
        text += f", off by up to {percent(estimate.noise_misfit)} while learning"
    text += f"; with tau1 = 1 and tau2 = +1 or -1 the loss there is {loss(low, at, 4)} .. {loss(high, at, 4)}"
    return text + f" and the largest rate {figures(left)} .. {figures(right)}."


def near_edge(e: Explanation) -> str:
    """What a smaller learning rate costs, where the setting is near the edge of stability."""
    noisy = e.stability.limit == "noise" and e.stability.noise_gain > 0.0
    if not (noisy and NEAR * e.max_learning_rate < e.method.learning_rate < e.max_learning_rate):
        return ""
    more = e.smaller_rate_log_cost
    if not math.isfinite(more):
        return ""
    changed = (
        f"{percent(abs(math.expm1(more)), 3)} {'more' if more > 0.0 else 'less'}"
        if abs(more) < 1.0
        else (f"{ratio(more)} times the" if more > 0.0 else f"1/{ratio(-more)} of the")
    )
    return (
        "So near the edge rare runs carry the mean, and a single run may well blow up: "
        f"a learning rate 10 % smaller has {changed} loss there."
    )


def floor(e: Explanation) -> str:
    """What label noise leaves."""
    if e.lowest_loss == 0.0:
        return "There is no label noise, so the loss has no floor." if e.stability.status == "converges" else ""
    if not math.isfinite(e.final_loss):
        return f"Label noise alone is a loss of {figures(e.lowest_loss)}."
    parts = f"Label noise leaves a loss of {figures(e.final_loss)}: {figures(e.lowest_loss)} that no setting avoids"
    parts += f", and {figures(e.stability.floor)} kept up by batch noise" if e.stability.floor > 0.0 else ""
    if e.floor_step == 0.0:
        return f"{parts}; the loss starts no higher than 5 % above it."
    if not seen(e.floor_step):
        return f"{parts}; no run comes within 5 % of it."
    return f"{parts}; the loss is first within 5 % of it at step {count(e.floor_step)}."


def advice(e: Explanation) -> str:
    """The most effective change first, then the others."""
    if type(e.method) is not SGD:
        name = type(e.method).__name__
        return f"What to change first is searched for heavy-ball SGD alone; optimize with method= searches {name}."
    first, by_name = most_effective(e.changes), {change.what: change for change in e.changes}
    if e.log_loss == -math.inf:
        return f"Nothing to gain at step {count(e.steps)}: the loss is 0."
    if first is None:
        return "No learning rate or momentum converges with mini-batches on a spectrum of infinite sum; truncate it."
    both = by_name["learning rate and momentum"]
    if max(first.log_gain, both.log_gain) < WORTH:
        return f"Nothing to gain at step {count(e.steps)}: the best learning rate and momentum save less than 5 %."
    other = by_name["momentum" if first.what == "learning rate" else "learning rate"]
    pair = f"{figures(both.method.learning_rate)} and {beta_words(both.method.momentum)}"
    return (
        f"Change first: the {first.what} alone, {_moved(e.method, first)}, loss "
        f"{loss(first.loss, first.log_loss)} at step {count(e.steps)}, gains {times(first.log_gain)}; "
        f"the {other.what} alone, {_moved(e.method, other)}, {times(other.log_gain)}; "
        f"both, {pair}, {times(both.log_gain)}."
    )


def _moved(before: SGD, change: Change) -> str:
    if change.what == "learning rate":
        return f"{figures(before.learning_rate)} to {figures(change.method.learning_rate)}"
    bound = " (the bound of the search)" if abs(change.method.momentum) >= MOMENTUM_CAP - 1e-6 else ""
    return f"{beta_words(before.momentum)} to {beta_words(change.method.momentum)}{bound}"


def batch_advice(e: Explanation) -> str:
    """What another batch size is worth at the same number of samples."""
    found = next((change for change in e.changes if change.what == "batch size"), None)
    if found is None:
        return ""
    m = found.method
    gain = times(found.log_gain) if found.log_gain >= WORTH else "nothing"
    return (
        f"At the same number of samples: batch size {batch(m.batch_size)} with learning rate "
        f"{figures(m.learning_rate)}, {count(found.steps)} steps, gains {gain}."
    )
