"""From a state to the numbers of the page: the curve with its parts and marks, the map with its edge, the point."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

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
from genfun.data.linear import LinearData
from genfun.explorer.problems import Posed, pose, source
from genfun.explorer.state import State
from genfun.plotting.loss_map import shades
from genfun.plotting.parts import split

MEASURED = 2e9
"""N r^2 up to which the page measures the noise of data: some seconds."""
DRAWN = "The pictures are drawn with constants fitted to the data's batch noise"
POINTS = 160
"""Steps of the curve."""
CELLS = 48, 41
"""Learning rates and momenta of the map."""
PARTS = 8
"""The map is computed in this many parts; between two of them a newer request can cancel it."""
EDGE_POINTS = 41
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
        Name of the phase; "" where the spectrum has no exponents.
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


def steps_of(last: int) -> Int[Array, " t"]:
    """The steps of the curve: from 1 to ten times T, so that what comes after is seen.

    Parameters
    ----------
    last : int
        T.
    """
    return np.unique(np.rint(np.geomspace(1, 10 * last, POINTS)).astype(np.int64))


def start_of(posed: Posed) -> float:
    """The loss at step 0.

    Parameters
    ----------
    posed : Posed
    """
    return 0.5 * (posed.problem.signal_total + posed.problem.noise_variance)


@lru_cache(maxsize=32)
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
    problem, method, noise = posed.problem, posed.method, posed.noise
    found = predict(problem, method, steps_of(state.steps), noise)
    parts = split(found)
    return DrawnCurve(
        found,
        parts.quiet,
        np.where(parts.certain, parts.excess, np.nan),
        tuple((mark.step, mark.words) for mark in parts.marks),
        parts.window,
        stability(problem, method, noise),
        "" if parts.regime is None else parts.regime.name,
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
    return predict(posed.problem, posed.method, steps, posed.noise)


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
    state = replace(state, learning_rate=1.0, momentum=0.0)
    for part in range(PARTS):
        check()
        _part(state, path, part)
    check()
    return _chart(state, path)


@lru_cache(maxsize=64 * PARTS)
def _part(state: State, path: str | None, part: int) -> Float[Array, "r k"]:
    """log10 losses at some of the momenta."""
    posed = pose(state, path)
    rates, momenta = _grid(posed)
    some = np.array_split(momenta, PARTS)[part]
    found = loss_map(posed.problem, rates, some, state.steps, state.batch_size, posed.noise)
    return found.log_loss / math.log(10.0)


def _grid(posed: Posed) -> tuple[Float[Array, " r"], Float[Array, " m"]]:
    high = 4.0 / posed.problem.lambda_max
    return np.geomspace(high * 10.0**-DECADES, high, CELLS[0]), np.linspace(
        -LARGEST_MOMENTUM, LARGEST_MOMENTUM, CELLS[1]
    )


@lru_cache(maxsize=64)
def _chart(state: State, path: str | None) -> Chart:
    posed = pose(state, path)
    start = math.log10(start_of(posed) or 1.0)
    decades = np.concatenate([_part(state, path, part) for part in range(PARTS)], axis=1)
    colours = shades(decades, start)
    decades = np.where(decades <= start, decades, np.nan)
    return Chart(*_grid(posed), decades, *_edge(replace(state, steps=1), path), colours)


@lru_cache(maxsize=64)
def _edge(state: State, path: str | None) -> tuple[Float[Array, " e"], Float[Array, " e"]]:
    """The largest stable learning rates and their momenta; the same for all steps."""
    posed = pose(state, path)
    return _edge_of(lambda beta: max_learning_rate(posed.problem, beta, state.batch_size, posed.noise))


def _edge_of(largest: Callable[[float], float]) -> tuple[Float[Array, " e"], Float[Array, " e"]]:
    bend = np.arctanh(LARGEST_MOMENTUM)
    betas = np.tanh(np.linspace(-bend, bend, EDGE_POINTS))
    return np.array([largest(float(beta)) for beta in betas]), betas


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


@lru_cache(maxsize=32)
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
    posed = pose(state, path)
    given = None if state.problem == "power-law" else source(state.problem, path)
    if isinstance(given, LinearData) and state.label_noise == 0.0 and state.tau2 is None:
        return explain(given, posed.method, state.steps, "fitted").lines
    noise = None if given is None and state.tau2 is None else posed.noise
    return explain(posed.problem, posed.method, state.steps, noise).lines


@lru_cache(maxsize=32)
def own_noise(state: State, path: str | None = None) -> tuple[str, ...]:
    """Edge and loss by the noise measured on the data, beside those of the constants that the page is drawn with.

    The first call for data measures them: some seconds for a thousand samples.

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
    if not has_own_noise(state, path):
        return ()
    data: Any = source(state.problem, path)
    posed, size = pose(state, path), f"{data.n_samples:,} samples"
    if data.n_samples * float(data.rank) ** 2 > MEASURED:
        return (f"{DRAWN}; that of {size} of these is measured by `genfun max-lr` and `genfun predict`, not here.",)
    method, beta, batch = posed.method, state.momentum, state.batch_size
    drawn = max_learning_rate(posed.problem, beta, batch, posed.noise)
    edge = max_learning_rate(data, beta, batch)
    told = f"{DRAWN}: the largest stable learning rate is {drawn:.4g} by them, {edge:.4g} by the "
    told += "noise measured on the data"
    if method.learning_rate >= edge:
        beyond = ". BY THE MEASURED NOISE THIS SETTING DIVERGES" if method.learning_rate < drawn else ""
        return (f"{told}{beyond}.",)
    losses = loss_at(state, state.steps, path), float(predict(data, method, state.steps).loss)
    return (f"{told}; the loss at step {state.steps:,} is {losses[0]:.4g} and {losses[1]:.4g}.",)


def own_edge(state: State, path: str | None = None) -> tuple[Float[Array, " e"], Float[Array, " e"]] | None:
    """The largest stable learning rates by the noise measured on the data, and their momenta; None if none is measured.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    if not has_own_noise(state, path):
        return None
    data: Any = source(state.problem, path)
    if data.n_samples * float(data.rank) ** 2 > MEASURED:
        return None
    return _own_edge(state.problem, path, state.batch_size)


@lru_cache(maxsize=64)
def _own_edge(name: str, path: str | None, batch_size: int | None) -> tuple[Float[Array, " e"], Float[Array, " e"]]:
    data: Any = source(name, path)
    return _edge_of(lambda beta: max_learning_rate(data, beta, batch_size))


def has_own_noise(state: State, path: str | None = None) -> bool:
    """Whether constants stand on the page for the noise that data have themselves.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    if state.problem == "power-law" or state.batch_size is None or state.label_noise > 0.0 or state.tau2 is not None:
        return False
    return isinstance(source(state.problem, path), LinearData)


@lru_cache(maxsize=8)
def best(state: State, path: str | None = None) -> Advice:
    """The learning rate and momentum to use for the state's batch size and step, and the best ones.

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
    return advice(optimize(posed.problem, batch_size=state.batch_size, steps=state.steps, noise=posed.noise))
