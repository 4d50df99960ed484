"""How results show themselves in notebooks: a table of their fields and a small picture."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from html import escape
from typing import Any

import numpy as np

SIZE = (4.6, 3.8)
"""Inches."""
SHOWN = 6
"""Longer arrays are shown by their ends."""
LONGEST = 160
CELL = 'style="text-align: left; padding: 0 1em 0 0"'


class Displayed:
    """A result with `_repr_html_`, which Jupyter and marimo call."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th {CELL}>{escape(field.name)}</th><td {CELL}>{escape(short(getattr(self, field.name)))}</td></tr>"
            for field in dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        )
        return f"<p><code>{escape(repr(self))}</code></p><table>{rows}</table>{picture(self)}"


def percent(share: float) -> str:
    """A share of at most 1 in per cent, to two digits, or to what is missing from 100 %.

    Parameters
    ----------
    share : float

    Examples
    --------
    >>> [percent(x) for x in (0.0312, 0.5, 0.994, 0.9961, 0.99999, 1.0)]
    ['3.1 %', '50 %', '99.4 %', '99.61 %', '99.999 %', '100 %']
    """
    if share >= 1.0:
        return "100 %"
    if share <= 0.99:
        return f"{100.0 * share:.2g} %"
    digits = min(max(1, 1 + math.ceil(-math.log10(100.0 * (1.0 - share)))), 10)
    return f"{100.0 * share:.{digits}f}".rstrip("0").rstrip(".") + " %"


def short(value: Any) -> str:
    """A value in at most a line.

    Parameters
    ----------
    value : any
        A field of a result.
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray) and value.size > SHOWN:
        ends = f"{value.flat[0]:.6g} .. {value.flat[-1]:.6g}" if value.dtype.kind in "iuf" else f"{value.flat[0]} .."
        return f"{ends}  {value.shape}"
    if isinstance(value, (tuple, list)) and len(value) > SHOWN:
        return f"{len(value)} entries"
    entries = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
    if isinstance(entries, (tuple, list)) and entries and all(type(x) in (int, float) for x in entries):
        return ", ".join(f"{x:.6g}" for x in entries)
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def picture(result: Any) -> str:
    """What `.plot` draws, inside the page; nothing where there is nothing to draw.

    Parameters
    ----------
    result : any
        A result.
    """
    if not hasattr(result, "plot"):
        return ""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    try:
        result.plot(figure.subplots())
    except ValueError:  # a single step, or a loss that is never reached: the table is all there is
        return ""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(type(result).__name__)}" src="data:image/png;base64,{data}">'
