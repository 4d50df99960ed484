"""What a loss curve is made of, as numbers, and which part of it is worth a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._typing import Array, Bool, Float, Int
from genfun.answers.phase import Phase
from genfun.answers.predict import Prediction, predict
from genfun.answers.words.explain import phase_or_none
from genfun.methods.base import Method
from genfun.methods.family import in_fresh_batches
from genfun.noise import SpectrallyExpressible

DEEPEST, HIGHEST = 1e-16, 1e3
"""Losses further below or above the start than this are off the picture."""
CERTAIN = 10.0
"""A difference of two losses is drawn where it exceeds this many times their errors."""


@dataclass(frozen=True)
class Mark:
    """A step at which the curve turns.

    Parameters
    ----------
    name : str
        "transition", "divergence" or "end".
    step : float
        Where.
    words : str
        What happens there.
    """

    name: str
    step: float
    words: str


@dataclass(frozen=True, eq=False)
class Parts:
    """A loss curve split into what remains to be learned and what batch noise adds.

    Parameters
    ----------
    steps : array, shape (t,)
        Steps after 0, each once, in order.
    loss : array, shape (t,)
        The predicted loss.
    quiet : array, shape (t,)
        That of the same setting with full batches.
    excess : array, shape (t,)
        Their difference.
    certain : array of bool, shape (t,)
        Whether the difference exceeds CERTAIN times the errors.
    last : int
        Index of the step after which both curves stay outside of the window.
    window : (float, float)
        Losses to show.
    regime : Phase or None
        None where the spectrum has no exponents, or the setting is not constant.
    marks : tuple of Mark
        Between the first and the last of all steps.
    """

    steps: Int[Array, " t"]
    loss: Float[Array, " t"]
    quiet: Float[Array, " t"]
    excess: Float[Array, " t"]
    certain: Bool[Array, " t"]
    last: int
    window: tuple[float, float]
    regime: Phase | None
    marks: tuple[Mark, ...]


def split(prediction: Prediction) -> Parts:
    """The parts of a predicted loss curve, as `genfun.plotting.loss_parts` draws them.

    Parameters
    ----------
    prediction : Prediction
        From `genfun.predict`.

    Raises
    ------
    ValueError
        If there is no step after 0.
    """
    steps, first = np.unique(prediction.steps, return_index=True)
    order = first[steps > 0]
    steps = steps[steps > 0]
    if steps.size == 0:
        raise ValueError("prediction has no step after 0; predict at several steps, e.g. 1 to 1000")
    problem, noise = prediction.problem, prediction.noise
    loss, error = prediction.loss.ravel()[order], prediction.error.ravel()[order]
    quiet = predict(problem, _without_noise(prediction.method), steps, noise)
    # Where both are infinite the difference is unknown, and not drawn.
    with np.errstate(invalid="ignore", over="ignore"):
        excess = loss - quiet.loss
        certain = excess > CERTAIN * (error * loss + quiet.error * quiet.loss)
    start = 0.5 * (problem.signal_total + problem.noise_variance) or 1.0
    seen = np.concatenate((loss, quiet.loss, excess[certain][-1:]))
    seen = seen[np.isfinite(seen) & (seen > 0.0)]
    bottom, top = start, start
    if seen.size:
        bottom, top = max(float(seen.min()), DEEPEST * start), min(float(seen.max()), HIGHEST * start)
    if np.isfinite(loss[0]):  # the curve is seen, however far it has come before the first step
        top = max(top, float(loss[0]))
    inside = np.flatnonzero(((loss >= bottom) & (loss <= top)) | ((quiet.loss >= bottom) & (quiet.loss <= top)))
    last = min(int(inside[-1]) + 1, steps.size - 1) if inside.size else steps.size - 1
    regime = _regime(prediction)
    ends = float(steps[0]), float(steps[-1])
    window = bottom / 2.0, 2.0 * max(top, bottom)
    return Parts(steps, loss, quiet.loss, excess, certain, last, window, regime, _marks(regime, ends))


def _without_noise(method: Any) -> Any:
    """The method with full batches, in which the order of samples means nothing."""
    inner = getattr(method, "method", None)
    if inner is not None:
        return replace(method, method=_without_noise(inner))
    return replace(in_fresh_batches(method), batch_size=None)


def shuffles_or_averages(method: Any) -> bool:
    """Whether a setting has neither a phase nor a floor of its own: in epochs, or of averaged weights.

    Parameters
    ----------
    method : Method, Averaged or ScheduledSGD
    """
    return hasattr(method, "method") or in_fresh_batches(method) is not method


def _regime(prediction: Prediction) -> Phase | None:
    # A schedule has no phase, and the phases are those of spectrally expressible noise.
    if not isinstance(prediction.method, Method) or not isinstance(prediction.noise, SpectrallyExpressible):
        return None
    if shuffles_or_averages(prediction.method):
        return None
    # Without exponents there is no phase: the curve and its parts stand without marks.
    return phase_or_none(prediction.problem, prediction.method, prediction.noise, rough=True)


def _marks(regime: Phase | None, ends: tuple[float, float]) -> tuple[Mark, ...]:
    if regime is None:
        return ()
    # A spectrum that ends first, or is no power law, leaves none for the noise to take over.
    seen = regime.is_power_law and regime.transition_step <= regime.end_step
    transition = regime.transition_step if seen else np.inf
    stable = np.isinf(regime.divergence_step)
    places = (
        Mark("transition", float(transition), f"{regime.later} takes over"),
        Mark("divergence", float(regime.divergence_step), "loss grows"),
        Mark("end", float(regime.end_step) if stable else np.inf, "spectrum ends"),
    )
    return tuple(mark for mark in places if ends[0] <= mark.step <= ends[1])
