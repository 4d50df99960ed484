"""The report as one HTML page that needs nothing else: no network, no scripts."""

from __future__ import annotations

import base64
import io
import re
from importlib import resources
from typing import Any

from genfun.answers.words import numbers as words
from genfun.plotting import loss_curves, loss_map, phase_diagram, spectrum
from genfun.report import tables
from genfun.report.columns import columns
from genfun.report.headline import headline, why
from genfun.report.model import Report

SIZE = (5.6, 4.5)
SIGNS = {
    "lambda_max": "λ<sub>max</sub>",
    "tau1": "τ<sub>1</sub>",
    "tau2": "τ<sub>2</sub>",
    "beta": "β",
    "nu": "ν",
    "zeta": "ζ",
    "R^2": "R²",
}
SPELLED = re.compile(r"(?<![\w.])(" + "|".join(map(re.escape, SIGNS)) + r")(?!\w)")


def figures(report: Report) -> dict[str, Any]:
    """The matplotlib figures of the page, by name.

    Parameters
    ----------
    report : Report
        What to draw.
    """
    from matplotlib.figure import Figure

    found: dict[str, Any] = {}
    found["spectrum"] = Figure(figsize=SIZE, layout="constrained")
    spectrum(report.spectrum, report.fit if report.fit.is_power_law else None, found["spectrum"].subplots())
    if report.curves:
        found["loss_curves"] = Figure(figsize=SIZE, layout="constrained")
        labels = [f"batch {words.batch(columns(curve)['batch_size'])}" for curve in report.curves]
        kinds = [tables.KINDS[curve.choice] for curve in report.curves]
        loss_curves([curve.prediction for curve in report.curves], labels, kinds, found["loss_curves"].subplots())
    if report.chart is not None and report.explanation is not None:
        found["loss_map"] = Figure(figsize=SIZE, layout="constrained")
        best: Any = report.explanation.method
        loss_map(report.chart, best, found["loss_map"].subplots())
    if report.fit.is_power_law:
        found["phases"] = Figure(figsize=SIZE, layout="constrained")
        phase_diagram({"this problem": report.fit}, found["phases"].subplots())
    return found


def page(report: Report) -> str:
    """The whole page.

    Parameters
    ----------
    report : Report
        What to show.
    """
    from jinja2 import Environment, StrictUndefined

    source = resources.files("genfun.report").joinpath("templates/report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["signs"] = signs
    name, comma, options = report.target.partition(", --")
    last = int(report.curves[0].prediction.steps[-1]) if report.curves else 0
    return environment.from_string(source).render(
        report=report,
        name=name,
        options=comma[2:] + options,
        headline=headline(report),
        why=why(report),
        facts=(tables.data_facts(report), tables.spectrum_facts(report), tables.noise_facts(report)),
        limits=tables.limit_table(report),
        curves=tables.curve_table(report),
        best=tables.best_table(report),
        costs=tables.cost_table(report),
        phases=tables.phase_table(report) if report.fit.is_power_law else None,
        words=tables.in_words(report),
        figures={name: _data_uri(figure, name) for name, figure in figures(report).items()},
        last_step=f"{last:,}",
    )


def signs(text: str) -> Any:
    """A sentence with its symbols as symbols, safe to stand in a page.

    Parameters
    ----------
    text : str
        Not a user's: their columns may have such names.

    Examples
    --------
    >>> print(signs("2(1+beta)/lambda_max < nu"))
    2(1+β)/λ<sub>max</sub> &lt; ν
    """
    from markupsafe import Markup, escape

    return Markup(SPELLED.sub(lambda word: SIGNS[word[0]], str(escape(text))))


def _data_uri(figure: Any, name: str) -> str:
    """An SVG as a data URI: as an image of its own it shares no ids with other figures on the page."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # Laid out by itself, the picture is drawn once: savefig would draw all of it twice for that.
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)
    # A fixed salt and no date make the same report the same file.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
