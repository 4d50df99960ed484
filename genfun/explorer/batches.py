"""Steps and samples to a loss against the batch size."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from genfun._display import percent
from genfun.answers.batch.critical_batch import CriticalBatch, critical_batch_size
from genfun.answers.predict import predict
from genfun.answers.steps_to_loss import steps_to_loss
from genfun.answers.words.numbers import count, figures
from genfun.explorer.model import start_of
from genfun.explorer.problems import is_known, measure, pose
from genfun.explorer.state import State


def against_batch(state: State, path: str | None = None) -> tuple[CriticalBatch, float]:
    """What the learning rate and momentum take at every batch size to the loss that they reach at step T.

    Of constant rates, fresh batches and the last weights, as the map.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Returns
    -------
    (CriticalBatch, float)
        And the steps of the state's own batch size.

    Raises
    ------
    ValueError
        With a message to show, where the loss at step T is not below that at the start.
    """
    asked = state.of_map
    noisy = replace(asked, batch_size=asked.batch_size or 1)
    if noisy != state.of_last_weights:
        measure(noisy, path)  # elsewhere the page does
    return _against_batch(is_known(noisy, path), asked, noisy, path)


@lru_cache(maxsize=16)
def _against_batch(_known: bool, asked: State, noisy: State, path: str | None) -> tuple[CriticalBatch, float]:
    posed = pose(noisy, path)
    method = replace(posed.method, batch_size=asked.batch_size)
    loss = float(predict(posed.asked, method, asked.steps, posed.noise).loss)
    if not 0.0 < loss < start_of(posed):
        raise ValueError(
            f"no steps against batch size: the loss at step {asked.steps:,} is not below that at the start; lower the "
            "learning rate"
        )
    found = critical_batch_size(posed.asked, method, loss=loss, noise=posed.noise)
    return found, steps_to_loss(posed.asked, method, loss, posed.noise)


def against_batch_words(found: CriticalBatch, steps: float, state: State) -> str:
    """The batch size of fewest samples, and what the state's own takes more.

    Parameters
    ----------
    found : CriticalBatch
    steps : float
        Both from `against_batch`.
    state : State

    Examples
    --------
    >>> law = State(problem="power-law", n_modes=20, steps=50)
    >>> against_batch_words(*against_batch(law), law)
    'Samples to loss 0.0431 are fewest, ..., at batch size ...; 10 takes ... % more.'
    """
    if found.batch_size is None:
        return f"Loss {figures(found.loss, 3)} is reached at no batch size."
    least = float(found.samples[list(found.batch_sizes).index(found.batch_size)])
    size = state.batch_size
    more = math.nan if size is None else steps * size / least - 1.0
    here = f"; {size:,} takes {percent(more)} more" if math.isfinite(more) and more > 0.005 else ""
    where = f"{count(least)}, at batch size {found.batch_size:,}"
    fresh = " In fresh batches" * (state.sampling == "epochs") + " At a constant rate" * (state.schedule != "constant")
    what = f"{fresh.strip()}, samples" if fresh else "Samples"
    return f"{what} to loss {figures(found.loss, 3)} are fewest, {where}{here}."
