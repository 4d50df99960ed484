"""The three figures of the page and the tables behind them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    HoverTool,
    Label,
    Legend,
    LinearColorMapper,
    PointDrawTool,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from genfun.answers.predict import Prediction
from genfun.experiments.simulation.runs import Runs
from genfun.explorer.model import Chart, DrawnCurve, Point
from genfun.methods.sgd import SGD
from genfun.own_runs.overlay import Overlay
from genfun.plotting.phase_diagram import TOP, borders, near_border, regions
from genfun.plotting.style import COLOURS

TOOLS = "box_zoom,pan,save,reset"
BEYOND = 1e300
RIGHT = 3.0
"""Of zeta in the phase diagram."""


def table(*columns: str) -> Any:
    """An empty table behind a picture.

    Parameters
    ----------
    *columns : str
    """
    return ColumnDataSource({name: [] for name in columns})


def drawable(loss: Any) -> Any:
    """Losses without those that a logarithmic axis cannot show.

    Parameters
    ----------
    loss : array
    """
    loss = np.asarray(loss, dtype=float)
    with np.errstate(invalid="ignore"):
        return np.where((loss > 0.0) & (loss < BEYOND), loss, np.nan)


def framed(**look: Any) -> Any:
    """A figure that fills its place.

    Parameters
    ----------
    **look
        As for a bokeh figure.
    """
    # bokeh takes a pair of numbers for a range, which its types do not say.
    made: Any = figure(sizing_mode="stretch_both", toolbar_location="above", min_border_left=58, **look)
    made.toolbar.logo = None  # a link to another host
    return made


def legend_below(made: Any, columns: int) -> list[Any]:
    """Move the legend under the axes, where it covers no line.

    Parameters
    ----------
    made : bokeh figure
    columns : int
    """
    legend = made.legend[0]
    legend.update(orientation="horizontal", location="center", ncols=columns, label_text_font_size="12px", spacing=6)
    legend.update(padding=0, margin=2, glyph_height=14, label_height=14, label_standoff=4, border_line_color=None)
    made.add_layout(legend, "below")
    return legend.items


class CurvePicture:
    """Loss over steps, with its parts, marks and runs."""

    def __init__(self) -> None:
        self.figure: Any = framed(
            x_axis_type="log", y_axis_type="log", x_axis_label="step", y_axis_label="mean loss",
            x_range=(1, 10_000), y_range=(1e-3, 1), tools=TOOLS, title="Loss", name="curve",
        )  # fmt: skip
        self.lines, self.marks = table("step", "loss", "quiet", "excess"), table("x", "y", "text", "align")
        self.runs, self.mean = table("steps", "losses"), table("step", "mean")
        self.pinned, self.own = table("step", "loss"), table("steps", "losses")
        self.averaged = table("step", "loss")
        f = self.figure
        f.multi_line(
            "steps", "losses", source=self.runs, color=COLOURS[5], alpha=0.45, line_width=1, legend_label="runs"
        )
        f.multi_line("steps", "losses", source=self.own, color=COLOURS[3], line_width=1.6, legend_label="own runs")
        f.line("step", "loss", source=self.pinned, color="#777777", line_width=2.8, legend_label="pinned")
        black = f.line("step", "loss", source=self.lines, color="black", line_width=2.8, legend_label="predicted")
        f.line(
            "step", "quiet", source=self.lines, color=COLOURS[0], line_width=1.8, line_dash="dashed",
            legend_label="no batch noise",
        )  # fmt: skip
        f.line(
            "step", "excess", source=self.lines, color=COLOURS[1], line_width=2, line_dash="dotted",
            legend_label="by batch noise",
        )  # fmt: skip
        f.line("step", "loss", source=self.averaged, color=COLOURS[4], line_width=2, legend_label="averaged weights")
        f.line("step", "mean", source=self.mean, color=COLOURS[2], line_width=1.8, legend_label="their mean")
        f.vspan("x", source=self.marks, color="#666666", line_width=1)
        f.text(
            "x", "y", "text", source=self.marks, angle=math.pi / 2, text_align={"field": "align"},
            text_baseline="bottom", text_font_size="12px", text_color="#444444", x_offset=-2,
        )  # fmt: skip
        f.add_tools(HoverTool(tooltips=[("step", "@step{0,0}"), ("loss", "@loss{0.000e}")], renderers=[black]))
        # Runs are drawn first, under the lines, and named last. Their names stay where there are none: bokeh does not
        # reliably make room for a second row of a legend later on.
        runs, own, pinned, *items, averaged, mean = legend_below(f, 3)
        f.select_one(Legend).update(items=[*items, runs, mean, pinned, own, averaged], click_policy="hide")
        self.show_runs(None)
        f.xgrid.grid_line_color = f.ygrid.grid_line_color = "#EEEEEE"

    def show(self, curve: DrawnCurve) -> None:
        """Draw another curve.

        Parameters
        ----------
        curve : DrawnCurve
        """
        steps = curve.prediction.steps.astype(float)
        columns = {"loss": curve.prediction.loss, "quiet": curve.quiet, "excess": curve.excess}
        self.lines.data = {"step": steps} | {name: drawable(y) for name, y in columns.items()}
        low, high = self._with_own(*curve.window)
        self.figure.x_range.update(start=1, end=float(steps[-1]), reset_start=1, reset_end=float(steps[-1]))
        self.figure.y_range.update(start=low, end=high, reset_start=low, reset_end=high)
        middle = 0.5 * (math.log(low) + math.log(high))
        above = [np.interp(step, steps, curve.prediction.log_loss) > middle for step, _ in curve.marks]
        self.marks.data = {
            "x": [step for step, _ in curve.marks],
            # The words go where the curve is not.
            "y": [low * (high / low) ** (0.03 if up else 0.97) for up in above],
            "align": ["left" if up else "right" for up in above],
            "text": [f"{words}, step {step:,.0f}" for step, words in curve.marks],
        }
        state, unsure = curve.stability.status, curve.prediction.status == "epochs uncertain"
        of = f"Loss in epochs{' (uncertain)' * unsure}" if curve.prediction.route == "epochs" else "Loss"
        self.figure.title.text = f"{of}: {state}" + (f", {curve.regime}" if curve.regime else "")

    def clear(self) -> None:
        """Draw nothing, where there is nothing to draw."""
        self.lines.data = {"step": [], "loss": [], "quiet": [], "excess": []}
        self.marks.data = {"x": [], "y": [], "text": [], "align": []}
        self.figure.title.text = "Loss: none for these settings"

    def show_pinned(self, curve: DrawnCurve | None) -> None:
        """Draw the curve of a pinned setting, or take it away.

        Parameters
        ----------
        curve : DrawnCurve or None
        """
        steps = [] if curve is None else curve.prediction.steps.astype(float)
        losses = [] if curve is None else curve.prediction.loss
        self.pinned.data = {"step": steps, "loss": drawable(losses)}

    def show_averaged(self, found: Prediction | None) -> None:
        """Draw the loss of averaged weights, or take it away.

        Parameters
        ----------
        found : Prediction or None
        """
        steps = [] if found is None else found.steps.astype(float)
        self.averaged.data = {"step": steps, "loss": drawable([] if found is None else found.loss)}

    def show_own(self, runs: Overlay) -> None:
        """Lay the user's own runs over the curve.

        Parameters
        ----------
        runs : Overlay
        """
        later = {name: steps > 0 for name, (steps, _) in runs.runs.items()}
        self.own.data = {
            "steps": [steps[later[name]] for name, (steps, _) in runs.runs.items()],
            "losses": [drawable(losses[later[name]]) for name, (_, losses) in runs.runs.items()],
        }

    def _with_own(self, low: float, high: float) -> tuple[float, float]:
        """The losses to show, so that the user's own runs are seen too, within three decades."""
        losses = np.concatenate([*self.own.data["losses"], [math.sqrt(low * high)]])
        losses = losses[np.isfinite(losses)]
        return min(low, max(0.5 * losses.min(), 1e-3 * low)), max(high, min(2.0 * losses.max(), 1e3 * high))

    def show_runs(self, runs: Runs | None) -> None:
        """Lay runs over the curve, or take them away.

        Parameters
        ----------
        runs : Runs or None
        """
        if runs is None:
            self.runs.data = {"steps": [], "losses": []}
            self.mean.data = {"step": [], "mean": []}
            return
        later = runs.steps > 0
        steps = runs.steps[later].astype(float)
        loss = runs.loss[:, later]
        with np.errstate(all="ignore"):
            mean = runs.mean[later]
        self.runs.data = {"steps": [steps] * len(loss), "losses": list(drawable(loss))}
        self.mean.data = {"step": steps, "mean": drawable(mean)}


class MapPicture:
    """Loss at step T over learning rate and momentum, with the edge and the setting as a point to drag."""

    def __init__(self) -> None:
        self.figure: Any = framed(
            x_axis_type="log", x_axis_label="learning rate (white: no gain)", y_axis_label="momentum",
            x_range=(1e-3, 4), y_range=(-1, 1), tools="box_zoom,save,reset", name="map", title="log10 loss at T",
        )  # fmt: skip
        f = self.figure
        self.mapper = LinearColorMapper(palette=Viridis256, low=-1, high=0, nan_color="white")
        self.cells, self.edge = table("image", "x", "y", "dw", "dh"), table("x", "y")
        self.point, self.star = ColumnDataSource({"x": [1.0], "y": [0.0]}), table("x", "y")
        image = f.image("image", "x", "y", "dw", "dh", source=self.cells, color_mapper=self.mapper)
        f.line("x", "y", source=self.edge, color="white", line_width=5, alpha=0.9)
        f.line("x", "y", source=self.edge, color="black", line_width=2.2, legend_label="edge")
        self.pinned = table("x", "y")
        hollow = {"fill_color": None, "line_color": "#777777", "line_width": 4}
        f.scatter("x", "y", source=self.pinned, size=15, legend_label="pinned", **hollow)
        star = {"marker": "star", "size": 18, "fill_color": COLOURS[4], "line_color": "black"}
        f.scatter("x", "y", source=self.star, legend_label="best setting", **star)
        same = {"fill_color": COLOURS[1], "line_color": "white", "line_width": 2, "fill_alpha": 1.0, "line_alpha": 1.0}
        dot = f.scatter("x", "y", source=self.point, size=15, legend_label="this setting", **same)
        dot.nonselection_glyph = dot.selection_glyph = None
        drag = PointDrawTool(renderers=[dot], add=False, num_objects=1)
        f.add_tools(drag)
        f.toolbar.active_tap = drag
        f.toolbar.active_drag = drag
        f.add_layout(
            ColorBar(color_mapper=self.mapper, width=10, ticker=BasicTicker(desired_num_ticks=5), padding=4), "right"
        )
        f.grid.visible = False
        values = [("learning rate", "$x{0.000e}"), ("momentum", "$y{0.00}"), ("log10 loss", "@image{0.00}")]
        f.add_tools(HoverTool(tooltips=values, renderers=[image]))
        legend_below(f, 3)

    def show_best(self, setting: SGD | None) -> None:
        """Put a star at the best setting, or take it away.

        Parameters
        ----------
        setting : SGD or None
        """
        best = [] if setting is None else [setting]
        self.star.data = {"x": [m.learning_rate for m in best], "y": [m.momentum for m in best]}

    def show(self, chart: Chart) -> None:
        """Draw another map.

        Parameters
        ----------
        chart : Chart
        """
        rates, momenta = chart.rates, chart.momenta
        half = math.sqrt(rates[1] / rates[0])
        low, high = float(rates[0] / half), float(rates[-1] * half)
        gap = float(momenta[1] - momenta[0])
        bottom, height = float(momenta[0]) - gap / 2.0, gap * momenta.size
        self.cells.data = {
            "image": [np.ascontiguousarray(chart.decades.T.astype(np.float32))],
            "x": [low], "y": [bottom], "dw": [high - low], "dh": [height],
        }  # fmt: skip
        self.mapper.update(low=chart.colours[0], high=chart.colours[1])
        shown = chart.edge > 0.0
        self.edge.data = {"x": chart.edge[shown], "y": chart.edge_momenta[shown]}
        top = min(bottom + height, 1.0)
        self.figure.x_range.update(start=low, end=high, reset_start=low, reset_end=high)
        self.figure.y_range.update(start=bottom, end=top, reset_start=bottom, reset_end=top)

    def show_pinned(self, rate: float | None, momentum: float) -> None:
        """Put a ring at a pinned setting, or take it away.

        Parameters
        ----------
        rate : float or None
            None where nothing of this map is pinned.
        momentum : float
        """
        self.pinned.data = {"x": [], "y": []} if rate is None else {"x": [rate], "y": [momentum]}

    def place(self, rate: float, momentum: float) -> None:
        """Move the point, unless it is there.

        Parameters
        ----------
        rate, momentum : float
        """
        if list(self.point.data["x"]) != [rate] or list(self.point.data["y"]) != [momentum]:
            self.point.data = {"x": [rate], "y": [momentum]}


class PhasePicture:
    """The plane of the exponents with the problem in it."""

    def __init__(self) -> None:
        self.figure: Any = framed(
            x_axis_label="zeta (source exponent)", y_axis_label="1/nu (nu: capacity exponent)",
            x_range=(0, 3), y_range=(0, 2.5), tools="save", name="phases", title="Phase of the problem",
        )  # fmt: skip
        f = self.figure
        for region in regions(0.0, RIGHT, TOP):
            x, y = zip(*region.corners, strict=True)
            f.patch(x, y, fill_color=region.colour, line_color=None)
            align, shift = ("left", 8) if region.left else ("right", -8)
            look: dict[str, Any] = {"text_font_size": "12px", "text_color": "#222222", "text_align": align}
            text = "\n".join(filter(None, (region.name, region.law[1])))
            f.add_layout(Label(x=region.place[0], y=region.place[1], text=text, x_offset=shift, y_offset=5, **look))
        for _, x, y, dash in borders(0.0, RIGHT):
            f.line(x, y, color="black", line_dash=dash)
        self.point = table("x", "y", "text", "shift")
        f.scatter("x", "y", source=self.point, size=11, fill_color="black", line_color="black", line_width=1.5)
        f.text("x", "y", "text", source=self.point, x_offset=9, y_offset="shift", text_font_size="12px")
        f.grid.visible = False

    def show(self, point: Point) -> None:
        """Move the problem's point; outside of the picture it is put at the border.

        Parameters
        ----------
        point : Point
        """
        x, y = point.zeta, point.inverse_nu
        if not (point.is_power_law and math.isfinite(x) and math.isfinite(y)):
            self.point.data = {"x": [], "y": [], "text": [], "shift": []}
            self.figure.title.text = "No phase: the spectrum is no power law"
            return
        self.figure.title.text = f"nu = {1.0 / y:.3g}, zeta = {x:.3g}"
        beyond = "" if 0.0 <= x <= 2.97 and y <= 2.45 else " (beyond)"
        self.point.data = {
            "x": [min(max(x, 0.0), 2.97)],
            "y": [min(y, 2.45)],
            "text": ["here" + beyond],
            "shift": [17 if near_border(y) else -4],
        }
