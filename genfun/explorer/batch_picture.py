"""Steps and samples to a loss against the batch size, as `genfun.plotting` draws them, in the page."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun.answers.batch.critical_batch import CriticalBatch
from genfun.answers.words.numbers import figures
from genfun.explorer.pictures import framed, legend_below, table
from genfun.explorer.state import State
from genfun.plotting.style import COLOURS


class BatchPicture:
    """Samples and steps over the batch size, the fewest samples, and the setting's own batch size."""

    def __init__(self) -> None:
        self.figure: Any = framed(
            x_axis_type="log", y_axis_type="log", x_axis_label="batch size", y_axis_label="to the loss at T",
            x_range=(1, 1000), y_range=(1, 1e6), tools="save", name="batch", title="Steps against batch size",
            visible=False,
        )  # fmt: skip
        f, self.lines = self.figure, table("size", "samples", "steps")
        self.least, self.here = table("x", "y"), table("x", "y")
        for name, colour, dash in (("samples", COLOURS[0], "solid"), ("steps", COLOURS[1], "dashed")):
            look: dict[str, Any] = {"source": self.lines, "color": colour, "legend_label": name}
            f.line("size", name, line_width=2, line_dash=dash, **look)
            f.scatter("size", name, size=4, **look)
        f.scatter(
            "x", "y", source=self.least, marker="star", size=15, fill_color=COLOURS[4], line_color="black",
            legend_label="fewest samples",
        )  # fmt: skip
        f.scatter(
            "x", "y", source=self.here, size=10, fill_color="white", line_color="black", line_width=2,
            legend_label="this setting",
        )  # fmt: skip
        legend_below(f, 2)
        f.xgrid.grid_line_color = f.ygrid.grid_line_color = "#EEEEEE"

    def wait(self) -> None:
        """Say that it is being computed; what stands there is of the setting before."""
        self.figure.title.text = "Steps: being computed ..."

    def clear(self) -> None:
        """Draw nothing."""
        self.lines.data = {"size": [], "samples": [], "steps": []}
        self.least.data = self.here.data = {"x": [], "y": []}
        self.figure.title.text = "Steps against batch size: none"

    def show(self, found: CriticalBatch, steps: float, state: State) -> None:
        """Draw another answer; batch sizes at which the loss is never reached are left out.

        Parameters
        ----------
        found : CriticalBatch
        steps : float
            Both from `against_batch`.
        state : State
        """
        if found.batch_size is None:
            self.clear()
            return
        reached = np.isfinite(found.steps)
        size, samples = found.batch_sizes[reached].astype(float), found.samples[reached]
        drawn = found.steps[reached]
        self.lines.data = {"size": size, "samples": samples, "steps": drawn}
        self.least.data = {"x": [found.batch_size], "y": [float(samples[size == found.batch_size][0])]}
        own = [] if state.batch_size is None or not np.isfinite(steps) else [float(state.batch_size)]
        self.here.data = {"x": [*own, *own], "y": [y for b in own for y in (b * steps, steps)]}
        low, high = float(min(drawn.min(), samples.min(), *self.here.data["y"], samples[0])), float(samples.max())
        high = max(high, float(drawn.max()), *self.here.data["y"], high)
        left, right = min([size[0], *own]), max([size[-1], *own])
        self.figure.x_range.update(start=left / 1.3, end=1.3 * right)
        self.figure.y_range.update(start=low / 1.5, end=1.5 * high)
        self.figure.title.text = f"Steps to loss {figures(found.loss, 3)}"
