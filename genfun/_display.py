"""How results show themselves: `.plot`, and in notebooks a table of their fields and a small picture."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import io
import math
import unicodedata
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.6, 3.8)
"""Inches."""
SHOWN = 6
"""Longer arrays are shown by their ends."""
LONGEST = 160
CELL = 'style="text-align: left; padding: 0 1em 0 0"'


class Tabled:
    """A value with `_repr_html_`, a table of its fields, which Jupyter and marimo call."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th {CELL}>{escape(field.name)}</th><td {CELL}>{escape(short(getattr(self, field.name)))}</td></tr>"
            for field in dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
            if field.repr and not field.name.startswith("_")
        )
        return f"<p><code>{escape(repr(self))}</code></p><table>{rows}</table>{picture(self)}"


class Displayed(Tabled):
    """A result with `.plot`, and with `_repr_html_`, which Jupyter and marimo call."""

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the picture of this result; see `genfun.plotting.draw`.

        ======================== ================ ================
        result                   picture          options
        ======================== ================ ================
        `Prediction`             `loss_parts`
        `Phase`                  `phase_diagram`
        `PowerLawFit`            `spectrum`
        `LinearProblem`          `spectrum`
        `PowerLaw`               `spectrum`
        `LinearData`             `spectrum`
        `Optimum`                `settings_map`
        `LossMap`                `loss_map`       `best`
        `MomentumMap`            `momentum_map`
        `BudgetMap`              `budget_map`
        `BestSchedule`           `schedule`
        `CriticalBatch`          `samples`
        `StepsFit`               `steps_fit`
        `BigBatch`               `big_batch`
        `Spread`                 `spread`
        `EscapeChart`            `escape_chart`   `against`, `at`
        `HeldOut`                `held_out`
        `LeaveOneOut`            `held_out`
        `SoftmaxPrediction`      `probe_curves`
        `experiments.Agreement`  `agreement`
        `experiments.Ladder`     `ladder`
        ======================== ================ ================

        Parameters
        ----------
        ax : matplotlib Axes or None
            Where to draw; None makes a new figure.
        **options
            As the picture takes them, by name.

        Returns
        -------
        matplotlib Axes
            The axes drawn on.

        Raises
        ------
        TypeError
            If there is no picture of such a result, or it takes no such option.
        ValueError
            If the picture cannot show this result, such as a curve of a single step.
        """
        return _draw()(self, ax=ax, **options)


MILLION = 1e6
FAR = 1e11
"""Steps that no run takes: three years at a thousand a second. Times beyond are told as such, not as numbers."""


def seen(step: float) -> bool:
    """Whether a run may come to this step.

    Parameters
    ----------
    step : float
        Also inf and nan: no.

    Examples
    --------
    >>> seen(2e6), seen(1e29), seen(math.inf)
    (True, False, False)
    """
    return step < FAR


def few(names: Iterable[Any], most: int = 12) -> str:
    """Names with commas; of many the first, and how many more there are.

    Parameters
    ----------
    names : iterable
    most : int
        So many are named.

    Examples
    --------
    >>> few("abc"), few("abc", 2)
    ('a, b, c', 'a, b and 1 more')
    """
    words = [str(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def several(number: int, things: str) -> str:
    """How many of something, in the plural where it is not one.

    Parameters
    ----------
    number : int
    things : str
        In the plural, by an s at its end.

    Examples
    --------
    >>> several(1, "modes"), several(1000, "modes")
    ('1 mode', '1,000 modes')
    """
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"


def plain(value: float, digits: int = 4) -> str:
    """A number to so many digits; below a million without a power of ten, which people read slower.

    Parameters
    ----------
    value : float
    digits : int
        Significant ones.

    Examples
    --------
    >>> plain(0.123456), plain(134422.0), plain(1.3e9)
    ('0.1235', '134,400', '1.3e+09')
    """
    told = f"{value:.{digits}g}"
    return f"{float(told):,.0f}" if "e+" in told and abs(value) < MILLION else told


def percent(share: float, digits: int = 2) -> str:
    """A share in per cent, to two digits, or to what is missing from 100 %.

    Parameters
    ----------
    share : float
        At least 0.
    digits : int
        Significant digits, where it is below 99 %.

    Examples
    --------
    >>> [percent(x) for x in (0.0312, 0.5, 0.994, 0.9961, 0.99999, 1.0)]
    ['3.1 %', '50 %', '99.4 %', '99.61 %', '99.999 %', '100 %']
    >>> percent(0.0), percent(2e-8), percent(1.42), percent(0.615, 3)
    ('0 %', 'less than 0.001 %', '142 %', '61.5 %')
    """
    if not share < 1.0:
        return f"{100.0 * share:,.0f} %"
    if 0.0 < share < 1e-5:
        return "less than 0.001 %"
    if share <= 0.99:
        return f"{100.0 * share:.{digits}g} %"
    places = min(max(1, 1 + math.ceil(-math.log10(100.0 * (1.0 - share)))), 10)
    return f"{100.0 * share:.{places}f}".rstrip("0").rstrip(".") + " %"


def _draw() -> Any:
    # The only way from a result to its picture. It is looked up when one is drawn, so that no result imports pictures.
    return importlib.import_module("genfun.plotting").draw


def short(value: Any) -> str:
    """A value in at most a line.

    Parameters
    ----------
    value : any
        A field of a result.
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    import numpy as np  # here, so that `genfun --help` does without

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
    draw = _draw()
    if draw.dispatch(type(result)) is draw.dispatch(object):
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


def steering(text: str) -> set[str]:
    """The characters of a text that are no text: they move a cursor, turn the order of what is read, or are halves.

    Parameters
    ----------
    text : str
        Its line ends and tabulators are none of them.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return set()
    # Control, format (the bidirectional ones), surrogates, separators of lines and of paragraphs.
    odd = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {c for c in set(text) - {"\n", "\t"} if unicodedata.category(c) in odd}


def digits_of(noise_error: float, most: int = 6) -> int:
    """Significant digits that a number of this relative error deserves; all of them where it is not known.

    Parameters
    ----------
    noise_error : float
    most : int
        At most so many.

    Examples
    --------
    >>> digits_of(9e-4), digits_of(0.3), digits_of(0.0), digits_of(float("nan"))
    (4, 2, 6, 6)
    """
    if not noise_error > 0.0:
        return most
    return int(min(max(2, math.ceil(-math.log10(min(noise_error, 1.0)))), most))
