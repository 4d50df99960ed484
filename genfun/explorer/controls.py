"""The controls: a text box for every number, and a slider beside it where sliding helps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import Select, Slider, TextInput

from genfun.explorer.state import LIMITS, NAMES, State, read, text

# Field: title, first and last position of the slider, its step, and whether it slides in log10.
SLIDERS: dict[str, tuple[str, float, float, float, bool]] = {
    "learning_rate": ("learning rate", -4.0, 1.0, 0.01, True),
    "momentum": ("momentum", -0.95, 0.99, 0.01, False),
    "batch_size": ("batch size, or full", 0.0, 3.0, 0.01, True),
    "tau2": ("tau2, or default", -2.0, 1.0, 0.01, False),
    "label_noise": ("added label noise", 0.0, 1.0, 0.01, False),
    "steps": ("step T", 0.0, 7.0, 0.05, True),
    "nu": ("nu", 0.6, 4.0, 0.02, False),
    "zeta": ("zeta", 0.05, 3.0, 0.05, False),
    "n_modes": ("modes, or infinite", 0.0, 5.0, 0.05, True),
}
POWER_LAW = ("nu", "zeta", "n_modes")
WHOLE = ("batch_size", "steps", "n_modes")


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
    file : bool
        Whether "your file" can be chosen.
    """

    def __init__(
        self, state: State, changed: Callable[[str, Any], None], refused: Callable[[str], None], file: bool
    ) -> None:
        self._changed, self._refused, self._showing = changed, refused, False
        options: Any = [(key, name) for key, name in NAMES.items() if file or key != "file"]
        self.problem: Any = Select(title="problem", options=options, value=state.problem, width=260, name="problem")
        self.problem.on_change("value", lambda _a, _o, new: self._tell("problem", new))
        self.boxes: dict[str, Any] = {}
        self.sliders: dict[str, Any] = {}
        rows = {name: self._row(name) for name in SLIDERS}
        self._law = column(*(rows.pop(name) for name in POWER_LAW), visible=state.problem == "power-law")
        self.layout: Any = column(self.problem, self._law, *rows.values(), width=270)
        self.show(state, 1.0)

    def _row(self, name: str) -> Any:
        title, low, high, step, _ = SLIDERS[name]
        box = TextInput(title=title, width=110, name=name)
        slider = Slider(
            start=low, end=high, step=step, value=low, show_value=False, width=130, margin=(22, 5, 0, 8),
            name=f"{name}_slider", title=None,
        )  # fmt: skip
        box.on_change("value", lambda _a, _o, new: self._typed(name, new))
        slider.on_change("value", lambda _a, _o, new: self._slid(name, float(new)))
        self.boxes[name], self.sliders[name] = box, slider
        return row(box, slider)

    def _typed(self, name: str, word: str) -> None:
        if self._showing:
            return
        try:
            value = read(name, word)
        except ValueError as error:
            self._refused(str(error))
        else:
            self._changed(name, value)

    def _slid(self, name: str, position: float) -> None:
        if self._showing:
            return
        low, high = LIMITS[name]
        value = 10.0**position if SLIDERS[name][4] else position
        value = round(value) if name in WHOLE else float(f"{value:.4g}")
        self._tell(name, min(max(value, int(low) if name in WHOLE else low), int(high) if name in WHOLE else high))

    def _tell(self, name: str, value: Any) -> None:
        if not self._showing:
            self._changed(name, value)

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
            if self.problem.value != state.problem:
                self.problem.value = state.problem
            self._law.visible = state.problem == "power-law"
            for name, (_, low, high, step, logarithmic) in SLIDERS.items():
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
