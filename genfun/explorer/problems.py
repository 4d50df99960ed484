"""The problem, noise model and data that a state means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from genfun.answers.max_learning_rate import max_learning_rate
from genfun.case import NoiseChoice
from genfun.data import LinearData, translation_invariant
from genfun.explorer.given import OwnFile, source
from genfun.explorer.state import LIMITS, State
from genfun.methods.averaged import Averaged
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import LinearProblem, Problem
from genfun.schedules import Cosine, HoldThenLinear, ScheduledSGD

MEASURED = 2e9
"""N r^2 up to which the page measures the noise of data: some seconds."""
MOST_SCHEDULED = 10_000
"""Steps, and modes of a power law, up to which a schedule is followed; steps of epochs and of a tail average."""
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
        The setting; under a schedule, that of its largest rate; in epochs, that of fresh batches.
    run : SGD or ScheduledSGD
        What is trained with.
    noise : SpectrallyExpressible or "measured"
        The noise of the data, once it is measured; or constants, with the state's tau2.
    default_tau2 : float
        tau2 of the constants where the state leaves it open.
    asked : LinearProblem, PowerLaw or LinearData
        What answers are asked about: the data where their own noise is known, the problem elsewhere.
    """

    problem: Problem
    method: SGD
    run: SGD | ScheduledSGD
    noise: NoiseChoice
    default_tau2: float
    asked: Problem | LinearData


@lru_cache(maxsize=16)
def _power_law(nu: float, zeta: float, n_modes: int | None, noise_variance: float) -> PowerLaw:
    return PowerLaw(nu, zeta, n_modes=n_modes, noise_variance=noise_variance)


@lru_cache(maxsize=16)
def _spectrum(state: State, path: str | None, label_noise: float) -> tuple[LinearProblem, SpectrallyExpressible]:
    given = source(state, path)
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
    data = None if state.schedule != "constant" else noisy_data(state, path)
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
    data = source(state, path)
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


def of_data(state: State) -> State:
    """The part of a state that chooses its data; the rest as at first.

    Parameters
    ----------
    state : State
    """
    return State(problem=state.problem, target=state.target, held_out=state.held_out)


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
    _check_together(state)
    if state.problem == "power-law":
        problem: Problem = _power_law(state.nu, state.zeta, state.n_modes, state.label_noise)
        noise = SpectrallyExpressible()
    else:
        problem, noise = _spectrum(of_data(state), path, state.label_noise)
    default = noise.tau2
    if state.tau2 is not None:
        noise = replace(noise, tau2=state.tau2)
    most = problem.n_samples
    if most is not None and state.batch_size is not None and state.batch_size > most:
        raise ValueError(f"batch size must be at most {most}, the number of samples, got {state.batch_size}")
    if state.sampling == "epochs" and most is None:
        raise ValueError("epochs need data, which have a number of samples: choose other data, or set batches to fresh")
    method = SGD(state.learning_rate, state.momentum, state.batch_size, state.sampling == "replacement")
    data = own_noise(state, path)
    if data is not None and is_known(state, path):
        return Posed(problem, method, run_of(state, method), "measured", default, data)
    return Posed(problem, method, run_of(state, method), noise, default, problem)


def _check_together(state: State) -> None:
    """Refuse choices that no answer takes together."""
    scheduled = state.schedule != "constant"
    if state.target and state.problem != "file":
        raise ValueError("target chooses a column of your own table; choose a file, or leave target out")
    if scheduled and state.steps > MOST_SCHEDULED:
        raise ValueError(
            f"a schedule is followed step by step: set step T to at most {MOST_SCHEDULED:,}, or schedule to constant"
        )
    if scheduled and state.problem == "power-law" and (state.n_modes or 0) > MOST_SCHEDULED:
        raise ValueError(f"under a schedule the page takes at most {MOST_SCHEDULED:,} modes, or infinite")
    epochs, averaged = state.sampling == "epochs", state.average != "none"
    apart = {
        "epochs are derived for constant rates: set the schedule to constant, or batches to fresh": epochs
        and scheduled,
        "averages are derived for fresh batches: set average to none, or batches to fresh": epochs and averaged,
        "averages are derived for constant rates: set the schedule to constant, or average to none": averaged
        and scheduled,
    }
    long = state.steps > MOST_SCHEDULED
    step_by_step = f"followed step by step: set step T to at most {MOST_SCHEDULED:,}, or"
    apart |= {
        f"epochs are {step_by_step} batches to fresh": epochs and long,
        f"a tail average is {step_by_step} average to EMA": state.average == "tail" and long,
    }
    _refuse(apart, "")
    if state.held_out == 0.0:
        return
    wrong = {
        "a power law has no rows to hold out": state.problem == "power-law",
        "the test loss is derived for constant rates: set the schedule to constant": scheduled,
        "the test loss is derived for fresh batches: set batches to fresh": epochs,
        "the test loss is by the data's own noise: set noise tau2 to default": state.tau2 is not None,
        "held-out rows have the labels of the data: set label noise to 0": state.label_noise > 0.0,
    }
    _refuse(wrong, ", or the held-out share to 0")


def _refuse(reasons: dict[str, bool], remedy: str) -> None:
    for reason, holds in reasons.items():
        if holds:
            raise ValueError(f"{reason}{remedy}")


def run_of(state: State, method: SGD) -> SGD | ScheduledSGD:
    """A setting under the schedule of a state, over its T steps, or in epochs.

    Parameters
    ----------
    state : State
    method : SGD
        With the largest rate of the schedule, and fresh batches.
    """
    if state.schedule == "constant":
        return replace(method, sampling="epochs") if state.sampling == "epochs" else method
    if state.schedule == "hold":
        rate: Any = HoldThenLinear(method.learning_rate, state.hold, state.steps)
    else:
        rate = Cosine(method.learning_rate, state.steps)
    return ScheduledSGD(rate, method.momentum, method.batch_size, method.replacement)


def average_of(state: State, method: SGD) -> Averaged | None:
    """The average of a state's weights; None where there is none.

    Parameters
    ----------
    state : State
    method : SGD
        That trains the weights.

    Examples
    --------
    >>> average_of(State(average="tail", steps=200), SGD(0.1)).start
    100
    """
    if state.average == "none":
        return None
    if state.average == "ema":
        return Averaged(method, "ema", decay=state.decay)
    return Averaged(method, "tail", start=round(state.tail * state.steps))


def data_of(state: State, path: str | None = None) -> tuple[LinearData, SGD | ScheduledSGD]:
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
            return data, run_of(state, method)
        if method.batch_size > data.n_samples:
            raise ValueError(f"runs need a batch size of at most {data.n_samples} here; lower it")
        return data, run_of(state, replace(method, replacement=True))
    given = source(state, path)
    if not isinstance(given, LinearData):
        raise ValueError("runs need data, and this file holds a spectrum only")
    if state.label_noise > 0.0:
        raise ValueError("runs have the labels of the data; set the added label noise to 0")
    return given, run_of(state, method)


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
    posed = pose(replace(state, batch_size=size), path)
    rate = 0.5 * max_learning_rate(posed.asked, noise=posed.noise, method=posed.method) or 1.0 / problem.lambda_max
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
    target = path.choices.target if isinstance(path, OwnFile) else None
    start = State() if path is None else State(problem="file", target=target or "")
    if linked or path is None:
        return start
    try:
        return fitting(start, path)
    except ValueError:
        return start  # the page says what is wrong
