"""What is computed once the page rests, and drawn beside the rest: averaged weights, steps against batch size."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from genfun.explorer import look
from genfun.explorer.averages import averaged, averaged_words
from genfun.explorer.batch_picture import BatchPicture
from genfun.explorer.batches import against_batch, against_batch_words
from genfun.explorer.look import paragraphs
from genfun.explorer.pictures import CurvePicture, PhasePicture
from genfun.explorer.state import State
from genfun.explorer.worker import Newest

PAUSE = 0.25
"""Seconds without a change until it is computed."""


class Aside:
    """The curve of averaged weights and its words, and the third picture.

    Parameters
    ----------
    document : bokeh Document
    curve : CurvePicture
        Receives the averaged weights.
    phases : PhasePicture
        Shares its place with steps against batch size.
    told : callable
        Takes "average" or "batch", and words of it as HTML.
    named : callable
        Takes an error and returns its words.
    """

    def __init__(
        self,
        document: Any,
        curve: CurvePicture,
        phases: PhasePicture,
        told: Callable[[str, str], None],
        named: Callable[[Exception], str],
    ) -> None:
        self._curve, self._phases, self._told, self._named = curve, phases, told, named
        self.batch = BatchPicture()
        self._averages, self._batches = (Newest(document.add_next_tick_callback) for _ in range(2))

    def cancel(self) -> None:
        """Drop what was asked for so far."""
        self._averages.cancel()
        self._batches.cancel()

    def close(self) -> None:
        """Stop for good."""
        self._averages.close()
        self._batches.close()

    def clear(self) -> None:
        """Draw nothing, where there is nothing to draw."""
        self.cancel()
        self._curve.show_averaged(None)
        self.batch.clear()

    def follow(self, state: State, path: str | None) -> None:
        """Compute what a state asks for.

        Parameters
        ----------
        state : State
        path : str or None
            The user's file.
        """
        opened = state.below == "batch"
        self._phases.figure.visible, self.batch.figure.visible = not opened, opened
        self._curve.show_averaged(None)
        for what in ("batch", "average"):
            self._told(what, "")
        if state.average != "none":
            self._averages.ask(partial(_rested, averaged, state, path), partial(self._show_averaged, state, path))
        if opened:
            self.batch.wait()
            self._batches.ask(partial(_rested, against_batch, state, path), partial(self._show_batch, state))

    def _show_averaged(self, state: State, path: str | None, found: Any, error: Exception | None) -> None:
        if error is not None:
            self._told("average", paragraphs((self._named(error),), look.WRONG))
            return
        self._curve.show_averaged(found)
        self._told("average", paragraphs(averaged_words(found, state, path)))

    def _show_batch(self, state: State, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.batch.clear()
            self._told("batch", paragraphs((self._named(error),), look.WRONG))
        else:
            answer, steps = found
            self.batch.show(answer, steps, state)
            self._told("batch", paragraphs((against_batch_words(answer, steps, state),)))


def _rested(work: Callable[..., Any], state: State, path: str | None, check: Callable[[], None]) -> Any:
    time.sleep(PAUSE)
    check()
    return work(state, path)
