"""From a state to the numbers of the page: the curve with its parts and marks, the map with its edge, the point."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.answers.best.advice import Advice, advice
from genfun.answers.best.loss_map import loss_map
from genfun.answers.best.optimize import optimize
from genfun.answers.exponents.fit import fit_power_law
from genfun.answers.max_learning_rate import max_learning_rate
from genfun.answers.predict import Prediction, predict
from genfun.answers.stability import Stability, stability
from genfun.answers.words.explain import explain
from genfun.explorer.further import epochs_words, schedule_words
from genfun.explorer.problems import MOST_SCHEDULED, Posed, is_known, noisy_data, pose
from genfun.explorer.state import State
from genfun.methods.sgd import SGD
from genfun.plotting.loss_map import shades
from genfun.plotting.parts import split

POINTS = 160
"""Steps of the curve."""
CELLS = 48, 41
"""Learning rates and momenta of the map."""
PARTS = 8
"""The map is computed in this many parts; between two of them a newer request can cancel it."""
EDGE_POINTS = 41
Answer = TypeVar("Answer")
LARGEST_MOMENTUM, DECADES = 0.98, 4.0
"""The map spans momenta up to this, and learning rates from so many decades below 4/lambda_max up to it."""


@dataclass(frozen=True, eq=False)
class DrawnCurve:
    """The loss curve, what it is made of, and where it turns.

    Parameters
    ----------
    prediction : Prediction
        At about POINTS steps from 1 on.
    quiet : array, shape (t,)
        Loss without batch noise.
    excess : array, shape (t,)
        What batch noise adds; nan where it is not certain.
    marks : tuple of (float, str)
        Steps of transition, divergence and end of the spectrum, in words.
    window : (float, float)
        Losses to show.
    stability : Stability
        Of the setting.
    regime : str
        Name of the phase; "" where the spectrum is no power law.
    """

    prediction: Prediction
    quiet: Float[Array, " t"]
    excess: Float[Array, " t"]
    marks: tuple[tuple[float, str], ...]
    window: tuple[float, float]
    stability: Stability
    regime: str


@dataclass(frozen=True, eq=False)
class Chart:
    """The map of the loss at step T, and its edge.

    Parameters
    ----------
    rates : array, shape (r,)
        Learning rates, evenly spaced in their logarithm.
    momenta : array, shape (m,)
        Momenta, evenly spaced.
    decades : array, shape (r, m)
        log10 of the loss; nan above the loss at the start.
    edge : array, shape (e,)
        Largest stable learning rate; 0 where there is none.
    edge_momenta : array, shape (e,)
        At these momenta, denser towards -1 and 1, where the edge turns.
    colours : (float, float)
        log10 losses of the first and the last colour.
    """

    rates: Float[Array, " r"]
    momenta: Float[Array, " m"]
    decades: Float[Array, "r m"]
    edge: Float[Array, " e"]
    edge_momenta: Float[Array, " e"]
    colours: tuple[float, float]


@dataclass(frozen=True)
class Point:
    """The problem in the phase diagram.

    Parameters
    ----------
    zeta, inverse_nu : float
        Coordinates; nan without exponents.
    is_power_law : bool
        Whether the spectrum is one.
    """

    zeta: float
    inverse_nu: float
    is_power_law: bool


def _kept(size: int, alone: bool = False) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Keep the latest answers, those by constants apart from those by the measured noise that replaces them.

    `alone` lets one thread at a time look for any: pages that open at once ask for the same map, and find it then.
    """

    def decorate(answer: Callable[..., Answer]) -> Callable[..., Answer]:
        kept: Any = lru_cache(maxsize=size)(lambda _known, *asked: answer(*asked))
        lock = Lock()

        @wraps(answer)
        def found(state: State, path: str | None = None, *more: Any) -> Answer:
            state = state.of_last_weights
            if not alone:
                return kept(is_known(state, path), state, path, *more)
            with lock:
                return kept(is_known(state, path), state, path, *more)

        return found

    return decorate


def steps_of(last: int) -> Int[Array, " t"]:
    """The steps of a curve: from 1 to the last.

    Parameters
    ----------
    last : int
    """
    return np.unique(np.rint(np.geomspace(1, last, POINTS)).astype(np.int64))


def last_step(posed: Posed, state: State) -> int:
    """The last step of the curve: T under a schedule, which ends there, and else ten times T, of epochs 10,000 at most.

    Parameters
    ----------
    posed : Posed
    state : State
    """
    if state.sampling == "epochs":
        return min(10 * state.steps, MOST_SCHEDULED)
    return 10 * state.steps if posed.run is posed.method else max(2, state.steps)


def start_of(posed: Posed) -> float:
    """The loss at step 0.

    Parameters
    ----------
    posed : Posed
    """
    return 0.5 * (posed.problem.signal_total + posed.problem.noise_variance)


@_kept(32)
def curve(state: State, path: str | None = None) -> DrawnCurve:
    """The loss curve of a state.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        With a message to show.
    """
    posed = pose(state, path)
    found = predict(posed.asked, posed.run, steps_of(last_step(posed, state)), posed.noise)
    parts = split(found)
    return DrawnCurve(
        found,
        parts.quiet,
        np.where(parts.certain, parts.excess, np.nan),
        tuple((mark.step, mark.words) for mark in parts.marks),
        parts.window,
        stability(posed.asked, posed.method, posed.noise),
        parts.regime.name if parts.regime is not None and parts.regime.is_power_law else "",
    )


def prediction_at(state: State, steps: Any, path: str | None = None) -> Prediction:
    """What is predicted for the setting, at steps of the caller's.

    Parameters
    ----------
    state : State
    steps : int or array
    path : str or None
        The user's file.
    """
    posed = pose(state, path)
    return predict(posed.asked, posed.run, steps, posed.noise)


def loss_at(state: State, step: int, path: str | None = None) -> float:
    """The loss at one step, which the steps of the curve may miss.

    Parameters
    ----------
    state : State
    step : int
    path : str or None
        The user's file.
    """
    return float(prediction_at(state, step, path).loss)


def chart(state: State, path: str | None = None, check: Callable[[], None] = lambda: None) -> Chart:
    """The map of a state; the same for all its learning rates and momenta, for which it is kept.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    check : callable
        Called between parts of the map; what it raises ends the work.

    Raises
    ------
    ValueError
        With a message to show.
    """
    # A map is of constant rates, and by the data's own noise also where a schedule goes by constants.
    state = replace(state.of_map, learning_rate=1.0, momentum=0.0)
    for part in range(PARTS):
        check()
        _part(state, path, part)
    check()
    return _chart(state, path)


@_kept(64 * PARTS, alone=True)
def _part(state: State, path: str | None, part: int) -> Float[Array, "r k"]:
    """log10 losses at some of the momenta."""
    posed = pose(state, path)
    rates, momenta = _grid(posed)
    some = np.array_split(momenta, PARTS)[part]
    found = loss_map(posed.asked, rates, some, state.steps, noise=posed.noise, method=posed.method)
    return found.log_loss / math.log(10.0)


def _grid(posed: Posed) -> tuple[Float[Array, " r"], Float[Array, " m"]]:
    high = 4.0 / posed.problem.lambda_max
    return np.geomspace(high * 10.0**-DECADES, high, CELLS[0]), np.linspace(
        -LARGEST_MOMENTUM, LARGEST_MOMENTUM, CELLS[1]
    )


@_kept(64)
def _chart(state: State, path: str | None) -> Chart:
    posed = pose(state, path)
    start = math.log10(start_of(posed) or 1.0)
    decades = np.concatenate([_part(state, path, part) for part in range(PARTS)], axis=1)
    colours = shades(decades, start)
    decades = np.where(decades <= start, decades, np.nan)
    return Chart(*_grid(posed), decades, *_edge(replace(state, steps=1), path), colours)


@_kept(64, alone=True)
def _edge(state: State, path: str | None) -> tuple[Float[Array, " e"], Float[Array, " e"]]:
    """The largest stable learning rates and their momenta; the same for all steps."""
    posed = pose(state, path)
    bend = np.arctanh(LARGEST_MOMENTUM)
    betas = np.tanh(np.linspace(-bend, bend, EDGE_POINTS))
    settings = [replace(posed.method, momentum=float(beta)) for beta in betas]
    return np.array([max_learning_rate(posed.asked, noise=posed.noise, method=m) for m in settings]), betas


@lru_cache(maxsize=32)
def point(state: State, path: str | None = None) -> Point:
    """Where the problem lies in the plane of the exponents.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    fit = fit_power_law(pose(state, path).problem)
    return Point(fit.zeta, 1.0 / fit.nu if fit.nu > 0.0 else math.nan, fit.is_power_law)


@_kept(32, alone=True)
def words(state: State, path: str | None = None) -> tuple[str, ...]:
    """The lines of `explain`.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        With a message to show.
    """
    if state.schedule != "constant":
        return schedule_words(state, path)
    posed = pose(state, path)
    usual = state.problem == "power-law" and state.tau2 is None
    standing = noisy_data(state, path) if posed.asked is posed.problem else None  # in for noise that is not measured
    first = epochs_words(state, path)
    if standing is not None:
        return first + explain(standing, posed.method, state.steps, "fitted").lines
    return first + explain(posed.asked, posed.method, state.steps, None if usual else posed.noise).lines


@_kept(8)
def best(state: State, path: str | None = None) -> Advice:
    """The learning rate and momentum to use for the state's batch size, sampling and step, and the best ones.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If nothing is stable.
    """
    posed = pose(state, path)
    drawn: Any = SGD(1.0, sampling=state.sampling)  # pyright: ignore[reportArgumentType]
    return advice(optimize(posed.asked, state.batch_size, state.steps, noise=posed.noise, method=drawn))
