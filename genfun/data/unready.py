"""All that a table needs before it is numbers, told at once: text, gaps, and what is neither amount nor category."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from genfun._display import few

if TYPE_CHECKING:
    from genfun.data.tables import Choices

FEW = 20
"""So many different texts in a column are categories; more of them if they are no more than half the rows."""
EMPTY = 0.5
"""A column with a larger share of gaps is left out, rather than that share of the rows."""
DAY, YEAR, MONTH = "(0?[1-9]|[12][0-9]|3[01])", "[0-9]{4}", "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
TIME = "[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?( ?[ap]m)?"
DATE = re.compile(
    f"({YEAR}[-/.]{DAY}[-/.]{DAY}|{DAY}[-/.]{DAY}[-/.]({YEAR}|[0-9]{{2}})|{DAY}[.]?[ -]{MONTH}[.]?[ -]{YEAR}|"
    f"{MONTH}[.]? {DAY},? {YEAR})([T ]{TIME}( ?(Z|UTC|[-+][0-9:]{{4,6}}))?)?|{TIME}",
    re.IGNORECASE,
)
"""2024-01-31, 31.1.2024, 1/31/24, 31 Jan 2024, January 31, 2024, each perhaps with a time; or a time alone."""
AT_ONCE = "; all at once: "
"""Stands before the call that then works."""


class Unready(ValueError):
    """A table that needs several choices; the message names all of them.

    Parameters
    ----------
    told : str
        What it needs, and why.
    needs : dict
        Choices of `genfun.data.load` that take the table, but for those that were given.
    given : Choices
    """

    def __init__(self, told: str, needs: dict[str, Any], given: Choices) -> None:
        every = {name: value for name, value in vars(given).items() if value not in (None, (), False)} | needs
        if "drop" in needs and given.drop not in (None, ()):
            before = [given.drop] if isinstance(given.drop, str | int) else list(given.drop)
            every["drop"] = [*before, *needs["drop"]]
        call = ", ".join(["...", *(f"{name}={value!r}" for name, value in every.items())])
        super().__init__(f"{told}{AT_ONCE}load({call})")
        self.told, self.needs = told, needs


def numeric(column: Any) -> bool:
    """Whether a column holds numbers or booleans.

    Parameters
    ----------
    column : pandas.Series
    """
    return column.dtype.kind in "biuf"


def many(column: Any) -> bool:
    """Whether a column has too many different texts for categories.

    Parameters
    ----------
    column : pandas.Series
    """
    count = column.nunique()
    return count > FEW and 2 * count > len(column)


def dated(column: Any) -> bool:
    """Whether a column holds dates or times, of a type of their own or as text.

    Parameters
    ----------
    column : pandas.Series
    """
    if column.dtype.kind in "Mm":
        return True
    texts = column.dropna().astype(str)
    return len(texts) > 0 and all(DATE.fullmatch(text.strip()) for text in dict.fromkeys(texts))


def no_category(column: Any) -> bool:
    """Whether the texts of a column are no categories: dates, or too many different ones.

    Parameters
    ----------
    column : pandas.Series
    """
    return dated(column) or many(column)


def check_ready(where: str, frame: Any, names: Sequence[Any], target: Sequence[Any], choices: Choices) -> None:
    """Refuse a table that needs more than one choice, and name them all; one alone is told where it is needed.

    Parameters
    ----------
    where : str
        Goes before the message.
    frame : pandas.DataFrame
        Features and target.
    names, target : sequence of column names
    choices : Choices

    Raises
    ------
    Unready
        If two or more choices are needed.
    """
    missing = frame.isna()
    empty = [] if choices.drop_missing else [name for name in names if missing[name].mean() > EMPTY]
    gaps = [name for name in frame.columns if name not in empty and missing[name].any()]
    lacking = missing[gaps].any(axis=1)
    rows = frame[~lacking]
    text = [name for name in names if name not in empty and not numeric(frame[name])]
    odd = [name for name in text if no_category(rows[name])]
    told, needs = [], {}
    categories = [] if choices.one_hot else [name for name in text if name not in odd]
    if categories:
        told.append(f"text in {few(map(repr, categories))}: one_hot=True (--one-hot) makes columns of 0 and 1")
        needs["one_hot"] = True
    if gaps and not choices.drop_missing:
        counted = ", ".join(f"{name!r} ({missing[name].sum()})" for name in gaps[:FEW])
        more = f" and {len(gaps) - FEW} more" if len(gaps) > FEW else ""
        told.append(
            f"gaps in {counted}{more}: drop_missing=True (--drop-missing) leaves out {int(lacking.sum())} of "
            f"{len(frame)} rows"
        )
        needs["drop_missing"] = True
    if odd or empty:
        why = [f"{name!r} ({_kind(rows[name])})" for name in odd] + [f"{name!r} (mostly gaps)" for name in empty]
        told.append(f"no amounts or categories in {', '.join(why)}: drop= (--drop) leaves them out")
        needs["drop"] = [*odd, *empty]
    labels = [name for name in target if not numeric(frame[name])]
    if labels and len(target) == 1 and not choices.classes and not many(rows[labels[0]]):
        told.append(
            f"text in the target {labels[0]!r}: classes=True (--classes) makes a target of each; or "
            "choose another by target= (--target)"
        )
        needs["classes"] = True
    if len(needs) > 1 and len(rows) and len(names) > len(odd) + len(empty):
        raise Unready(f"{where} needs {len(needs)} things: {'; '.join(told)}", needs, choices)


def _kind(column: Any) -> str:
    return "dates or times" if dated(column) else f"{column.nunique()} different texts"
