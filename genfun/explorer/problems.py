"""The problem, noise model and data that a state means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from genfun.answers.max_learning_rate import max_learning_rate
from genfun.case import NoiseChoice
from genfun.data import LinearData, load, mnist, translation_invariant
from genfun.explorer.state import LIMITS, State
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import LinearProblem, Problem

MEASURED = 2e9
"""N r^2 up to which the page measures the noise of data: some seconds."""
LARGEST_SYNTHETIC = 1023
"""Modes of a power law, one more with label noise, up to which data with its spectrum are made for runs."""


@dataclass(frozen=True, eq=False)
class Posed:
    """A problem with a method and a noise model, ready for questions.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        With the added label noise.
    method : SGD
        The setting.
    noise : SpectrallyExpressible or "measured"
        The noise of the data, once it is measured; or constants, with the state's tau2.
    default_tau2 : float
        tau2 of the constants where the state leaves it open.
    asked : LinearProblem, PowerLaw or LinearData
        What answers are asked about: the data where their own noise is known, the problem elsewhere.
    """

    problem: Problem
    method: SGD
    noise: NoiseChoice
    default_tau2: float
    asked: Problem | LinearData


@lru_cache(maxsize=4)
def source(name: str, path: str | None) -> LinearData | LinearProblem:
    """Data, or the spectrum in a file.

    Parameters
    ----------
    name : str
        "mnist-ntk", "mnist-pixels" or "file".
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    if name == "mnist-ntk":
        return mnist(1000, model="ntk")
    if name == "mnist-pixels":
        return mnist(1000, model="pixels")
    if path is None:
        raise ValueError("no file was given: choose yours under 'own file', or start with `genfun explore FILE`")
    return load(path)


@lru_cache(maxsize=16)
def _power_law(nu: float, zeta: float, n_modes: int | None, noise_variance: float) -> PowerLaw:
    return PowerLaw(nu, zeta, n_modes=n_modes, noise_variance=noise_variance)


@lru_cache(maxsize=16)
def _spectrum(name: str, path: str | None, label_noise: float) -> tuple[LinearProblem, SpectrallyExpressible]:
    given = source(name, path)
    problem, noise = (given.problem, given.noise) if isinstance(given, LinearData) else (given, SpectrallyExpressible())
    if label_noise > 0.0:
        variance = problem.noise_variance + label_noise
        problem = LinearProblem(problem.eigenvalues, problem.signal, problem.n_samples, variance)
    return problem, noise


def own_noise(state: State, path: str | None = None) -> LinearData | None:
    """The data whose own noise a state means; None where the state, or their size, asks for constants.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    data = noisy_data(state, path)
    return None if data is None or data.n_samples * float(data.rank) ** 2 > MEASURED else data


def noisy_data(state: State, path: str | None = None) -> LinearData | None:
    """The data of a state that leaves their batch noise as it is.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    if state.problem == "power-law" or state.batch_size is None or state.label_noise > 0.0 or state.tau2 is not None:
        return None
    data = source(state.problem, path)
    return data if isinstance(data, LinearData) else None


def is_known(state: State, path: str | None = None) -> bool:
    """Whether a state is shown by the noise that it means; False until that of its data is measured.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    try:
        data = own_noise(state, path)
    except (ValueError, OSError):
        return True  # there are no data to wait for; `pose` says what is wrong
    return data is None or "measured_noise" in vars(data)


def measure(state: State, path: str | None = None) -> None:
    """Measure the noise of a state's data, which takes some seconds the first time.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        With a message to show, where the choices do not go together.
    """
    pose(state, path)
    data = own_noise(state, path)
    if data is not None:
        _ = data.measured_noise


def pose(state: State, path: str | None = None) -> Posed:
    """Problem, setting and noise model of a state.

    The noise is that measured on the data once `measure` has been called, and constants fitted to it until then.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        With a message to show, where the choices do not go together.
    """
    if state.problem == "power-law":
        problem: Problem = _power_law(state.nu, state.zeta, state.n_modes, state.label_noise)
        noise = SpectrallyExpressible()
    else:
        problem, noise = _spectrum(state.problem, path, state.label_noise)
    default = noise.tau2
    if state.tau2 is not None:
        noise = replace(noise, tau2=state.tau2)
    most = problem.n_samples
    if most is not None and state.batch_size is not None and state.batch_size > most:
        raise ValueError(f"batch size must be at most {most}, the number of samples, got {state.batch_size}")
    method = SGD(state.learning_rate, state.momentum, state.batch_size)
    data = own_noise(state, path)
    if data is not None and is_known(state, path):
        return Posed(problem, method, "measured", default, data)
    return Posed(problem, method, noise, default, problem)


def data_of(state: State, path: str | None = None) -> tuple[LinearData, SGD]:
    """Data to run SGD on, and the setting for it.

    A power law has no data of its own: translation-invariant data with its spectrum are made, whose batches are drawn
    with replacement, as from a stream.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        With a message to show, where there are no data.
    """
    method = pose(state, path).method
    if state.problem == "power-law":
        modes = state.n_modes
        if modes is None or modes > LARGEST_SYNTHETIC:
            raise ValueError(f"runs need data; set the number of modes to {LARGEST_SYNTHETIC} or less")
        law: Any = _power_law(state.nu, state.zeta, modes, state.label_noise)
        data = translation_invariant(law.eigenvalues, law.signal, noise_variance=state.label_noise)
        if method.batch_size is None:
            return data, method
        if method.batch_size > data.n_samples:
            raise ValueError(f"runs need a batch size of at most {data.n_samples} here; lower it")
        return data, replace(method, replacement=True)
    given = source(state.problem, path)
    if not isinstance(given, LinearData):
        raise ValueError("runs need data, and this file holds a spectrum only")
    if state.label_noise > 0.0:
        raise ValueError("runs have the labels of the data; set the added label noise to 0")
    return given, method


def fitting(state: State, path: str | None = None) -> State:
    """A state that the data can take: its batch no larger than they are, its learning rate half of the largest stable.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    problem = pose(replace(state, batch_size=None), path).problem
    size, most = state.batch_size, problem.n_samples
    if size is not None and most is not None:
        size = min(size, most)
    noise = pose(replace(state, batch_size=size), path).noise
    rate = 0.5 * max_learning_rate(problem, state.momentum, size, noise) or 1.0 / problem.lambda_max
    low, high = LIMITS["learning_rate"]
    return replace(state, batch_size=size, learning_rate=min(max(float(f"{rate:.3g}"), low), high))


def first_state(linked: bool, path: str | None) -> State:
    """The state of a link without fields: the defaults, or what fits the user's file.

    Parameters
    ----------
    linked : bool
        Whether a link says anything.
    path : str or None
        The file given on the command line.
    """
    start = State() if path is None else State(problem="file")
    if linked or path is None:
        return start
    try:
        return fitting(start, path)
    except ValueError:
        return start  # the page says what is wrong
