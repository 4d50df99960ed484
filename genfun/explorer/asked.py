"""What is asked for by a button: the best setting, and runs beside the prediction."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bokeh.models import Button, Div

from genfun._display import percent
from genfun.answers.best.schedule_answer import BestSchedule
from genfun.experiments.simulation.simulate import simulate
from genfun.explorer import look, model
from genfun.explorer.beside import of_best
from genfun.explorer.further import schedule, shown_schedule
from genfun.explorer.look import paragraphs
from genfun.explorer.pictures import CurvePicture, MapPicture
from genfun.explorer.problems import data_of
from genfun.explorer.state import State
from genfun.explorer.worker import Newest

RUNS, LONGEST_RUN = 20, 10_000
"""Runs laid over the curve, and their steps at most."""
Told = Callable[[Exception], str]


class Asked:
    """The buttons, the line under them, and what they put into the pictures.

    Parameters
    ----------
    document : bokeh Document
    curve : CurvePicture
        Receives the runs.
    chart : MapPicture
        Receives a star.
    now : callable
        Returns the state of the page and the user's file.
    go : callable
        Takes fields of the state to go to.
    named : callable
        Takes an error and returns its words.
    """

    def __init__(
        self,
        document: Any,
        curve: CurvePicture,
        chart: MapPicture,
        now: Callable[[], tuple[State, str | None]],
        go: Callable[..., None],
        named: Told,
    ) -> None:
        self._document, self._curve, self._map = document, curve, chart
        self._now, self._go, self._named = now, go, named
        self._worker = Newest(document.add_next_tick_callback)
        self._best: tuple[Any, Any] = (None, None)
        self._shown: Any = None
        style: Any = {"margin": 0, "stylesheets": [look.SMALL], "sizing_mode": "stretch_width"}
        self.best: Any = Button(label="find best settings", name="best", button_type="primary", **style)
        self.simulate: Any = Button(label=f"simulate {RUNS} runs", name="simulate", button_type="success", **style)
        self.use: Any = Button(label="use these", name="use", disabled=True, **style)
        self.answer: Any = Div(text="", name="answer", disable_math=True, sizing_mode="stretch_width", margin=0)
        self.best.on_click(self.find)
        self.simulate.on_click(self.run)
        self.use.on_click(self.take)

    def close(self) -> None:
        """Stop for good."""
        self._worker.close()

    def follow(self) -> None:
        """Drop what is no longer of the page's state: runs of another setting, the best of another problem."""
        state, path = self._now()
        now = state.of_last_weights, path
        if self._shown != now:  # not where only the noise has been measured
            self._shown = now
            self._worker.cancel()
            self._curve.show_runs(None)
        if self._best[0] != of_best(state, path):
            self._best = (None, None)
        self._show_found()

    def take(self) -> None:
        """Go to the best setting."""
        _, found = self._best
        if isinstance(found, BestSchedule):
            self._go(**(shown_schedule(found)[1] or {}))
        elif found is not None:
            self._go(learning_rate=found.method.learning_rate, momentum=found.method.momentum)

    def find(self) -> None:
        """Look for the best setting."""
        state, path = self._now()
        self.answer.text = paragraphs(("looking for the best settings ...",))
        look_for = model.best if state.schedule == "constant" else schedule
        self._worker.ask(lambda _check: look_for(state, path), partial(self._found, of_best(state, path)))

    def _found(self, key: Any, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.answer.text = paragraphs((self._named(error),), look.WRONG)
            return
        if key == of_best(*self._now()):
            self._best = (key, found)
        self._show_found()

    def _show_found(self) -> None:
        """The best setting, while it is that of the page's problem, batch size and step."""
        _, found = self._best
        if isinstance(found, BestSchedule):
            line, fields = shown_schedule(found)
            self._map.show_best(None)
            self.use.disabled = fields is None
            self.answer.text = paragraphs((line,))
            return
        self._map.show_best(None if found is None else found.method)
        self.use.disabled = found is None
        if found is None:
            self.answer.text = ""
            return
        m, o = found.method, found.chosen
        line = f"best at step {o.steps:,}: learning rate {m.learning_rate:.4g}, momentum {m.momentum:.4g}"
        bound = ("It lies at a bound of the search.",) if o.at_bound else ()
        why = (f"{found.why[0].upper()}{found.why[1:]}.",) if found.why else ()
        self.answer.text = paragraphs((f"{line}, loss {o.loss:.4g}", *why, *bound))

    def run(self) -> None:
        """Run SGD on the data, and lay the losses over the curve."""
        state, path = self._now()
        steps = min(state.steps, LONGEST_RUN)
        self.answer.text = paragraphs(("starting the runs ...",))

        def work(check: Callable[[], None]) -> Any:
            data, method = data_of(state, path)
            told = [0.0]

            def progress(share: float, _stage: str) -> None:
                check()
                if time.monotonic() - told[0] > 0.2:
                    told[0] = time.monotonic()
                    self._document.add_next_tick_callback(partial(self._show_progress, state, share))

            runs = simulate(data, method, steps, RUNS, device="cpu", record="log", progress=progress)
            return runs, model.loss_at(state, steps, path)

        self._worker.ask(work, partial(self._show_runs, steps))

    def _show_progress(self, state: State, share: float) -> None:
        if state == self._now()[0]:
            self.answer.text = paragraphs((f"running: {percent(share)}",))

    def _show_runs(self, steps: int, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.answer.text = paragraphs((self._named(error),), look.WRONG)
            return
        runs, expected = found
        self._curve.show_runs(runs)
        few = ("A few of the runs carry the mean: more may lie far above it.",) if runs.carried_by_few[-1] else ()
        self.answer.text = paragraphs((
            f"{RUNS} runs, {steps:,} steps: mean loss {runs.mean[-1]:.4g} ± {runs.sem[-1]:.2g}, "
            f"median {runs.median[-1]:.4g}; predicted {expected:.4g}", *few,
        ))  # fmt: skip
