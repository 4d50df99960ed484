"""The loss of averaged weights beside that of the last ones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from genfun.answers.predict import Prediction, predict
from genfun.answers.words.numbers import loss as loss_words
from genfun.explorer.further import gain_words
from genfun.explorer.model import last_step, prediction_at, steps_of
from genfun.explorer.problems import average_of, is_known, pose
from genfun.explorer.state import State

NAME = "averaged weights"


def averaged(state: State, path: str | None = None) -> Prediction | None:
    """The loss of a state's averaged weights at the steps of the curve, and at step T; None where nothing is averaged.

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
    return _averaged(is_known(state, path), state, path)


@lru_cache(maxsize=16)
def _averaged(_known: bool, state: State, path: str | None) -> Prediction | None:
    posed = pose(state, path)
    method = average_of(state, posed.method)
    if method is None:
        return None
    steps = np.union1d(steps_of(last_step(posed, state)), [state.steps])
    return predict(posed.asked, method, steps, posed.noise)


def averaged_words(found: Prediction, state: State, path: str | None = None) -> tuple[str, ...]:
    """The loss of averaged weights in words.

    Parameters
    ----------
    found : Prediction
        From `averaged`.
    state : State
    path : str or None
        The user's file.

    Examples
    --------
    >>> state = State(problem="power-law", n_modes=20, steps=50, label_noise=0.5, average="tail")
    >>> print(averaged_words(averaged(state), state)[0])
    Weights averaged from step 26 on: loss 0.308 at step 50, 1.01 times less than that of the last weights. ...
    """
    at = int(np.searchsorted(found.steps, state.steps))
    log_loss = float(found.log_loss[at])
    told = gain_words(float(prediction_at(state, state.steps, path).log_loss) - log_loss)
    than = {"the same": "as that of the last weights", "not to be compared": "with that of the last weights"}
    average = average_of(state, pose(state, path).method)
    assert average is not None
    how = f"by an EMA of decay {average.decay:g}" if average.kind == "ema" else f"from step {average.start + 1:,} on"
    unsure = () if found.status in ("ok", "underflow") else (f"Averaged weights: {found.meaning}.",)
    return (
        f"Weights averaged {how}: loss {loss_words(float(found.loss[at]), log_loss)} at step {state.steps:,}, {told} "
        f"{than.get(told, 'than that of the last weights')}. Map, phase, best settings, runs and the lines below are "
        "of the last weights.",
        *unsure,
    )
