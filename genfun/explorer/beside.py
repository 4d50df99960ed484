"""What is laid beside the setting: another one that was pinned, and the user's own runs; in words, without widgets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genfun._display import percent
from genfun.answers.words.numbers import loss as loss_words
from genfun.data.linear import LinearData
from genfun.explorer.further import gain_words, run_words
from genfun.explorer.given import source
from genfun.explorer.model import DrawnCurve, curve, prediction_at
from genfun.explorer.problems import is_known
from genfun.explorer.state import NAMES, State
from genfun.explorer.uploads import Upload
from genfun.own_runs.overlay import Overlay, read_runs

RUNS = ".csv", ".tsv"
"""Endings of files of runs."""
OF_SETTING = "learning_rate", "momentum", "batch_size", "steps", "schedule", "hold", "sampling"


@dataclass(frozen=True)
class Pinned:
    """A setting to compare with.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file then.
    """

    state: State
    path: str | None

    def curve(self, now: State) -> DrawnCurve:
        """Its loss curve, over the steps that the page shows.

        Parameters
        ----------
        now : State
            That of the page.
        """
        return curve(replace(self.state, steps=now.steps), self.path)

    def words(self, now: State, path: str | None) -> tuple[str, ...]:
        """Both settings, each with its loss at step T, and how they compare.

        Parameters
        ----------
        now : State
            That of the page.
        path : str or None
            The user's file now.

        Examples
        --------
        >>> law = State(problem="power-law", n_modes=20, steps=50)
        >>> for line in Pinned(law, None).words(replace(law, learning_rate=0.6), None):
        ...     print(line)
        Pinned: SGD with learning rate 0.3, momentum 0.5, batch size 10: loss 0.0431 at step 50.
        This one: SGD with learning rate 0.6, momentum 0.5, batch size 10: loss 0.0208, 2.07 times less.
        """
        before, after = self._loss(self.state, self.path, now.steps), self._loss(now, path, now.steps)
        told = gain_words(before[1] - after[1])
        of = "" if self.on_map_of(now) else f" on {_where(self.state)}"
        return (
            f"Pinned: {run_words(self.state, self.path)}{of}: loss {loss_words(*before)} at step {now.steps:,}.",
            f"This one: {run_words(now, path)}: loss {loss_words(*after)}, {told}.",
        )

    def on_map_of(self, now: State) -> bool:
        """Whether it belongs to the problem and noise that the page shows.

        Parameters
        ----------
        now : State
            That of the page.
        """
        same = {name: getattr(now, name) for name in OF_SETTING}
        return replace(self.state, **same).of_last_weights == now.of_last_weights

    def _loss(self, state: State, path: str | None, step: int) -> tuple[float, float]:
        found = prediction_at(state, step, path)
        return float(found.loss), float(found.log_loss)


def _where(state: State) -> str:
    law = f" with nu {state.nu:g}, zeta {state.zeta:g}" if state.problem == "power-law" else ""
    noise = f", label noise {state.label_noise:g}" if state.label_noise > 0.0 else ""
    tau2 = "" if state.tau2 is None else f", tau2 {state.tau2:g}"
    column = f", target {state.target}" if state.target else ""
    held = f", {percent(state.held_out)} of the rows held out" if state.held_out > 0.0 else ""
    return f"{NAMES[state.problem]}{law}{noise}{tau2}{column}{held}"


def of_best(state: State, path: str | None) -> Any:
    """What a best setting is the best for: the same where only learning rate and momentum differ, under one noise.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    """
    free = {"learning_rate": 1.0} | ({"momentum": 0.0} if state.schedule == "constant" else {"hold": 0.5})
    return replace(state.of_last_weights, **free), path, is_known(state, path)


def own_runs(upload: Upload) -> Overlay:
    """The runs in a file, under the name that the user gave it.

    Parameters
    ----------
    upload : Upload

    Raises
    ------
    ValueError
        With a message to show.
    """
    return replace(read_runs(Path(upload.path)), path=Path(upload.name))


def runs_words(runs: Overlay, state: State, path: str | None) -> tuple[str, ...]:
    """How the user's runs compare with the prediction.

    Parameters
    ----------
    runs : Overlay
    state : State
    path : str or None
        The user's file.
    """
    data: Any = None if state.problem == "power-law" else source(state, path)
    outputs = data.n_outputs if isinstance(data, LinearData) else 1
    return tuple(runs.words(lambda at: prediction_at(state, at, path).loss, outputs))
