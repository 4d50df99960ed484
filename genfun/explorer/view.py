"""The page: controls on the left, pictures, words; every change of the state redraws what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any

from bokeh.events import Tap
from bokeh.models import Button, Div, TextInput

from genfun.explorer import look, model
from genfun.explorer.aside import Aside
from genfun.explorer.asked import Asked
from genfun.explorer.beside import RUNS as RUN_FILES
from genfun.explorer.beside import Pinned, own_runs, runs_words
from genfun.explorer.controls import Controls
from genfun.explorer.further import held_out_loss, held_out_words
from genfun.explorer.given import columns, split
from genfun.explorer.look import paragraphs
from genfun.explorer.pictures import CurvePicture, MapPicture, PhasePicture
from genfun.explorer.problems import first_state, fitting, is_known, measure, noisy_data, own_noise, pose
from genfun.explorer.scripts import wire
from genfun.explorer.state import LIMITS, State, link, parse, parse_pinned
from genfun.explorer.uploads import Upload, Uploads, name_of, too_large
from genfun.explorer.worker import Newest

UNABLE = ValueError, TypeError, OSError, ArithmeticError, MemoryError
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
        self._known = False
        self._default_tau2, self._due, self._placing = 1.0, False, False
        self._words, self._charts, self._files, self._measure, self._tests = (
            Newest(document.add_next_tick_callback) for _ in range(5)
        )
        self._lines: dict[str, str] = {"own": "", "test": "", "average": "", "batch": "", "explain": ""}
        pinned, wrong = parse_pinned(arguments)
        given = {name: word for name, word in arguments.items() if name != "pinned"}
        self.state, messages = parse(given, first_state(bool(given), path))
        if pinned is not None:
            try:
                pose(pinned, path)
            except UNABLE as error:
                pinned, wrong = None, (f"the pinned setting: {self._told(error)}",)
        messages += wrong
        self.curve, self.map, self.phases = CurvePicture(), MapPicture(), PhasePicture()
        now: Callable[[], tuple[State, str | None]] = lambda: (self.state, self.path)  # noqa: E731
        self.aside = Aside(document, self.curve, self.phases, self._tell, self._named)
        self.asked = Asked(document, self.curve, self.map, now, self._go, self._named)
        self.controls = Controls(self.state, self._change, self._say, self._take, self._take_runs)
        self._pinned = None if pinned is None else Pinned(pinned, path)
        self._own_runs: Any = None
        if path is not None:
            with suppress(*UNABLE):  # the page says what is wrong with the file
                self.controls.own(name_of(path), columns(path))
        one: dict[str, Any] = {"margin": 0, "stylesheets": [look.SMALL]}
        wide: dict[str, Any] = {"disable_math": True, "sizing_mode": "stretch_width", "margin": 0}
        self.message: Any = Div(text="", name="message", visible=False, styles=look.MESSAGE, **wide)
        self.words: Any = Div(text="", name="words", styles={"font-size": "13px", "margin-top": "6px"}, **wide)
        self.compared: Any = Div(text="", name="compared", styles={"font-size": "13px"}, **wide)
        self.links: Any = Div(text="", name="links", **wide)
        self.link: Any = TextInput(
            title="link", name="link", stylesheets=[look.LINK], sizing_mode="stretch_width", margin=0
        )
        self.copy: Any = Button(label="copy link", name="copy", width=84, height=27, **one)
        style: Any = one | {"sizing_mode": "stretch_width"}
        self.pin: Any = Button(label=look.PIN, name="pin", **style)
        self._wire()
        document.title = "genfun explorer"
        document.template = files("genfun.explorer").joinpath("page.html").read_text(encoding="utf-8")
        # Bokeh looks through all models of a document whenever one of them changes: they are filled before they are put
        # into it, and put there at once.
        self._update(messages)
        asked = self.asked
        left = (self.controls.layout, asked.best, asked.use, asked.simulate, self.pin, asked.answer, self.compared)
        below = (self.link, self.copy, self.links, self.message)
        with document.models.freeze():
            for root in (*left, *below, *self._figures(), self.words):
                document.add_root(root)
        document.on_session_destroyed(self._close)

    def _figures(self) -> tuple[Any, ...]:
        return self.curve.figure, self.map.figure, self.phases.figure, self.aside.batch.figure

    def _wire(self) -> None:
        self.map.figure.on_event(Tap, lambda event: self._point(event.x, event.y))
        self.map.point.on_change("data", lambda _a, _o, new: self._dragged(new))
        self.pin.on_click(self._pin)
        refusal = paragraphs((too_large("the file"),), look.WRONG)
        wire(self.document, self.controls, self.link, self.copy, self.message, refusal)

    def _close(self, _context: Any) -> None:
        for worker in (self._words, self._charts, self.asked, self._files, self._measure, self._tests, self.aside):
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
        changes = {name: value} | (look.OF_DATA if name == "problem" else {})
        state = replace(self.state, **changes)
        if name == "target" and state != self.state:
            # Other features have another edge, and reading them may take a while.
            self._files.ask(lambda _check: fitting(state, self.path), self._show_fitted)
        else:
            self._become(state)

    def _show_fitted(self, state: Any, error: Exception | None) -> None:
        if error is None:
            self._become(state)
        else:
            self._say(self._named(error))
            self.controls.show(self.state, self._default_tau2)

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
        state = replace(self.state, problem="file", **look.OF_DATA)
        work = lambda _check: (fitting(state, upload.path), columns(upload.path))  # noqa: E731
        self._files.ask(work, partial(self._show_file, upload))

    def _show_file(self, upload: Upload, found: Any, error: Exception | None) -> None:
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
        state, names = found
        self.controls.own(upload.name, names)
        fits = {name: getattr(state, name) for name in ("learning_rate", "batch_size")}
        # The rest is of now: controls may have been moved while the file was read.
        self.state = replace(self.state, problem="file", **look.OF_DATA, **fits)
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
            self._show_links(self.state)
        except UNABLE as error:
            self._say(self._told(error))

    def _dragged(self, data: Any) -> None:
        if not self._placing and len(data["x"]) == 1 and len(data["y"]) == 1:
            self._point(data["x"][0], data["y"][0])

    def _point(self, x: Any, y: Any) -> None:
        if not (isinstance(x, (int, float)) and isinstance(y, (int, float))) or x != x or y != y:
            return
        self._become(self._at(x, y))

    def _at(self, x: float, y: float) -> State:
        (low, high), (least, most) = LIMITS["learning_rate"], LIMITS["momentum"]
        rate, momentum = float(f"{min(max(x, low), high):.4g}"), round(min(max(y, least), most), 4)
        return replace(self.state, learning_rate=rate, momentum=momentum)

    def _go(self, **fields: Any) -> None:
        rate, momentum = fields.pop("learning_rate"), fields.pop("momentum", self.state.momentum)
        self._become(replace(self._at(rate, momentum), **fields))

    def _become(self, state: State) -> None:
        if state == self.state:
            self._say()
            return
        self.state = state
        self._soon()

    def _soon(self, messages: tuple[str, ...] | None = ()) -> None:
        # Before the curve, not after it: what waits for a rest must not begin beside it.
        self._words.cancel()
        self._charts.cancel()
        self._measure.cancel()
        self._tests.cancel()
        self.aside.cancel()
        if not self._due:
            self._due = True
            self.document.add_next_tick_callback(partial(self._update, messages))

    # From the state to the page.

    def _update(self, messages: tuple[str, ...] | None) -> None:
        """Draw the state; without messages, those that stand there stay."""
        begin = time.perf_counter()
        self._due = False
        state = self.state
        self.asked.follow()
        self._known = True
        try:
            self._known = is_known(state, self.path)
            posed = pose(state, self.path)
            self._default_tau2 = posed.default_tau2
            found, point = model.curve(state, self.path), model.point(state, self.path)
            self.controls.fit(4.0 / posed.problem.lambda_max, posed.problem.n_samples)
            self._show_beside(state)
        except UNABLE as error:
            self._trouble = (self._told(error),)
            self._say(*(messages or ()))
            self.words.text = self.links.text = self.compared.text = ""
            self.curve.clear()
            self.aside.clear()
            self.controls.show(state, self._default_tau2)
            return
        self._trouble = ()
        if messages is not None:
            self._say(*messages)
        self.curve.show(found)
        self.phases.show(point)
        self._placing = True
        self.map.place(state.learning_rate, state.momentum)
        self._placing = False
        self.controls.show(state, posed.default_tau2)
        self._show_links(state)
        self.aside.follow(state, self.path)
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

    def _show_links(self, state: State) -> None:
        query = state.query
        self.link.value = f"?{link(state, self._pinned and self._pinned.state)}"
        own = state.problem == "file"
        opened = f"&upload={self._upload.key}" if own and self._upload is not None else ""
        taken = look.download_links(query + opened) + paragraphs((look.NOT_IN_LINK,) * own, "#444444")
        self.links.text = f"{taken}<br>{look.scenario_links()}"

    def _chart(self, state: State, path: str | None, check: Callable[[], None]) -> model.Chart:
        time.sleep(BREATH)
        check()
        return model.chart(state, path, check)

    def _show_chart(self, state: State, chart: Any, error: Exception | None) -> None:
        if error is None:
            self.map.show(chart)
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
        self._lines["own"] = self._lines["test"] = ""
        if error is None and split(state, path) is not None:
            self._lines["test"] = paragraphs(("The test loss is being computed ...",), "#444444")
            self._tests.ask(lambda _check: held_out_loss(state, path), self._show_test)
        if error is None and noisy_data(state, path) is not None:
            self._measure_noise(state, path)
        self._join_words()

    def _join_words(self) -> None:
        self.words.text = "".join(self._lines.values())

    def _tell(self, what: str, told: str) -> None:
        self._lines[what] = told
        self._join_words()

    def _show_test(self, found: Any, error: Exception | None) -> None:
        told = paragraphs(held_out_words(found)) if error is None else paragraphs((self._named(error),), look.WRONG)
        self._lines["test"] = told
        self._join_words()

    def _measure_noise(self, state: State, path: str | None) -> None:
        """Measure the noise of data after all that is drawn: the first time for some data it takes seconds."""
        if own_noise(state, path) is None:
            self._lines["own"] = paragraphs((look.TOO_MANY,), "#444444")
        elif self._known:
            return
        elif is_known(state, path):  # since the pictures were drawn
            self._soon(None)
        else:
            self._lines["own"] = paragraphs((look.MEASURING,), "#444444")
            self._measure.ask(lambda _check: measure(state, path), self._show_measured)

    def _show_measured(self, _none: Any, error: Exception | None) -> None:
        if error is None:
            self._soon(None)
            return
        self._lines["own"] = paragraphs((self._named(error),), look.WRONG)
        self._join_words()
