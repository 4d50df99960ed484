"""The page: controls on the left, pictures, words; every change of the state redraws what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any

from bokeh.events import Tap
from bokeh.models import Button, Div, TextInput

from genfun._display import percent
from genfun.experiments.simulation.simulate import simulate
from genfun.explorer import look, model
from genfun.explorer.beside import RUNS as RUN_FILES
from genfun.explorer.beside import Pinned, of_best, of_edge, own_runs, runs_words
from genfun.explorer.controls import Controls
from genfun.explorer.look import paragraphs
from genfun.explorer.pictures import CurvePicture, MapPicture, PhasePicture
from genfun.explorer.problems import data_of, first_state, fitting, pose
from genfun.explorer.scripts import wire
from genfun.explorer.state import LIMITS, State, parse
from genfun.explorer.uploads import Upload, Uploads, name_of, too_large
from genfun.explorer.worker import Newest

UNABLE = ValueError, TypeError, OSError, ArithmeticError, MemoryError
RUNS, LONGEST_RUN = 20, 10_000
"""Runs laid over the curve, and their steps at most."""
PAUSE, BREATH = 0.2, 0.1
"""Seconds without a change until the words, and the map, are computed; while a control moves, only the curve is."""


class View:
    """One open page.

    Parameters
    ----------
    document : bokeh Document
        Empty; receives the page.
    arguments : dict of str to str
        The query that it was opened with, from anyone.
    uploads : Uploads
        Where a file goes that is chosen in the page.
    path : str or None
        The file given on the command line.
    observe : callable, optional
        Receives the seconds that every update took.
    """

    def __init__(
        self,
        document: Any,
        arguments: dict[str, str],
        uploads: Uploads,
        path: str | None = None,
        observe: Callable[[float], None] | None = None,
    ) -> None:
        self.document, self.path, self._observe = document, path, observe
        self._uploads, self._upload, self._taken = uploads, None, []
        self._trouble: tuple[str, ...] = ()
        self._default_tau2, self._due, self._placing = 1.0, False, False
        self._words, self._charts, self._runs, self._files, self._measure = (
            Newest(document.add_next_tick_callback) for _ in range(5)
        )
        self._measured: Any = None
        self._lines: dict[str, str] = {"own": "", "explain": ""}
        self.state, messages = parse(arguments, first_state(bool(arguments), path))
        self.curve, self.map, self.phases = CurvePicture(), MapPicture(), PhasePicture()
        self.controls = Controls(self.state, self._change, self._say, self._take, self._take_runs)
        self._best: tuple[Any, Any] = (None, None)
        self._pinned: Pinned | None = None
        self._own_runs: Any = None
        if path is not None:
            self.controls.own(name_of(path))
        one: dict[str, Any] = {"margin": 0, "stylesheets": [look.SMALL]}
        wide: dict[str, Any] = {"disable_math": True, "sizing_mode": "stretch_width", "margin": 0}
        self.message: Any = Div(text="", name="message", visible=False, styles=look.MESSAGE, **wide)
        self.words: Any = Div(text="", name="words", styles={"font-size": "13px", "margin-top": "6px"}, **wide)
        self.answer: Any = Div(text="", name="answer", **wide)
        self.compared: Any = Div(text="", name="compared", styles={"font-size": "13px"}, **wide)
        self.links: Any = Div(text="", name="links", **wide)
        self.link: Any = TextInput(
            title="link", name="link", stylesheets=[look.LINK], sizing_mode="stretch_width", margin=0
        )
        self.copy: Any = Button(label="copy link", name="copy", width=84, height=27, **one)
        style: Any = one | {"sizing_mode": "stretch_width"}
        self.best: Any = Button(label="find best settings", name="best", button_type="primary", **style)
        self.simulate: Any = Button(label=f"simulate {RUNS} runs", name="simulate", button_type="success", **style)
        self.use: Any = Button(label="use these", name="use", disabled=True, **style)
        self.pin: Any = Button(label=look.PIN, name="pin", **style)
        self._wire()
        document.title = "genfun explorer"
        document.template = files("genfun.explorer").joinpath("page.html").read_text(encoding="utf-8")
        for root in (self.message, self.controls.layout, self.best, self.use, self.simulate, self.pin, self.answer,
                     self.compared, self.link, self.copy,
                     self.links, self.curve.figure, self.map.figure, self.phases.figure, self.words):  # fmt: skip
            document.add_root(root)
        document.on_session_destroyed(self._close)
        self._update(messages)

    def _wire(self) -> None:
        self.map.figure.on_event(Tap, lambda event: self._point(event.x, event.y))
        self.map.point.on_change("data", lambda _a, _o, new: self._dragged(new))
        self.best.on_click(self._find_best)
        self.simulate.on_click(self._run)
        self.use.on_click(self._use)
        self.pin.on_click(self._pin)
        refusal = paragraphs((too_large("the file"),), look.WRONG)
        wire(self.document, self.controls, self.link, self.copy, self.message, refusal)

    def _close(self, _context: Any) -> None:
        for worker in (self._words, self._charts, self._runs, self._files, self._measure):
            worker.close()
        for upload in self._taken:
            self._uploads.drop(upload)

    def _say(self, *messages: str) -> None:
        """Show messages about what was typed, below what is wrong with the view itself."""
        lines = (*self._trouble, *messages)
        self.message.text = paragraphs(lines, look.WRONG)
        self.message.visible = bool(lines)

    def _named(self, error: Exception) -> str:
        """What an error says, with the user's name of the file in place of ours."""
        return str(error) if self._upload is None else str(error).replace(self._upload.path, self._upload.name)

    def _told(self, error: Exception) -> str:
        return self._named(error) if isinstance(error, ValueError) else look.CANNOT

    # From the page to the state.

    def _change(self, name: str, value: Any) -> None:
        """A control was moved: moves within one turn of the event loop are handled as one update."""
        changes = {name: value} | ({"tau2": None, "label_noise": 0.0} if name == "problem" else {})
        self._become(replace(self.state, **changes))

    def _take(self, told: str, content: str) -> None:
        """A file was chosen: it is read in a thread, because large ones take a while."""
        self.controls.file.clear()
        try:
            upload = self._uploads.keep(told, content)
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        self._taken.append(upload)
        self._say(f"reading {upload.name} ...")
        state = replace(self.state, problem="file", tau2=None, label_noise=0.0)
        self._files.ask(lambda _check: fitting(state, upload.path), partial(self._show_file, upload))

    def _show_file(self, upload: Upload, state: Any, error: Exception | None) -> None:
        if error is not None:
            self._uploads.drop(upload)
            words = str(error).replace(upload.path, upload.name) if isinstance(error, ValueError) else look.UNREADABLE
            self._say(words)
            return
        for old in self._taken:
            if old is not upload:
                self._uploads.drop(old)
        self._taken, self._upload, self.path = [upload], upload, upload.path
        if self._pinned is not None and self._pinned.state.problem == "file":
            self._pinned = None  # its file is gone
        self.controls.own(upload.name)
        fits = {name: getattr(state, name) for name in ("learning_rate", "batch_size")}
        # The rest is of now: controls may have been moved while the file was read.
        self.state = replace(self.state, problem="file", tau2=None, label_noise=0.0, **fits)
        self._soon()

    def _take_runs(self, told: str, content: str) -> None:
        """A file of runs was chosen."""
        self.controls.runs.clear()
        try:
            upload = self._uploads.keep(told, content, RUN_FILES)
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        self._files.ask(lambda _check: own_runs(upload), partial(self._show_own_runs, upload))

    def _show_own_runs(self, upload: Upload, runs: Any, error: Exception | None) -> None:
        self._uploads.drop(upload)
        if error is not None:
            told = isinstance(error, (ValueError, ImportError))
            self._say(str(error).replace(upload.path, upload.name) if told else look.UNREADABLE)
            return
        self._own_runs = runs
        self.curve.show_own(runs)
        self._lay_beside()

    def _pin(self) -> None:
        self._pinned = Pinned(self.state, self.path) if self._pinned is None else None
        self._lay_beside()

    def _lay_beside(self) -> None:
        """Draw what lies beside the setting, which itself has not changed: runs and searches go on."""
        try:
            self.curve.show(model.curve(self.state, self.path))
            self._show_beside(self.state)
        except UNABLE as error:
            self._say(self._told(error))

    def _use(self) -> None:
        _, found = self._best
        if found is not None:
            self._point(found.method.learning_rate, found.method.momentum)

    def _dragged(self, data: Any) -> None:
        if not self._placing and len(data["x"]) == 1 and len(data["y"]) == 1:
            self._point(data["x"][0], data["y"][0])

    def _point(self, x: Any, y: Any) -> None:
        if not (isinstance(x, (int, float)) and isinstance(y, (int, float))) or x != x or y != y:
            return
        (low, high), (least, most) = LIMITS["learning_rate"], LIMITS["momentum"]
        rate, momentum = float(f"{min(max(x, low), high):.4g}"), round(min(max(y, least), most), 4)
        self._become(replace(self.state, learning_rate=rate, momentum=momentum))

    def _become(self, state: State) -> None:
        if state == self.state:
            self._say()
            return
        self.state = state
        self._soon()

    def _soon(self) -> None:
        # Before the curve, not after it: what waits for a rest must not begin beside it.
        self._words.cancel()
        self._charts.cancel()
        self._measure.cancel()
        if not self._due:
            self._due = True
            self.document.add_next_tick_callback(self._update)

    # From the state to the page.

    def _update(self, messages: tuple[str, ...] = ()) -> None:
        begin = time.perf_counter()
        self._due = False
        state = self.state
        self._runs.cancel()
        self.curve.show_runs(None)
        if self._best[0] != of_best(state, self.path):
            self._best = (None, None)
        self._show_found()
        try:
            posed = pose(state, self.path)
            self._default_tau2 = posed.default_tau2
            found, point = model.curve(state, self.path), model.point(state, self.path)
            self.controls.fit(4.0 / posed.problem.lambda_max, posed.problem.n_samples)
            self._show_beside(state)
        except UNABLE as error:
            self._trouble = (self._told(error),)
            self._say(*messages)
            self.words.text = self.links.text = self.compared.text = ""
            self.curve.clear()
            self.controls.show(state, self._default_tau2)
            return
        self._trouble = ()
        self._say(*messages)
        self.curve.show(found)
        self.phases.show(point)
        self._placing = True
        self.map.place(state.learning_rate, state.momentum)
        self._placing = False
        self.controls.show(state, posed.default_tau2)
        self._show_links(state)
        self._charts.ask(partial(self._chart, state, self.path), partial(self._show_chart, state))
        self.words.styles = self.words.styles | {"opacity": "0.35"}  # they are of the setting before
        self._words.ask(partial(self._explain, state, self.path), self._show_words)
        if self._observe is not None:
            self._observe(time.perf_counter() - begin)

    def _show_beside(self, state: State) -> None:
        """The pinned setting, the user's runs, and the measured edge of another problem or batch size."""
        pinned, own, lines = self._pinned, self._own_runs, ()
        self.pin.label = look.PIN if pinned is None else look.UNPIN
        self.curve.show_pinned(None if pinned is None else pinned.curve(state))
        here = pinned.state if pinned is not None and pinned.on_map_of(state) else None
        self.map.show_pinned(here and here.learning_rate, here.momentum if here else 0.0)
        if pinned is not None and pinned.state != state:
            lines = pinned.words(state, self.path)
        if own is not None:
            lines += runs_words(own, state, self.path)
        self.compared.text = paragraphs(lines)
        self.map.show_own_edge(
            model.own_edge(state, self.path) if self._measured == of_edge(state, self.path) else None
        )

    def _show_links(self, state: State) -> None:
        query = state.query
        self.link.value = f"?{query}"
        own = state.problem == "file"
        opened = f"&upload={self._upload.key}" if own and self._upload is not None else ""
        self.links.text = look.download_links(query + opened) + paragraphs((look.NOT_IN_LINK,) * own, "#444444")

    def _chart(self, state: State, path: str | None, check: Callable[[], None]) -> model.Chart:
        time.sleep(BREATH)
        check()
        return model.chart(state, path, check)

    def _show_chart(self, state: State, chart: Any, error: Exception | None) -> None:
        if error is None:
            self.map.show(chart, state.steps)
        else:
            self._say(f"no map: {self._named(error)}")

    def _explain(self, state: State, path: str | None, check: Callable[[], None]) -> tuple[str, ...]:
        time.sleep(PAUSE)
        check()
        return model.words(state, path)

    def _show_words(self, lines: Any, error: Exception | None) -> None:
        self.words.styles = self.words.styles | {"opacity": "1"}
        self._lines["explain"] = paragraphs(lines) if error is None else paragraphs((self._named(error),), look.WRONG)
        state, path = self.state, self.path
        self._lines["own"] = ""
        if error is None and model.has_own_noise(state, path):
            # After all that is drawn: the first time for some data it takes seconds.
            self._lines["own"] = paragraphs((f"{model.DRAWN}; the data's own is being measured ...",), "#444444")
            self._measure.ask(
                lambda _check: (model.own_noise(state, path), model.own_edge(state, path)),
                partial(self._show_own, of_edge(state, path)),
            )
        self.words.text = self._lines["own"] + self._lines["explain"]

    def _show_own(self, key: Any, found: Any, error: Exception | None) -> None:
        if error is None:
            self._lines["own"] = paragraphs(found[0], "#444444")
            self._measured = key
            self.map.show_own_edge(found[1])
        else:
            self._lines["own"] = paragraphs((self._named(error),), look.WRONG)
        self.words.text = self._lines["own"] + self._lines["explain"]

    def _find_best(self) -> None:
        state, path = self.state, self.path
        self.answer.text = paragraphs(("looking for the best settings ...",))
        self._runs.ask(lambda _check: model.best(state, path), partial(self._show_best, state))

    def _show_best(self, state: State, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.answer.text = paragraphs((self._named(error),), look.WRONG)
            return
        self._best = (of_best(state, self.path), found)
        self._show_found()

    def _show_found(self) -> None:
        """The best setting, while it is that of the page's problem, batch size and step."""
        _, found = self._best
        self.map.show_best(None if found is None else found.method)
        self.use.disabled = found is None
        if found is None:
            self.answer.text = ""
            return
        m, o = found.method, found.chosen
        line = f"best at step {o.steps:,}: learning rate {m.learning_rate:.4g}, momentum {m.momentum:.4g}"
        bound = ("It lies at a bound of the search.",) if o.at_bound else ()
        why = (f"{found.why[0].upper()}{found.why[1:]}.",) if found.why else ()
        self.answer.text = paragraphs((f"{line}, loss {o.loss:.4g}", *why, *bound))

    def _run(self) -> None:
        state, path = self.state, self.path
        steps = min(state.steps, LONGEST_RUN)
        self.answer.text = paragraphs(("starting the runs ...",))

        def work(check: Callable[[], None]) -> Any:
            data, method = data_of(state, path)
            told = [0.0]

            def progress(share: float, _stage: str) -> None:
                check()
                if time.monotonic() - told[0] > 0.2:
                    told[0] = time.monotonic()
                    self.document.add_next_tick_callback(partial(self._show_progress, state, share))

            runs = simulate(data, method, steps, RUNS, device="cpu", record="log", progress=progress)
            return runs, model.loss_at(state, steps, path)

        self._runs.ask(work, partial(self._show_runs, steps))

    def _show_progress(self, state: State, share: float) -> None:
        if state == self.state:
            self.answer.text = paragraphs((f"running: {percent(share)}",))

    def _show_runs(self, steps: int, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.answer.text = paragraphs((self._named(error),), look.WRONG)
            return
        runs, expected = found
        self.curve.show_runs(runs)
        few = ("A few of the runs carry the mean: more may lie far above it.",) if runs.carried_by_few[-1] else ()
        self.answer.text = paragraphs((
            f"{RUNS} runs, {steps:,} steps: mean loss {runs.mean[-1]:.4g} ± {runs.sem[-1]:.2g}, "
            f"median {runs.median[-1]:.4g}; predicted {expected:.4g}", *few,
        ))  # fmt: skip
