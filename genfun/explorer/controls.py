"""The controls: the user's file, a text box for every number, and a slider beside it where sliding helps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bokeh.core.property.descriptors import UnsetValueError
from bokeh.layouts import column, row
from bokeh.models import FileInput, Select, Slider, TextInput

from genfun._display import percent
from genfun.explorer.model import DECADES
from genfun.explorer.state import AVERAGES, BELOW, LIMITS, NAMES, SAMPLINGS, SCHEDULES, State, read, text

# Field: title, first and last position of the slider, its step, and whether it slides in log10.
SLIDERS: dict[str, tuple[str, float, float, float, bool]] = {
    "nu": ("capacity nu", 0.6, 4.0, 0.02, False),
    "zeta": ("source zeta", 0.05, 3.0, 0.05, False),
    "n_modes": ("modes", 0.0, 5.0, 0.05, True),
    "learning_rate": ("learning rate", -4.0, 1.0, 0.01, True),
    "momentum": ("momentum", -0.95, 0.99, 0.01, False),
    "batch_size": ("batch size", 0.0, 3.0, 0.01, True),
    "label_noise": ("label noise", 0.0, 1.0, 0.01, False),
    "steps": ("step T", 0.0, 7.0, 0.05, True),
    "tau2": ("noise tau2", -2.0, 1.0, 0.01, False),
    "hold": ("held for", 0.0, 1.0, 0.01, False),
    "decay": ("decay", 0.5, 0.999, 0.001, False),
    "tail": ("begins at", 0.0, 0.99, 0.01, False),
}
ONLY_WITH = {"hold": ("schedule", "hold"), "decay": ("average", "ema"), "tail": ("average", "tail")}
"""Numbers that only one choice has."""
WHAT = {
    "nu": "Exponent of the spectrum: eigenvalue k of the data is k^-nu.",
    "zeta": "Exponent of the signal: what is left to learn beyond mode k falls as k^(-nu zeta). Small is hard.",
    "n_modes": "Number of eigenvalues, or infinite.",
    "learning_rate": "alpha. Its unit is one over that of the eigenvalues of the data.",
    "momentum": "beta, heavy ball; without unit. Negative values are allowed.",
    "batch_size": "b, samples a step; or full: all of them, and no batch noise.",
    "label_noise": "Variance sigma^2 added to the labels, in their unit squared. Half of it is added to the loss.",
    "steps": "The step that the map, the words, the best settings and the runs look at. The curve goes on to 10 T.",
    "tau2": "Shape of the batch noise: 1 for translation-invariant, -1 for Gaussian data; or default: fitted to the "
    "data, 1 for a power law.",
    "hold": "Share of the T steps for which the schedule holds the learning rate, before it falls in a line to 0.",
    "decay": "kappa of the average: what of it stays from step to step. It remembers about 1/(1 - kappa) steps.",
    "tail": "Share of the T steps after which the average begins; 0 averages all.",
}
OF_CHOICES = {
    "schedule": "What the learning rate does over the T steps. Under a schedule the curve ends at T.",
    "sampling": "Epochs visit every sample once between two shuffles, as data loaders do; a smaller last batch is "
    "dropped. The curve, the first words and the runs are of them; the map is of fresh batches.",
    "average": "Of the weights; drawn beside the curve of the last ones, which the map and the other words stay with.",
    "below": "The third picture. Steps and samples to the loss at step T take some seconds.",
    "held_out": "Share of the rows that is not trained on: the words then have the test loss and when it is least.",
    "target": "The column that is predicted; the others are features.",
}
SHARES = ("0.0", "0.1", "0.2", "0.3", "0.5")
LAST = "(the last column)"
POWER_LAW = ("nu", "zeta", "n_modes")
WHOLE = ("batch_size", "steps", "n_modes")
ENDLESS = ("batch_size", "n_modes")
"""Those whose slider ends at a word: full, infinite."""
# Text, and no models: those belong to one page each.
BOX = (
    ".bk-input-group { flex-direction: row; align-items: center; gap: 6px; width: 100% }"
    "label { flex: 1; padding: 0; font-size: 13px; white-space: nowrap; color: #222 }"
    ".bk-input-group > :not(label) { flex: 0 0 76px; min-width: 0 }"
    ".bk-input { height: 27px; padding: 2px 7px; font-size: 13px }"
    ".bk-input-group > select.bk-input, .bk-input-group > input[type=file] { flex-basis: 232px; padding: 2px 5px }"
    "input[type=file]::file-selector-button { margin: 0 8px 0 0 }"
    ".bk-input:focus { outline: 2px solid #0072B2 }"
)
BAR = ".noUi-handle:focus-visible { outline: 2px solid #0072B2; outline-offset: 1px }"


class Controls:
    """Widgets that show a state, and call with (field, value) or (None, message) when one of them is moved.

    Parameters
    ----------
    state : State
        What they show at first.
    changed : callable
        Takes the field and its new value.
    refused : callable
        Takes a message about what was typed.
    chosen : callable
        Takes the name of the file of data and its bytes in base64.
    ran : callable
        The same for a file of runs.
    """

    def __init__(
        self,
        state: State,
        changed: Callable[[str, Any], None],
        refused: Callable[[str], None],
        chosen: Callable[[str, str], None],
        ran: Callable[[str, str], None],
    ) -> None:
        self._changed, self._refused, self._showing = changed, refused, False
        self._bounds = {name: (low, high) for name, (_, low, high, _, _) in SLIDERS.items()}
        look: Any = {"stylesheets": [BOX], "sizing_mode": "stretch_width", "margin": (2, 0, 2, 0)}
        self.choices: dict[str, Any] = {}
        self.problem: Any = self._choice("problem", "problem", list(NAMES.items()), look)
        self._choice("schedule", "schedule", list(SCHEDULES.items()), look)
        self._choice("sampling", "batches", list(SAMPLINGS.items()), look)
        self._choice("average", "average", list(AVERAGES.items()), look)
        self._choice("below", "third view", list(BELOW.items()), look)
        self._choice("held_out", "held out", [], look)
        self._choice("target", "target", [("", LAST)], look)
        self._columns: tuple[str, ...] = ()
        self.file: Any = FileInput(
            title="own file", accept=".npz,.csv", name="file", **look,
            description="An .npz with X, y (features), K, y (kernel) or eigenvalues, signal; a .csv with y last. "
            "It stays on this machine.",
        )  # fmt: skip
        self.runs: Any = FileInput(
            title="own runs", accept=".csv,.tsv", name="runs", **look,
            description="Runs to lay over the prediction: a table with the columns step and loss, and run if there are "
            "several. It stays on this machine.",
        )  # fmt: skip
        for widget, take in ((self.file, chosen), (self.runs, ran)):
            for part in ("value", "filename"):
                widget.on_change(part, lambda _a, _o, _n, widget=widget, take=take: self._picked(widget, take))
        self.boxes: dict[str, Any] = {}
        self.sliders: dict[str, Any] = {}
        rows = {name: self._row(name) for name in SLIDERS}
        law = [rows.pop(name) for name in POWER_LAW]
        self._law = column(law, sizing_mode="stretch_width", visible=state.problem == "power-law")
        self._only = {name: rows.pop(name) for name in ONLY_WITH}
        children = [self.problem, self.file, self.choices["target"], self._law, *rows.values()]
        for name in ("schedule", "sampling", "average"):
            children += [self.choices[name], *(self._only[x] for x, (of, _) in ONLY_WITH.items() if of == name)]
        children += [self.choices["held_out"], self.choices["below"], self.runs]
        self.layout: Any = column(children, sizing_mode="stretch_width", name="controls")
        self.show(state, 1.0)

    def _choice(self, name: str, title: str, options: list[tuple[str, str]], look: Any) -> Any:
        about = {"description": OF_CHOICES[name]} if name in OF_CHOICES else {}
        made: Any = Select(title=title, name=name, **({"options": options} | about | look))
        made.on_change("value", lambda _a, _o, new: self._typed(name, new))
        self.choices[name] = made
        return made

    def _row(self, name: str) -> Any:
        title, low, high, step, _ = SLIDERS[name]
        box = TextInput(
            title=title, description=WHAT[name], width=192, margin=(2, 8, 2, 0), name=name, stylesheets=[BOX]
        )
        slider = Slider(
            start=low, end=high, step=step, value=low, show_value=False, tooltips=False, margin=(9, 8, 0, 4),
            name=f"{name}_slider", title=None, sizing_mode="stretch_width", stylesheets=[BAR],
        )  # fmt: skip
        box.on_change("value", lambda _a, _o, new: self._typed(name, new))
        slider.on_change("value", lambda _a, _o, new: self._slid(name, new))
        self.boxes[name], self.sliders[name] = box, slider
        return row(box, slider, sizing_mode="stretch_width")

    def _picked(self, widget: Any, take: Callable[[str, str], None]) -> None:
        # Name and content come one after the other; both are empty before, and again once they have been taken.
        try:
            name, content = widget.filename, widget.value
        except UnsetValueError:
            return
        if name and content and isinstance(name, str) and isinstance(content, str):
            take(name, content)

    def _typed(self, name: str, word: Any) -> None:
        if self._showing or not isinstance(word, str):
            return
        try:
            value = read(name, word)
        except ValueError as error:
            self._refused(str(error))
        else:
            self._changed(name, value)

    def _slid(self, name: str, told: Any) -> None:
        (start, end), (*_, step, logarithmic) = self._bounds[name], SLIDERS[name]
        # Any page may tell any number, also one where no slider can be.
        if self._showing or not isinstance(told, int | float) or told != told:
            return
        position = float(min(max(told, start), end))
        if name in ENDLESS and position > end - 0.5 * step:
            self._tell(name, None)
            return
        low, high = LIMITS[name]
        value = 10.0**position if logarithmic else position
        value = round(value) if name in WHOLE else float(f"{value:.4g}")
        self._tell(name, min(max(value, int(low) if name in WHOLE else low), int(high) if name in WHOLE else high))

    def _tell(self, name: str, value: Any) -> None:
        if not self._showing:
            self._changed(name, value)

    def own(self, name: str, columns: tuple[str, ...] = ()) -> None:
        """Show the name of the user's file.

        Parameters
        ----------
        name : str
            Any printable text.
        columns : tuple of str
            Those of a table.
        """
        self._columns = columns
        shown = NAMES | {"file": f"your file {name}"}
        self.problem.options = list(shown.items())

    def fit(self, largest_rate: float, most: int | None) -> None:
        """Let sliders end where the problem does: learning rates over the map's decades, batches at all samples.

        Parameters
        ----------
        largest_rate : float
            That of the map.
        most : int or None
            Number of samples.
        """
        _, low, high, _, _ = SLIDERS["batch_size"]
        end = math.log10(largest_rate)
        self._bounds["learning_rate"] = (round(end - DECADES, 2), round(end, 2))
        self._bounds["batch_size"] = (low, high if most is None else max(0.01, round(math.log10(most), 2)))
        for name in ("learning_rate", "batch_size"):
            (start, end), slider = self._bounds[name], self.sliders[name]
            if (slider.start, slider.end) != (start, end):
                self._showing = True
                slider.update(start=start, end=end, value=min(max(slider.value, start), end))
                self._showing = False

    def _show_choices(self, state: State) -> None:
        law, own = state.problem == "power-law", state.problem == "file"
        self._law.visible = law
        for name, (choice, word) in ONLY_WITH.items():
            self._only[name].visible = getattr(state, choice) == word
        shares, share = list(SHARES), text("held_out", state.held_out)
        shares += [] if share in shares else [share]
        told: Any = [(word, "none" if word == "0.0" else f"{percent(float(word))} of the rows") for word in shares]
        names = [name for name in (*self._columns, state.target) if name]
        columns: Any = [("", LAST), *dict.fromkeys((name, name) for name in names)]
        self.choices["held_out"].update(options=told, visible=not law or state.held_out > 0.0)
        self.choices["sampling"].visible = not law or state.sampling != "fresh"
        self.choices["target"].update(options=columns, visible=(own and bool(self._columns)) or state.target != "")
        for name, choice in self.choices.items():
            value = text(name, getattr(state, name))
            if choice.value != value:
                choice.value = value

    def show(self, state: State, default_tau2: float) -> None:
        """Put the widgets where a state wants them.

        Parameters
        ----------
        state : State
        default_tau2 : float
            Where the slider of tau2 stands when it is left open.
        """
        self._showing = True
        try:
            self._show_choices(state)
            for name, (*_, step, logarithmic) in SLIDERS.items():
                low, high = self._bounds[name]
                value = getattr(state, name)
                word = text(name, value)
                if self.boxes[name].value != word:
                    self.boxes[name].value = word
                if value is None:
                    value = default_tau2 if name == "tau2" else 10.0**high
                at = min(max(math.log10(value) if logarithmic else value, low), high)
                # A slider that is where it should be is left alone: the hand may still be on it.
                if abs(self.sliders[name].value - at) > 0.51 * step:
                    self.sliders[name].value = at
        finally:
            self._showing = False
