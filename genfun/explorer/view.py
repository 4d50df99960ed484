"""The page: controls on the left, pictures, words; every change of the state redraws what depends on it."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from bokeh.events import Tap
from bokeh.layouts import column, row
from bokeh.models import Button, CustomJS, Div, TextInput

from genfun.experiments.simulate import simulate
from genfun.explorer import model
from genfun.explorer.controls import Controls
from genfun.explorer.pictures import CurvePicture, MapPicture, PhasePicture
from genfun.explorer.problems import data_of, pose
from genfun.explorer.state import LIMITS, State, parse
from genfun.explorer.worker import Newest

RUNS, LONGEST_RUN = 20, 10_000
"""Runs laid over the curve, and their steps at most."""
PAUSE = 150
"""Milliseconds of rest before words are looked for."""
CANNOT = "the numbers of this view cannot be computed; move a control"


def _text(lines: tuple[str, ...], colour: str = "#222222") -> str:
    # The only place where text becomes HTML: whatever it is, it stays text.
    return "".join(f'<p style="margin:0 0 5px;color:{colour}">{html.escape(line)}</p>' for line in lines)


class View:
    """One open page.

    Parameters
    ----------
    document : bokeh Document
        Empty; receives the page.
    arguments : dict of str to str
        The query that it was opened with, from anyone.
    path : str or None
        The file given on the command line.
    observe : callable, optional
        Receives the seconds that every update took.
    """

    def __init__(
        self,
        document: Any,
        arguments: dict[str, str],
        path: str | None = None,
        observe: Callable[[float], None] | None = None,
    ) -> None:
        self.document, self.path, self._observe = document, path, observe
        start = State() if path is None else State(problem="file")
        self.state, messages = parse(arguments, start)
        self._trouble: tuple[str, ...] = ()
        self._default_tau2, self._due, self._placing = 1.0, False, False
        self._words, self._charts, self._runs = (Newest(document.add_next_tick_callback) for _ in range(3))
        self.curve, self.map, self.phases = CurvePicture(), MapPicture(), PhasePicture()
        self.controls = Controls(self.state, self._change, self._say, path is not None)
        style: dict[str, str | None] = {"font-size": "13px", "line-height": "1.35"}
        self.message: Any = Div(text="", width=860, disable_math=True, name="message", styles=style, min_height=18)
        self.words: Any = Div(text="", width=590, disable_math=True, name="words", styles=style)
        self.answer: Any = Div(text="", width=260, disable_math=True, name="answer", styles=style)
        self.links: Any = Div(text="", width=260, disable_math=True, name="links", styles=style)
        self.link: Any = TextInput(title="link to this view (also in the address bar)", width=260, name="link")
        self.best: Any = Button(label="best settings", width=125, name="best", button_type="primary")
        self.simulate: Any = Button(label=f"{RUNS} real runs", width=125, name="simulate", button_type="success")
        self._wire()
        document.title = "genfun explorer"
        left = column(
            self.controls.layout, row(self.best, self.simulate), self.answer, self.link, self.links, width=275
        )
        right = column(
            self.message,
            row(self.curve.figure, self.map.figure),
            row(self.phases.figure, self.words),
        )
        document.add_root(row(left, right))
        document.on_session_destroyed(self._close)
        self._say(*messages)
        self._update()

    def _wire(self) -> None:
        self.map.figure.on_event(Tap, lambda event: self._point(event.x, event.y))
        self.map.point.on_change("data", lambda _a, _o, new: self._dragged(new))
        self.best.on_click(self._find_best)
        self.simulate.on_click(self._run)
        code = "window.history.replaceState(null, '', link.value === '' ? '?' : link.value)"
        self.link.js_on_change("value", CustomJS(args={"link": self.link}, code=code))

    def _close(self, _context: Any) -> None:
        for worker in (self._words, self._charts, self._runs):
            worker.close()

    def _say(self, *messages: str) -> None:
        """Show messages about what was typed, below what is wrong with the view itself."""
        self.message.text = _text((*self._trouble, *messages), "#A33B00")

    # From the page to the state.

    def _change(self, name: str, value: Any) -> None:
        """A control was moved: many moves before the next turn of the loop are one update."""
        changes = {name: value} | ({"tau2": None, "label_noise": 0.0} if name == "problem" else {})
        self._say()
        self._become(replace(self.state, **changes))

    def _dragged(self, data: Any) -> None:
        if not self._placing and len(data["x"]) == 1 and len(data["y"]) == 1:
            self._point(data["x"][0], data["y"][0])

    def _point(self, x: Any, y: Any) -> None:
        if not (isinstance(x, (int, float)) and isinstance(y, (int, float))) or x != x or y != y:
            return
        (low, high), (least, most) = LIMITS["learning_rate"], LIMITS["momentum"]
        rate, momentum = float(f"{min(max(x, low), high):.4g}"), round(min(max(y, least), most), 4)
        self._say()
        self._become(replace(self.state, learning_rate=rate, momentum=momentum))

    def _become(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        if not self._due:
            self._due = True
            self.document.add_next_tick_callback(self._update)

    # From the state to the page.

    def _update(self) -> None:
        begin = time.perf_counter()
        self._due = False
        state = self.state
        self._runs.cancel()
        self.curve.show_runs(None)
        self.map.show_best(None)
        self.answer.text = ""
        try:
            posed = pose(state, self.path)
            self._default_tau2 = posed.default_tau2
            found, point = model.curve(state, self.path), model.point(state, self.path)
        except (ValueError, TypeError, OSError, ArithmeticError, MemoryError) as error:
            self._trouble = (str(error) if isinstance(error, ValueError) else CANNOT,)
            self._say()
            self._words.cancel()
            self._charts.cancel()
            self.words.text = self.links.text = ""
            self.curve.clear()
            self.controls.show(state, self._default_tau2)
            return
        if self._trouble:
            self._trouble = ()
            self._say()
        self.curve.show(found)
        self.phases.show(point)
        self._placing = True
        self.map.place(state.learning_rate, state.momentum)
        self._placing = False
        self.controls.show(state, posed.default_tau2)
        self._show_links(state)
        self._charts.ask(lambda _check: model.chart(state, self.path), partial(self._show_chart, state))
        self.words.styles = self.words.styles | {"opacity": "0.35"}  # they are of the setting before
        self._words.ask(partial(self._explain, state), self._show_words)
        if self._observe is not None:
            self._observe(time.perf_counter() - begin)

    def _show_links(self, state: State) -> None:
        query = state.query
        self.link.value = f"?{query}"
        # The query is made of numbers and names of the program's own; escaped all the same.
        ways = (("figure.png", "figure"), ("curve.csv", "CSV"), ("curve.py", "Python"))
        self.links.text = "take away: " + " &middot; ".join(
            f'<a href="{name}?{html.escape(query)}" download="{name}">{label}</a>' for name, label in ways
        )

    def _show_chart(self, state: State, chart: Any, error: Exception | None) -> None:
        if error is None:
            self.map.show(chart, state.steps)
        else:
            self._say(f"no map: {error}")

    def _explain(self, state: State, check: Callable[[], None]) -> tuple[str, ...]:
        # While a hand moves, newer questions come faster than this, and the words wait for the last.
        time.sleep(PAUSE / 1000.0)
        check()
        return model.words(state, self.path)

    def _show_words(self, lines: Any, error: Exception | None) -> None:
        self.words.styles = self.words.styles | {"opacity": "1"}
        self.words.text = _text(lines) if error is None else _text((str(error),), "#A33B00")

    def _find_best(self) -> None:
        state = self.state
        self.answer.text = _text(("looking for the best settings ...",))
        self._runs.ask(lambda _check: model.best(state, self.path), partial(self._show_best, state))

    def _show_best(self, state: State, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.answer.text = _text((str(error),), "#A33B00")
            return
        m = found.method
        self.map.show_best(m)
        line = f"best at step {state.steps:,}: learning rate {m.learning_rate:.4g}, momentum {m.momentum:.4g}"
        bound = ("It lies at a bound of the search.",) if found.at_bound else ()
        self.answer.text = _text((f"{line}, loss {found.loss:.4g}", *bound))

    def _run(self) -> None:
        state = self.state
        steps = min(state.steps, LONGEST_RUN)
        self.answer.text = _text(("starting the runs ...",))

        def work(check: Callable[[], None]) -> Any:
            data, method = data_of(state, self.path)
            told = [0.0]

            def progress(share: float, _stage: str) -> None:
                check()
                if time.monotonic() - told[0] > 0.2:
                    told[0] = time.monotonic()
                    self.document.add_next_tick_callback(partial(self._show_progress, state, share))

            return simulate(data, method, steps, RUNS, device="cpu", record="log", progress=progress)

        self._runs.ask(work, partial(self._show_runs, steps))

    def _show_progress(self, state: State, share: float) -> None:
        if state == self.state:
            self.answer.text = _text((f"running: {share:.0%}",))

    def _show_runs(self, steps: int, runs: Any, error: Exception | None) -> None:
        if error is not None:
            self.answer.text = _text((str(error),), "#A33B00")
            return
        self.curve.show_runs(runs)
        predicted = model.curve(self.state, self.path).prediction
        expected = predicted.loss[int(abs(predicted.steps - steps).argmin())]
        few = ("A few of the runs carry the mean: more may lie far above it.",) if runs.carried_by_few[-1] else ()
        self.answer.text = _text((
            f"{RUNS} runs, {steps:,} steps: mean {runs.mean[-1]:.4g} ± {runs.sem[-1]:.2g}, "
            f"median {runs.median[-1]:.4g}; predicted {expected:.4g}", *few,
        ))  # fmt: skip
