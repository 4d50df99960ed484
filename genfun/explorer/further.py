"""What a schedule, epochs and held-out rows add to a view: words, the test loss, and the best schedule."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from genfun._display import percent
from genfun.answers.best.best_schedule import best_schedule
from genfun.answers.best.schedule_answer import HOLD, BestSchedule
from genfun.answers.held_out.prediction import HeldOut, predict_test
from genfun.answers.max_learning_rate import max_learning_rate
from genfun.answers.predict import predict
from genfun.answers.words.numbers import figures, ratio
from genfun.answers.words.numbers import loss as loss_words
from genfun.answers.words.settings import setting_words
from genfun.explorer.given import split
from genfun.explorer.problems import noisy_data, pose
from genfun.explorer.state import State
from genfun.schedules import HoldThenLinear

LEAST_STEPS = 2
SAME = math.log(1.005)
"""Losses whose logarithms differ by less are told as equal."""


def run_words(state: State, path: str | None = None) -> str:
    """The setting of a state, with its schedule.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    posed = pose(state, path)
    setting = setting_words(posed.method)
    if state.sampling == "epochs":
        size, most = state.batch_size, posed.problem.n_samples or 1
        return f"{setting}, in epochs of {most // (size or most):,} steps"
    if state.schedule == "constant":
        return setting
    falls = f"held for {percent(state.hold)} of" if state.schedule == "hold" else "by a cosine to 0 over"
    line = ", then in a line to 0" if state.schedule == "hold" else ""
    return f"{setting}; the rate {falls} {state.steps:,} steps{line}"


def gain_words(gain: float) -> str:
    """How a loss compares with another one.

    Parameters
    ----------
    gain : float
        Logarithm of the other one, less its own.

    Examples
    --------
    >>> gain_words(math.log(2.0)), gain_words(0.001), gain_words(math.nan)
    ('2 times less', 'the same', 'not to be compared')
    """
    if not math.isfinite(gain):
        return "not to be compared"
    return "the same" if abs(gain) < SAME else f"{ratio(abs(gain))} times {'less' if gain > 0.0 else 'more'}"


def epochs_words(state: State, path: str | None = None) -> tuple[str, ...]:
    """What epochs change, and which answers of the page are those of fresh batches; nothing where there are none.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    if state.sampling != "epochs":
        return ()
    posed = pose(state, path)
    found, fresh = (predict(posed.asked, m, state.steps, posed.noise) for m in (posed.run, posed.method))
    epochs, new = (loss_words(float(x.loss), float(x.log_loss)) for x in (found, fresh))
    return (
        f"{run_words(state, path)}: loss {epochs} at step {state.steps:,}; with fresh batches it is {new}.",
        *((f"Epochs uncertain: {found.meaning}.",) if found.status == "epochs uncertain" else ()),
        "The map, its edge and the phase, and the lines below, are those of fresh batches.",
    )


@lru_cache(maxsize=32)
def schedule_words(state: State, path: str | None = None) -> tuple[str, ...]:
    """A setting under a schedule, what it gains over its constant rate, and where its largest rate stands.

    Parameters
    ----------
    state : State
        With a schedule.
    path : str or None
        The user's file.

    Examples
    --------
    >>> law = State(problem="power-law", n_modes=20, steps=50, label_noise=0.1, schedule="hold")
    >>> print(schedule_words(law)[1])
    At step 50 the loss is 0.104; at a constant rate, the largest of these, it is 0.0966.
    """
    posed = pose(state, path)
    loss, constant = (predict(posed.asked, m, state.steps, posed.noise) for m in (posed.run, posed.method))
    edge = max_learning_rate(posed.asked, noise=posed.noise, method=posed.method)
    told = [loss_words(float(x.loss), float(x.log_loss)) for x in (loss, constant)]
    lines = [
        f"{run_words(state, path)}.",
        f"At step {state.steps:,} the loss is {told[0]}; at a constant rate, the largest of these, it is {told[1]}.",
        f"The largest stable constant rate is {figures(edge, 4)}; the schedule's largest is "
        f"{percent(posed.method.learning_rate / edge)} of it."
        if edge > 0.0
        else "No constant rate is stable.",
        "The map is of constant rates.",
    ]
    if noisy_data(state, path) is not None:
        lines.append(
            "Under a schedule the page takes constants fitted to the data's batch noise; `genfun predict` follows the "
            "data's own, in minutes."
        )
    return tuple(lines)


@lru_cache(maxsize=8)
def schedule(state: State, path: str | None = None) -> BestSchedule:
    """The best simple schedule for a state's batch size, momentum and steps.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If nothing is stable, or there is one step only.
    """
    if state.steps < LEAST_STEPS:
        raise ValueError(f"a schedule needs steps to go through; set step T to {LEAST_STEPS} or more")
    posed = pose(state, path)
    return best_schedule(posed.asked, state.batch_size, state.steps, state.momentum, posed.noise)


def shown_schedule(found: BestSchedule) -> tuple[str, dict[str, float | str] | None]:
    """The best schedule in words, and the fields of a state that shows it; None where the page has no such shape.

    Parameters
    ----------
    found : BestSchedule
    """
    constant = found.gaps.get("constant")
    gain = (
        f"; the best constant rate ends {constant / (found.loss / found.free_loss):.3g} times higher"
        if constant
        else ""
    )
    line = f"best at step {found.steps:,}: {found.shape}, largest rate {found.peak:.4g}, loss {found.loss:.4g}{gain}"
    rate = found.method.learning_rate
    if isinstance(rate, HoldThenLinear) and found.family == HOLD:
        return line, {"learning_rate": rate.initial, "hold": round(rate.hold, 4), "schedule": "hold"}
    if found.family == "cosine":
        return line, {"learning_rate": found.peak, "schedule": "cosine"}
    return line, None


@lru_cache(maxsize=8)
def held_out_loss(state: State, path: str | None = None) -> HeldOut | None:
    """The loss on the rows that are held out, over the steps of the page; None where none are.

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
    held = split(state, path)
    if held is None:
        return None
    method = pose(state, path).method
    steps = np.unique([state.steps, 10 * state.steps])
    return predict_test(held.data, method, steps, held.X_test, held.y_test, held.X_train)


def held_out_words(found: HeldOut) -> tuple[str, ...]:
    """The test loss in words.

    Parameters
    ----------
    found : HeldOut
        From `held_out_loss`.
    """
    if found.status == "diverges":
        return (f"Test loss on {found.n_test:,} held-out rows: the mean loss grows without bound.",)
    low, high = found.best_range
    where = "the last step looked at" if found.at_end else f"steps {low:,} to {high:,} are within 1 %"
    return (
        f"Test loss on {found.n_test:,} held-out rows: {found.loss[0]:.4g} at step {found.steps[0]:,} (train "
        f"{found.train_loss[0]:.4g}); least {found.best_loss:.4g} at step {found.best_step:,} ({where}). Ridge "
        f"regression has {found.ridge_loss:.4g}.",
    )
